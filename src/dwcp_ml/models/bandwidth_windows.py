"""Windows of links, and what the bandwidth network learns from them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dwcp_ml.export import quiet
from dwcp_ml.models import bandwidth_network as net
from dwcp_ml.models.bandwidth_rivals import classify
from dwcp_ml.models.base import Array, Examples
from dwcp_ml.models.sampling import latent, sampled
from dwcp_ml.telemetry.windows import SEGMENT_COLUMNS, gather, hour_of_day, segments, window_ends

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dwcp_ml.telemetry.blocks import Block
    from dwcp_ml.telemetry.dataset import Part

TRUTH = ("expected_next_mbps", "announced_depth", "latent_mbps", "next_latent_mbps")


def input_names(daily_phase: bool) -> tuple[str, ...]:
    """Columns of an input in their order."""
    return (*net.FEATURES, net.PHASE) if daily_phase else net.FEATURES


def bandwidth_windows(part: Part, window: int, features: tuple[str, ...], most: int) -> Examples:
    """Windows of a part that have a next step, thinned evenly to ``most``."""

    def ends(block: Block) -> NDArray[np.int64]:
        valid = np.asarray(np.isfinite(block.columns.matrix(features)).all(axis=1))
        runs = segments(block.columns, part.step_s, valid)
        return window_ends(runs, window, horizon=1)

    found = sampled(
        part,
        ends,
        lambda block, rows: _examples(block, rows, window, features),
        most,
        needs=(*SEGMENT_COLUMNS, *features),
        more=("region",),
        truth=TRUTH,
    )
    return replace(found, group=np.unique(found.group, return_inverse=True)[1])


def _examples(
    block: Block, ends: NDArray[np.int64], window: int, features: tuple[str, ...]
) -> Examples:
    columns = block.columns
    target = np.stack(
        [np.asarray(columns[name][ends + 1], np.float32) for name in net.FORECASTS], axis=1
    )
    link, tier = columns["link_type"][ends], columns["network_tier"][ends]
    time_s = np.asarray(columns["timestamp"][ends], np.int64)
    return Examples(
        features=gather(columns, features, ends, window),
        targets={
            "forecast": target,
            "bandwidth_class": classify(target[:, 0], link, tier),
        },
        group=columns.link(ends),
        time_s=time_s,
        slices={
            "link_type": columns.text("link_type", ends),
            "tier": columns.text("network_tier", ends),
            "region": columns.text("region", ends),
            "hour": hour_of_day(time_s),
        },
        truth=latent(block, TRUTH, ends),
    )


def residuals(examples: Examples, smoothing: float) -> tuple[Array, Array]:
    """Network inputs (n, w, CONTEXT or two more) and log residuals (n, 4)."""
    tf = quiet.tensorflow()

    inputs, base = [], []
    for chunk in np.array_split(examples.features, -(-max(len(examples), 1) // 16384)):
        prepared = net.prepare(tf.constant(chunk), smoothing)
        inputs.append(np.asarray(prepared[0]))
        base.append(np.asarray(prepared[1]))
    target = np.log(np.maximum(examples.targets["forecast"], net.FLOORS))
    return np.concatenate(inputs), (target - np.concatenate(base)).astype(np.float32)
