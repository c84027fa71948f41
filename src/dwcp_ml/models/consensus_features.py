"""Windows of consensus latency with the cluster's history before them, labels and slices."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from dwcp_ml.models.base import Array, Examples
from dwcp_ml.models.sampling import sampled
from dwcp_ml.telemetry.blocks import Block, blocks
from dwcp_ml.telemetry.parquet import open_parquet, table_files
from dwcp_ml.telemetry.simulator.consensus import HIGH
from dwcp_ml.telemetry.windows import (
    SEGMENT_COLUMNS,
    Columns,
    Segments,
    gather,
    hour_of_day,
    segments,
    window_ends,
)

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from dwcp_ml.telemetry.dataset import Part, Role

LATENCY = "consensus_latency_ms"
LABEL = "is_high_latency"
WINDOW = 20  # newest steps, which are judged
LEAST_HIGH = 5  # steps with high latency that make a window positive
TRUTH = ("episode_type", "consensus_base_ms", "consensus_spike")


def consensus_examples(
    part: Part,
    baseline_steps: int,
    stride: int,
    holdout: float,
    most: int,
    *,
    window: int = WINDOW,
    context: tuple[str, ...] = (),
) -> Examples:
    """Windows of a part: (n, baseline_steps + window, 1 + context), the latency first, ms.

    Train and validation use the clusters that are not held out, test those that are, fresh all.
    Where a part has none of its side, as with very few clusters, it uses all it has; the test is
    then on later times only. A node that leads a cluster and reports over several links gives
    its latency once.

    Args:
        part: telemetry, sorted.
        baseline_steps: history before each window.
        stride: steps between two windows of a cluster.
        holdout: share of the clusters that are held out.
        most: windows at most; more are thinned evenly.
        window: newest steps, which are judged.
        context: columns beside the latency.
    """
    labelled = LABEL in _column_names(part.telemetry)
    inputs = (LATENCY, *context)
    needed = (*inputs, LABEL) if labelled else inputs
    sided = part.role != "fresh" and _has_side(part, holdout)
    length = baseline_steps + window

    def runs(block: Block) -> Segments:
        valid = np.isfinite(block.columns.matrix(needed)).all(axis=1) & _first_peer(block)
        if sided:
            valid &= _on_side(block.columns, part.role, holdout)
        return segments(block.columns, part.step_s, valid)

    def ends(block: Block) -> NDArray[np.int64]:
        found = window_ends(runs(block), length, stride=stride)
        return found[_unbroken(block.columns["cluster_id"], found, length)]

    return sampled(
        part,
        ends,
        lambda block, rows: _examples(block, rows, runs(block), length, window, inputs),
        most,
        needs=(*SEGMENT_COLUMNS, *needed, "cluster_id"),
        more=("link_type", "region"),
        truth=TRUTH if labelled else (),
    )


def is_held_out(cluster: str, share: float) -> bool:
    """Whether a cluster is kept for the test; it depends on its name alone."""
    number = int.from_bytes(blake2b(cluster.encode(), digest_size=4).digest(), "big")
    return number < share * 2**32


def in_window(flags: Array, ends: NDArray[np.int64], window: int = WINDOW) -> NDArray[np.int64]:
    """How many of the ``window`` rows up to each end carry the flag."""
    total = np.concatenate([[0], np.cumsum(flags, dtype=np.int64)])
    return np.asarray(total[ends + 1] - total[ends + 1 - window])


def _column_names(telemetry: Path) -> list[str]:
    with open_parquet(table_files(telemetry)[0]) as file:
        return list(file.schema_arrow.names)


def _examples(
    block: Block,
    ends: NDArray[np.int64],
    runs: Segments,
    length: int,
    window: int,
    inputs: tuple[str, ...],
) -> Examples:
    columns = block.columns
    time_s = np.asarray(columns["timestamp"][ends], np.int64)
    slices: dict[str, Array] = {
        "link_type": columns.text("link_type", ends).astype(str),
        "region": columns.text("region", ends).astype(str),
        "hour": hour_of_day(time_s),
    }
    truth: dict[str, Array] = {}
    if block.truth is not None:
        truth = _truth(block, block.truth, ends, runs, length, window)
        slices |= _truth_slices(block.truth, columns, ends, window)
    group = columns.text("cluster_id", ends).astype(str)
    features = gather(columns, inputs, ends, length)
    return Examples(features, _targets(columns, ends, window), group, time_s, slices, truth)


def _first_peer(block: Block) -> NDArray[np.bool_]:
    """Rows of each node's first peer."""
    node, peer = block.columns["node_id"], block.columns["peer_id"]
    if not len(node):
        return np.zeros(0, bool)
    first = np.flatnonzero(np.append(True, node[1:] != node[:-1]))
    mine = np.asarray(peer == np.repeat(peer[first], np.diff(np.append(first, len(node)))))
    if block.columns.text("peer_id", np.array([0]))[0] != block.first_peer:
        mine[: np.append(first, len(node))[1]] = False  # an earlier block holds it
    return mine


def _has_side(part: Part, holdout: float) -> bool:
    """Whether any cluster of a part is on the side that it should use."""
    return any(
        _on_side(block.columns, part.role, holdout).any() for block in blocks(part, ["cluster_id"])
    )


def _on_side(columns: Columns, role: Role, holdout: float) -> NDArray[np.bool_]:
    """Rows of the clusters that are held out, in the test, or that are not, in other parts."""
    held = [is_held_out(str(word), holdout) for word in columns.words["cluster_id"]]
    side = np.array([*held, is_held_out("", holdout)])[columns["cluster_id"]]
    return np.asarray(side == (role == "test"))


def _unbroken(cluster: Array, ends: NDArray[np.int64], length: int) -> NDArray[np.bool_]:
    """Windows throughout which the cluster stays the same."""
    changes = np.append(0, cluster[1:] != cluster[:-1])[: len(cluster)]
    return in_window(changes, ends, length - 1) == 0


def _targets(columns: Columns, ends: NDArray[np.int64], window: int) -> dict[str, Array]:
    if LABEL not in columns.numbers:
        return {}
    return {LABEL: (in_window(columns[LABEL] > 0, ends, window) >= LEAST_HIGH).astype(np.int64)}


def _truth(
    block: Block,
    hidden: Columns,
    ends: NDArray[np.int64],
    runs: Segments,
    length: int,
    window: int,
) -> dict[str, Array]:
    """Steps that look high to one who knows the base; the episode of the newest row.

    ``episode`` is its first row in the part (-1 for none, or where it began before the first
    window of its run), ``since_start`` the steps from there to the newest row.
    """
    looks_high = block.columns[LATENCY] >= HIGH * hidden["consensus_base_ms"]
    kind = hidden["episode_type"]
    new = np.append(True, kind[1:] != kind[:-1])[: len(kind)]
    new[runs.start] = True
    first = np.maximum.accumulate(np.where(new, np.arange(len(kind)), 0))[ends]
    run = np.searchsorted(runs.start, ends, side="right") - 1
    whole = first >= runs.start[run] + length - 1
    inside = (hidden.text("episode_type", ends) != "none") & whole
    return {
        "looks_high": in_window(looks_high, ends, window),
        "episode": np.where(inside, block.first + first, -1),
        "since_start": ends - first,
    }


def _truth_slices(
    hidden: Columns, columns: Columns, ends: NDArray[np.int64], window: int
) -> dict[str, Array]:
    """Episode type of positive windows; spikes and partial episodes in normal ones; else "".

    A partial episode has too few high steps for the label: whether to flag it is a matter of
    taste, and it counts as normal.
    """
    high = columns[LABEL] > 0
    words = [str(w) for w in hidden.words["episode_type"]]
    per_type = [
        in_window(high & (hidden["episode_type"] == i), ends, window)
        if w != "none"
        else np.zeros(len(ends))
        for i, w in enumerate(words)
    ]
    steps = in_window(high, ends, window)
    positive = steps >= LEAST_HIGH
    spiked = in_window(hidden["consensus_spike"] > 0, ends, window) > 0
    return {
        "episode": np.where(positive, np.array(words)[np.argmax(per_type, axis=0)], ""),
        "spike": np.where(positive, "", np.where(spiked, "yes", "no")),
        "partial": np.where(positive, "", np.where(steps > 0, "yes", "no")),
    }
