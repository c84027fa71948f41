"""Figures of the bandwidth predictor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dwcp_ml import metrics as m
from dwcp_ml.models import bandwidth_network as net
from dwcp_ml.models.bandwidth_rivals import classify
from dwcp_ml.models.base import Examples, Metric, Outputs

if TYPE_CHECKING:
    from numpy.typing import NDArray

FLOOR_MBPS = 1.0  # true values below it count as this in MAPE
BAND = 0.10  # share around a class boundary that a class figure may leave out


def _changes(e: Examples) -> NDArray[np.bool_]:
    """Examples whose true class differs from the class of the newest measurement."""
    now = classify(e.features[:, -1, 2], e.features[:, -1, 4], e.features[:, -1, 5])
    return np.asarray(now != e.targets["bandwidth_class"])


def _decided(e: Examples) -> NDArray[np.bool_]:
    """Examples whose true value lies more than ``BAND`` from every class boundary."""
    link, tier = e.features[:, -1, 4].astype(int), e.features[:, -1, 5].astype(int)
    share = e.targets["forecast"][:, 0] / net.reference_table()[link, tier - 1]
    near = [np.abs(share / b - 1) <= BAND for b in net.class_boundaries()]
    return ~np.any(near, axis=0)


def _head_mae(column: int) -> Any:
    return m.prepared(
        lambda e, o: m.mae(e.targets["forecast"][:, column], o["forecast"][:, column])
    )


def _class(where: Any) -> Any:
    def score(e: Examples, o: Outputs) -> Any:
        right = m.accuracy(e.targets["bandwidth_class"], o["bandwidth_class"])
        return right if where is None else m.where(where(e), right)

    return m.prepared(score)


METRICS = (
    Metric(
        "within_link_r",
        "1",
        "higher",
        m.prepared(
            lambda e, o: m.median_group_correlation(
                e.targets["forecast"][:, 0], o["next_throughput_mbps"], e.group
            )
        ),
        "Median within-link correlation",
    ),
    Metric(
        "mape_pct",
        "%",
        "lower",
        m.prepared(
            lambda e, o: m.mape(
                e.targets["forecast"][:, 0], o["next_throughput_mbps"], floor=FLOOR_MBPS
            )
        ),
        f"MAPE, true values floored at {FLOOR_MBPS:g} Mbit/s",
    ),
    Metric(
        "wape_pct",
        "%",
        "lower",
        m.prepared(lambda e, o: m.wape(e.targets["forecast"][:, 0], o["next_throughput_mbps"])),
        "WAPE",
    ),
    Metric(
        "class_accuracy_far",
        "1",
        "higher",
        _class(_decided),
        "Class accuracy more than 10 % from a boundary",
    ),
    Metric(
        "class_change_accuracy",
        "1",
        "higher",
        _class(lambda e: _changes(e) & _decided(e)),
        "Class accuracy where the class changes, more than 10 % from a boundary",
    ),
    Metric(
        "class_change_accuracy_all",
        "1",
        "higher",
        _class(_changes),
        "Class accuracy on all steps where the class changes",
    ),
    Metric("class_accuracy", "1", "higher", _class(None), "Class accuracy, all values"),
    Metric("rtt_mae", "ms", "lower", _head_mae(1), "RTT forecast MAE"),
    Metric("loss_mae", "fraction", "lower", _head_mae(2), "Loss forecast MAE"),
    Metric("jitter_mae", "ms", "lower", _head_mae(3), "Jitter forecast MAE"),
)
