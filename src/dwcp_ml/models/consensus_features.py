"""Windows of consensus latency with the cluster's history before them, labels and slices."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from dwcp_ml.models.base import Array, Examples
from dwcp_ml.telemetry.parquet import open_parquet, table_files
from dwcp_ml.telemetry.simulator.consensus import HIGH
from dwcp_ml.telemetry.windows import (
    SEGMENT_COLUMNS,
    Columns,
    Segments,
    gather,
    hour_of_day,
    read_columns,
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


def consensus_examples(part: Part, baseline_steps: int, stride: int, holdout: float) -> Examples:
    """Windows of a part: (n, baseline_steps + WINDOW, 1), ms.

    Train and validation use the clusters that are not held out, test those that are, fresh all.
    Where a part has none of its side, as with very few clusters, it uses all it has; the test is
    then on later times only. A node that leads a cluster and reports over several links gives
    its latency once.

    Args:
        part: telemetry, sorted.
        baseline_steps: history before each window.
        stride: steps between two windows of a cluster.
        holdout: share of the clusters that are held out.
    """
    labelled = LABEL in _column_names(part.telemetry)
    names = [*SEGMENT_COLUMNS, LATENCY, "cluster_id", "link_type", "region"]
    columns = read_columns(part.telemetry, [*names, LABEL] if labelled else names)
    needed = (LATENCY, LABEL) if labelled else (LATENCY,)
    valid = np.isfinite(columns.matrix(needed)).all(axis=1)
    valid &= _first_peer(columns) & _on_side(columns, part.role, holdout)
    runs = segments(columns, part.step_s, valid)
    length = baseline_steps + WINDOW
    ends = window_ends(runs, length, stride=stride)
    ends = ends[_unbroken(columns["cluster_id"], ends, length)]
    time_s = np.asarray(columns["timestamp"][ends], np.int64)
    slices: dict[str, Array] = {
        "link_type": columns.text("link_type", ends).astype(str),
        "region": columns.text("region", ends).astype(str),
        "hour": hour_of_day(time_s),
    }
    targets, truth = _targets(columns, ends), {}
    if part.truth is not None and labelled:
        hidden = read_columns(part.truth, TRUTH)
        truth = _truth(hidden, columns, ends, runs, length)
        slices |= _truth_slices(hidden, columns, ends)
    group = columns.text("cluster_id", ends).astype(str)
    return Examples(
        gather(columns, (LATENCY,), ends, length), targets, group, time_s, slices, truth
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


def _first_peer(columns: Columns) -> NDArray[np.bool_]:
    """Rows of each node's first peer."""
    node, peer = columns["node_id"], columns["peer_id"]
    first = np.flatnonzero(np.append(True, node[1:] != node[:-1])) if len(node) else node
    return np.asarray(peer == np.repeat(peer[first], np.diff(np.append(first, len(node)))))


def _on_side(columns: Columns, role: Role, holdout: float) -> NDArray[np.bool_]:
    """Rows of the clusters that this part may use."""
    every = np.ones(len(columns), bool)
    if role == "fresh":
        return every
    held = [is_held_out(str(word), holdout) for word in columns.words["cluster_id"]]
    mine = np.array([*held, is_held_out("", holdout)])[columns["cluster_id"]] == (role == "test")
    return mine if mine.any() else every


def _unbroken(cluster: Array, ends: NDArray[np.int64], length: int) -> NDArray[np.bool_]:
    """Windows throughout which the cluster stays the same."""
    changes = np.append(0, cluster[1:] != cluster[:-1])
    return in_window(changes, ends, length - 1) == 0


def _targets(columns: Columns, ends: NDArray[np.int64]) -> dict[str, Array]:
    if LABEL not in columns.numbers:
        return {}
    return {LABEL: (in_window(columns[LABEL] > 0, ends) >= LEAST_HIGH).astype(np.int64)}


def _truth(
    hidden: Columns, columns: Columns, ends: NDArray[np.int64], runs: Segments, length: int
) -> dict[str, Array]:
    """Steps that look high to one who knows the base; the episode of the newest row.

    ``episode`` is its first row (-1 for none, or where it began before the first window of its
    run), ``since_start`` the steps from there to the newest row.
    """
    looks_high = columns[LATENCY] >= HIGH * hidden["consensus_base_ms"]
    kind = hidden["episode_type"]
    new = np.append(True, (kind[1:] != kind[:-1]))
    new[runs.start] = True
    first = np.maximum.accumulate(np.where(new, np.arange(len(kind)), 0))[ends]
    run = np.searchsorted(runs.start, ends, side="right") - 1
    whole = first >= runs.start[run] + length - 1
    inside = (hidden.text("episode_type", ends) != "none") & whole
    return {
        "looks_high": in_window(looks_high, ends),
        "episode": np.where(inside, first, -1),
        "since_start": ends - first,
    }


def _truth_slices(hidden: Columns, columns: Columns, ends: NDArray[np.int64]) -> dict[str, Array]:
    """Episode type of positive windows; spikes and partial episodes in normal ones; else "".

    A partial episode has too few high steps for the label: whether to flag it is a matter of
    taste, and it counts as normal.
    """
    high = columns[LABEL] > 0
    words = [str(w) for w in hidden.words["episode_type"]]
    per_type = [
        in_window(high & (hidden["episode_type"] == i), ends)
        if w != "none"
        else np.zeros(len(ends))
        for i, w in enumerate(words)
    ]
    steps = in_window(high, ends)
    positive = steps >= LEAST_HIGH
    spiked = in_window(hidden["consensus_spike"] > 0, ends) > 0
    return {
        "episode": np.where(positive, np.array(words)[np.argmax(per_type, axis=0)], ""),
        "spike": np.where(positive, "", np.where(spiked, "yes", "no")),
        "partial": np.where(positive, "", np.where(steps > 0, "yes", "no")),
    }
