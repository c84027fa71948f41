"""Stalls of a cluster as events, rehearsed ones, and the figures of both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dwcp_ml import metrics as m
from dwcp_ml.models.base import Examples, Metric
from dwcp_ml.models.consensus_features import LABEL
from dwcp_ml.models.consensus_network import FLAG
from dwcp_ml.models.sampling import evenly
from dwcp_ml.telemetry.simulator.consensus import HIGH

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from dwcp_ml.models.base import Array, Outputs

LEAST_STEPS = 2  # a single high step is a spike, which is normal
REHEARSED = (2, 3, 5)  # lengths in steps
PER_CLUSTER = 20  # rehearsals of each length


def events(
    high: NDArray[np.bool_], run: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First row of the stall that each row is in, -1 for none, and steps since then, (n,) each."""
    rows = np.arange(len(high))
    apart = np.append(True, run[1:] != run[:-1])
    starts = high & (apart | ~np.append(False, high[:-1]))
    first = np.maximum.accumulate(np.where(starts, rows, 0))
    return np.where(high, first, -1), np.where(high, rows - first, 0)


def long_enough(event: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Rows of stalls of at least ``LEAST_STEPS``."""
    names, which, length = np.unique(event, return_inverse=True, return_counts=True)
    return np.asarray(((length >= LEAST_STEPS) & (names >= 0))[which])


def rehearse(test: Examples, cluster: NDArray[np.int64], step_s: float) -> Examples:
    """Copies of calm windows, a few of each cluster, in which the newest steps stall.

    A stalled step's latency is the age of a proposal that waits since the last commit. Clusters
    so slow that this is high in fewer than ``LEAST_STEPS`` of the steps are left out: they would
    show a spike at most, and spikes are normal.
    """
    calm = np.flatnonzero(test.truth["high_steps"] == 0)
    chosen = [calm[cluster[calm] == code] for code in np.unique(cluster[calm])]
    rows = np.concatenate([c[evenly(len(c), PER_CLUSTER)] for c in chosen] or [calm])
    usual = np.median(test.features[rows, :, 0], axis=1)
    made = []
    for steps in REHEARSED:
        age_ms = 1000.0 * step_s * np.arange(1, steps + 1)
        stalled = test.take(rows[age_ms[-LEAST_STEPS] >= HIGH * usual])
        features = stalled.features.copy()
        features[:, -steps:, 0] = np.maximum(features[:, -steps:, 0], age_ms)
        made.append((features, stalled, steps))
    return _joined(made)


def _joined(made: list[tuple[Array, Examples, int]]) -> Examples:
    from dwcp_ml.models.base import joined

    return joined(
        [
            Examples(
                features,
                {LABEL: np.ones(len(stalled), np.int64)},
                stalled.group,
                stalled.time_s,
                {},
                {
                    "episode": np.full(len(stalled), -1),
                    "since_start": np.zeros(len(stalled), np.int64),
                    "high_steps": np.full(len(stalled), steps),
                    "rehearsed": np.full(len(stalled), steps),
                },
            )
            for features, stalled, steps in made
        ]
    )


def _outside(examples: Examples, outputs: Outputs) -> Any:
    return m.ratio_of_sums(
        (examples.truth["high_steps"] == 0) & (outputs[FLAG] > 0),
        examples.truth["high_steps"] == 0,
    )


def _found(examples: Examples, outputs: Outputs) -> Any:
    """Stalls with a flagged window over stalls; each weighs as its first window does."""
    inside = np.flatnonzero(examples.truth["episode"] >= 0)
    _, first, which = np.unique(
        examples.truth["episode"][inside], return_index=True, return_inverse=True
    )
    flagged = np.bincount(which, outputs[FLAG][inside], len(first)) > 0
    hits, every = np.zeros(len(examples)), np.zeros(len(examples))
    hits[inside[first]], every[inside[first]] = flagged, 1
    return m.ratio_of_sums(hits, every)


def _rehearsed(lengths: tuple[int, ...]) -> Callable[[Examples, Outputs], Any]:
    def share(examples: Examples, outputs: Outputs) -> Any:
        mine = np.isin(examples.truth["rehearsed"], lengths)
        return m.ratio_of_sums(mine & (outputs[FLAG] > 0), mine)

    return share


METRICS = (
    Metric(
        "false_alarms_outside_stalls",
        "1",
        "lower",
        m.prepared(_outside),
        "Share of windows without a stall that are flagged",
    ),
    Metric(
        "stalls_found",
        "1",
        "higher",
        m.prepared(_found),
        f"Share of stalls of {LEAST_STEPS} steps or more found",
    ),
    Metric(
        "rehearsed_stalls_found",
        "1",
        "higher",
        m.prepared(_rehearsed(REHEARSED)),
        "Share of rehearsed stalls found at their last step",
    ),
    *(
        Metric(
            f"rehearsed_{n}_steps_found",
            "1",
            "higher",
            m.prepared(_rehearsed((n,))),
            f"Share of rehearsed stalls of {n} steps found",
        )
        for n in REHEARSED
    ),
)
