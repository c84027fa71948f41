"""Rows of node health, the incident behind each, and which rows are near one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dwcp_ml.models.base import Array, Examples
from dwcp_ml.models.sampling import latent, sampled
from dwcp_ml.telemetry.incidents import read_incidents
from dwcp_ml.telemetry.schema import load_schema
from dwcp_ml.telemetry.windows import (
    SEGMENT_COLUMNS,
    Columns,
    gather,
    hour_of_day,
    segments,
    window_ends,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dwcp_ml.telemetry.blocks import Block
    from dwcp_ml.telemetry.dataset import Part
    from dwcp_ml.telemetry.incidents import Incident

FEATURES = (
    "uptime_pct",
    "failure_rate",
    "packet_loss",
    "retransmits",
    "error_budget_burn_rate",
    "rtt_ms",
)
LABEL = "is_anomaly"
NEEDED = (*FEATURES, LABEL)
TRUTH = ("incident_phase", "incident_evidence", "lookalike")
PRECURSOR = 1  # code of incident_phase
LOOKALIKES = np.array(["", "restart", "load_peak"])


def node_examples(part: Part, most: int, onset_steps: int, history_steps: int = 0) -> Examples:
    """Rows of a part, thinned evenly to at most ``most``: (n, 6).

    With ``history_steps`` each comes with the rows before it, the newest last:
    (n, history_steps, 6).

    The last ``onset_steps`` rows before an incident are neither normal nor labelled, so they are
    left out of train and validation. In the test they stay; figures leave them out where the
    simulator's truth marks them as precursors.
    """

    def rows(block: Block) -> NDArray[np.int64]:
        usable = np.asarray(np.isfinite(block.columns.matrix(NEEDED)).all(axis=1))
        if history_steps:
            whole = window_ends(segments(block.columns, part.step_s, usable), history_steps)
            usable = np.zeros(len(usable), bool)
            usable[whole] = True
        if part.role in ("train", "validation"):
            usable &= ~before_onset(block.columns, part.step_s, onset_steps)
        return np.flatnonzero(usable)

    found = sampled(
        part,
        rows,
        lambda block, rows: _examples(block, rows, history_steps),
        most,
        needs=(*SEGMENT_COLUMNS, *NEEDED),
        more=("link_type", "region"),
        truth=TRUTH,
    )
    slices = dict(found.slices)
    if part.incidents is not None:
        incidents = read_incidents(part.incidents, load_schema())
        slices |= incident_slices(incidents, found.group, found.time_s, found.targets[LABEL])
    if found.truth:
        slices["lookalike"] = LOOKALIKES[found.truth["lookalike"]]
    return replace(found, slices=slices)


def _examples(block: Block, rows: NDArray[np.int64], history_steps: int) -> Examples:
    columns = block.columns
    time_s = np.asarray(columns["timestamp"][rows], np.int64)
    slices: dict[str, Array] = {
        "link_type": columns.text("link_type", rows).astype(str),
        "region": columns.text("region", rows).astype(str),
        "hour": hour_of_day(time_s),
    }
    return Examples(
        gather(columns, FEATURES, rows, history_steps)
        if history_steps
        else columns.matrix(FEATURES)[rows],
        {LABEL: (columns[LABEL][rows] > 0).astype(np.int64)},
        columns.text("node_id", rows).astype(str),
        time_s,
        slices,
        latent(block, TRUTH, rows),
    )


def before_onset(columns: Columns, step_s: int, steps: int) -> NDArray[np.bool_]:
    """Rows without the label that have it within the next ``steps`` rows of their series."""
    label = columns[LABEL] > 0
    runs = segments(columns, step_s)
    stop = np.repeat(runs.stop, runs.stop - runs.start)
    rows = np.arange(len(label))
    coming = np.flatnonzero(label)
    place = np.searchsorted(coming, rows)
    following = np.append(coming, 2 * len(label) + steps)[place]
    return np.asarray(~label & (following <= rows + steps) & (following < stop))


def incident_slices(
    incidents: list[Incident], node: Array, time_s: NDArray[np.int64], label: Array
) -> dict[str, Array]:
    """Type and severity of the incident behind each labelled row, (n,); "" elsewhere.

    Args:
        incidents: of labeled_incidents.json.
        node: (n,) names, each node's rows together and in time order.
        time_s: (n,) epoch seconds.
        label: (n,) 0 or 1.
    """
    kind, severity = np.full(len(node), "", "<U24"), np.full(len(node), "", "<U24")
    first, start = np.unique(node, return_index=True)
    where = {name: slice(i, j) for name, i, j in zip(first, start, [*_next(start, len(node))],
                                                     strict=True)}  # fmt: skip
    for incident in incidents:
        if incident.node_id not in where:
            continue
        span = where[incident.node_id]
        low, high = np.searchsorted(
            time_s[span] * 10**6, [incident.start_us, incident.end_us], side="left"
        )
        kind[span][low:high] = incident.type
        severity[span][low:high] = incident.severity
    return {
        "incident_type": np.where(label > 0, kind, ""),
        "severity": np.where(label > 0, severity, ""),
    }


def _next(start: NDArray[np.intp], total: int) -> list[int]:
    """End of each node's run, from the starts of all in any order."""
    order = np.argsort(start)
    ends = np.empty(len(start), np.int64)
    ends[order] = np.append(start[order][1:], total)
    return ends.tolist()


def counted(examples: Examples) -> NDArray[np.bool_]:
    """Rows that figures count: all but precursors, where the truth knows them."""
    phase = examples.truth.get("incident_phase")
    if phase is None:
        return np.ones(len(examples), bool)
    return np.asarray(phase != PRECURSOR)
