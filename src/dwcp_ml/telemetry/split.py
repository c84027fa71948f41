"""Cut telemetry by time into train, validation and test, with a gap between two parts."""

from __future__ import annotations

import json
import shutil
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from dwcp_ml.errors import UnreadableFileError
from dwcp_ml.files import whole_folder, write_json
from dwcp_ml.telemetry.boundaries import ROLES, Boundaries, series_roles, time_boundaries
from dwcp_ml.telemetry.cut import Cut, check_sorted
from dwcp_ml.telemetry.dataset import INCIDENTS, Part, part_files, read_manifest
from dwcp_ml.telemetry.parquet import table_files
from dwcp_ml.telemetry.split_summary import Counts, SplitSummary
from dwcp_ml.telemetry.windows import SEGMENT_COLUMNS, Columns, read_columns

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from dwcp_ml.params import SplitParams
    from dwcp_ml.telemetry.dataset import Role

SUMMARY = "split.json"


def split(
    raw: Path,
    params: SplitParams,
    out: Path,
    *,
    gap_steps: int,
    tick: Callable[[int, int], None] = lambda _done, _total: None,
) -> SplitSummary:
    """Cut telemetry by time into train, validation and test.

    With ``by: time`` the boundaries are the same for all series: of the steps from the first to
    the last timestamp two gaps are taken away, and the fractions are those of the rest. A gap
    follows train, another one validation. With ``by: series_time`` each series is cut by itself,
    by the number of its rows; one too short for three parts and two gaps goes to train whole.

    Args:
        raw: raw telemetry folder, rows sorted by (node_id, peer_id, timestamp).
        params: fractions, and whether all series share their boundaries.
        out: folder that receives train, validation and test .parquet (and _truth.parquet),
            labeled_incidents.json and split.json.
        gap_steps: steps left out between two parts: the longest window plus horizon, so that
            it is also the length of one example.
        tick: progress as (part files done, part files).

    Raises:
        EmptySplitError: a part would hold no complete window of any series.
        RowOrderError: rows are not sorted.
        UnreadableFileError: there is no telemetry, or its truth has other rows.
    """
    manifest = read_manifest(raw)
    files = table_files(raw / "telemetry")
    truths = part_files(raw, "truth")
    if truths and len(truths) != len(files):
        raise UnreadableFileError(f"{raw}: {len(files)} telemetry parts, {len(truths)} of truth")
    bounds = None
    if params.by == "time":
        bounds = time_boundaries(manifest, params, gap_steps)
    counts = Counts(manifest.step_s)
    with whole_folder(out) as draft:
        with ExitStack() as stack:
            cut = Cut(draft, files[0], stack, "")
            truth_cut = Cut(draft, truths[0], stack, "_truth") if truths else None
            last: tuple[str, str] | None = None
            for number, file in enumerate(files):
                columns = read_columns(file, SEGMENT_COLUMNS)
                last = check_sorted(columns, last, file)
                roles = _roles(columns, params, bounds, gap_steps)
                counts.add(columns, roles)
                cut.append(file, roles)
                if truth_cut is not None:
                    truth_cut.append(truths[number], roles)
                tick(number + 1, len(files))
        counts.check(gap_steps, params.by)
        summary = counts.summary(manifest, params, gap_steps, bounds)
        if (raw / INCIDENTS).exists():
            shutil.copyfile(raw / INCIDENTS, draft / INCIDENTS)
        write_json(draft / SUMMARY, asdict(summary))
    return summary


def parts(splits: Path) -> dict[Role, Part]:
    """The parts of a split.

    Raises:
        UnreadableFileError: there is no split, or its summary is damaged.
    """
    path = splits / SUMMARY
    if not path.exists():
        raise UnreadableFileError(
            f"{splits} holds no split ({SUMMARY} is missing); run 'dwcp split'"
        )
    try:
        step_s = json.loads(path.read_text(encoding="utf-8"))["step_s"]
    except (ValueError, KeyError, TypeError) as error:
        raise UnreadableFileError(f"{path} is damaged; run 'dwcp split' again") from error
    found: dict[Role, Part] = {}
    for role in ROLES:
        truth = splits / f"{role}_truth.parquet"
        found[role] = Part(
            telemetry=splits / f"{role}.parquet",
            truth=truth if truth.exists() else None,
            incidents=splits / INCIDENTS if (splits / INCIDENTS).exists() else None,
            step_s=step_s,
            role=role,
        )
    return found


def raw_as_part(raw: Path, role: Role) -> Part:
    """A whole raw folder as one part; its paths are the folders of part files.

    Raises:
        UnreadableFileError: there is no telemetry.
    """
    return Part(
        telemetry=raw / "telemetry",
        truth=raw / "truth" if part_files(raw, "truth") else None,
        incidents=raw / INCIDENTS if (raw / INCIDENTS).exists() else None,
        step_s=read_manifest(raw).step_s,
        role=role,
    )


def _roles(
    columns: Columns, params: SplitParams, bounds: Boundaries | None, gap_steps: int
) -> NDArray[np.int8]:
    if bounds is not None:
        return bounds.roles(columns["timestamp"])
    node, peer = columns["node_id"], columns["peer_id"]
    return series_roles(
        np.r_[True, (node[1:] != node[:-1]) | (peer[1:] != peer[:-1])], params, gap_steps
    )
