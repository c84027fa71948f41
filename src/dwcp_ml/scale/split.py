"""The split over part files: time boundaries are common, so that each part is cut by itself."""

from __future__ import annotations

import json
import tempfile
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dwcp_ml.errors import RowOrderError, UnreadableFileError
from dwcp_ml.files import as_json
from dwcp_ml.scale.places import Place, published, source
from dwcp_ml.scale.work import Receipt, over_parts
from dwcp_ml.telemetry.boundaries import ROLES, Boundaries, time_boundaries
from dwcp_ml.telemetry.cut import Cut, check_sorted
from dwcp_ml.telemetry.dataset import INCIDENTS, MANIFEST, Manifest, read_manifest
from dwcp_ml.telemetry.split import SUMMARY, _roles
from dwcp_ml.telemetry.split_summary import Counts, PartSummary, SplitSummary
from dwcp_ml.telemetry.windows import SEGMENT_COLUMNS, read_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyspark.sql import SparkSession

    from dwcp_ml.params import SplitParams


@dataclass(frozen=True)
class Raw:
    """A raw telemetry folder: manifest and names of its parts."""

    place: Place
    manifest: Manifest
    telemetry: tuple[str, ...]
    truth: tuple[str, ...]


def read_raw(where: str) -> Raw:
    """Find what is in a raw telemetry folder.

    Raises:
        UnreadableFileError: no manifest, no parts, or other parts of truth than of telemetry.
    """
    found = source(where, MANIFEST, "dwcp scale simulate")
    with tempfile.TemporaryDirectory() as scratch:
        manifest = read_manifest(found.fetch(MANIFEST, Path(scratch)).parent)
    telemetry, truth = found.names("telemetry"), found.names("truth")
    if not telemetry:
        raise UnreadableFileError(f"{where}/telemetry holds no part-*.parquet file")
    if truth and len(truth) != len(telemetry):
        raise UnreadableFileError(
            f"{where}: {len(telemetry)} telemetry parts, {len(truth)} of truth"
        )
    return Raw(found, manifest, tuple(telemetry), tuple(truth))


def split(
    spark: SparkSession,
    raw: str,
    params: SplitParams,
    out: str,
    *,
    gap_steps: int,
    replace: bool = False,
    tick: Callable[[int, int], None] = lambda _done, _total: None,
) -> SplitSummary:
    """Cut raw telemetry into folders train.parquet, validation.parquet and test.parquet of parts.

    They hold the rows of ``dwcp split`` in their order, and its summary; whatever reads a split
    takes folders as well as files.

    Raises:
        EmptySplitError: a part would hold no complete window of any series.
        RowOrderError: rows are not sorted.
        UnreadableFileError: there is no telemetry, or its truth has other rows.
        StorageError: the output exists, or cannot be written.
    """
    found = read_raw(raw)
    bounds = None
    if params.by == "time":
        bounds = time_boundaries(found.manifest, params, gap_steps)
    with published(out, replace=replace) as target:
        work = _Part(found, params, gap_steps, bounds, target)
        done = over_parts(spark, len(found.telemetry), work, tick)
        _check_order(done, found.telemetry)
        counts = _merged(done, found.manifest.step_s)
        counts.check(gap_steps, params.by)
        summary = counts.summary(found.manifest, params, gap_steps, bounds)
        incidents = found.place.read(INCIDENTS)
        if incidents is not None:
            target.write(INCIDENTS, incidents.decode())
        target.write(SUMMARY, as_json(asdict(summary)))  # last: by it a split is known
    return summary


@dataclass(frozen=True)
class _Part:
    raw: Raw
    params: SplitParams
    gap_steps: int
    bounds: Boundaries | None
    target: Place

    def __call__(self, number: int, scratch: Path) -> Receipt:
        file = self.raw.place.fetch(self.raw.telemetry[number], scratch)
        columns = read_columns(file, SEGMENT_COLUMNS)
        last = check_sorted(columns, None, file)
        first = [str(columns.text(name, np.array([0]))[0]) for name in SEGMENT_COLUMNS[:2]]
        roles = _roles(columns, self.params, self.bounds, self.gap_steps)
        counts = Counts(self.raw.manifest.step_s)
        counts.add(columns, roles)
        files = [(file, "")]
        if self.raw.truth:
            files.append((self.raw.place.fetch(self.raw.truth[number], scratch), "_truth"))
        cut = scratch / "cut"
        cut.mkdir()
        for path, ending in files:
            with ExitStack() as stack:
                Cut(cut, path, stack, ending).append(path, roles)
        size = 0
        for role in (r for r in ROLES if counts.parts[r].rows):
            for _, ending in files:
                made = cut / f"{role}{ending}.parquet"
                size += made.stat().st_size
                self.target.put(made, f"{made.name}/part-{number:05d}.parquet")
        facts = {
            "first": first,
            "last": list(last),
            "left_out": counts.left_out,
            "parts": {role: asdict(part) for role, part in counts.parts.items()},
        }
        return Receipt(number, len(columns), size, json.loads(json.dumps(facts)))


def _check_order(done: Sequence[Receipt], names: Sequence[str]) -> None:
    for before, after in pairwise(done):
        if after.facts["first"] <= before.facts["last"]:
            raise RowOrderError(
                f"{names[after.part]}: rows are not sorted by node_id, peer_id, timestamp over "
                "the parts; run 'dwcp scale validate' to see where"
            )


def _merged(done: Sequence[Receipt], step_s: int) -> Counts:
    """The counts of all parts as if they had been added one after the other."""
    whole = Counts(step_s)
    for receipt in done:
        whole.left_out += receipt.facts["left_out"]
        for role in ROLES:
            one, all_of = PartSummary(**receipt.facts["parts"][role]), whole.parts[role]
            if not one.rows:
                continue
            all_of.rows += one.rows
            all_of.series += one.series
            all_of.start = min(all_of.start or one.start, one.start)
            all_of.end = max(all_of.end, one.end)
            all_of.longest_run = max(all_of.longest_run, one.longest_run)
    return whole
