"""A user's CSV or Parquet files -> a raw telemetry folder; memory stays flat as rows grow."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dwcp_ml.errors import ParamsError, UnreadableFileError, nearest
from dwcp_ml.files import sha256, whole_folder, write_json
from dwcp_ml.telemetry.buckets import Buckets
from dwcp_ml.telemetry.columns import read_column_map
from dwcp_ml.telemetry.convert import Converter
from dwcp_ml.telemetry.dataset import INCIDENTS, Manifest, write_manifest
from dwcp_ml.telemetry.finish import Finisher
from dwcp_ml.telemetry.incidents import Incident, as_json, read_incidents
from dwcp_ml.telemetry.parquet import RowGroups
from dwcp_ml.telemetry.plan import Plan, make_plan
from dwcp_ml.telemetry.readers import SourceFile, open_source
from dwcp_ml.telemetry.schema import Schema, load_schema
from dwcp_ml.telemetry.series import SeriesCheck
from dwcp_ml.telemetry.tally import raise_first, raise_missing
from dwcp_ml.telemetry.timestamps import Clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa

    from dwcp_ml.telemetry.columns import ColumnMap

BUCKET_BYTES = 64 << 20  # of source; sorting one takes a few times as much memory
BUCKETS_MAX = 256  # open files
EXPANSION = {".gz": 8, ".parquet": 4, ".pq": 4}  # bytes of rows per byte of a compressed file
PART_ROWS = 262_144


def ingest(
    files: Sequence[Path],
    column_map: Path,
    out: Path,
    *,
    bucket_bytes: int = BUCKET_BYTES,
    part_rows: int = PART_ROWS,
    tick: Callable[[int, int], None] = lambda _done, _total: None,
) -> Manifest:
    """Read files through a column map, check them and write a raw telemetry folder.

    Args:
        files: CSV (plain or .gz) or Parquet, in the order of time if they share series.
        column_map: columns.yaml.
        out: folder that receives telemetry/, labeled_incidents.json and telemetry.json.
        bucket_bytes: bytes of source that are sorted at a time; bounds the memory.
        part_rows: a part file is closed after the series that fills it to so many rows.
        tick: progress as (done, total).

    Raises:
        ParamsError, MissingColumnError, OutOfRangeError, RowOrderError, GapError, TimeZoneError,
        MissingValuesError, UnreadableFileError: see errors.py; nothing is written then.
    """
    schema = load_schema()
    rules = read_column_map(column_map, schema)
    if not files:
        raise UnreadableFileError("no file was named; give at least one CSV or Parquet file")
    sources = [open_source(path) for path in files]
    plan = make_plan(sources, rules, schema)
    incidents = read_incidents(rules.incidents, schema) if rules.incidents else []
    count = min(BUCKETS_MAX, 1 + sum(_row_bytes(path) for path in files) // bucket_bytes)
    with whole_folder(out) as draft:
        converter = Converter(
            schema, rules, plan, Clock(rules, schema.column("epoch_time").max or 0)
        )
        buckets = Buckets(draft / ".buckets", count, converter.arrow_schema())
        total = len(files) + 2 * count
        buckets.scatter(_converted(sources, converter, tick, total))
        columns = {c.name: c for c in schema.columns}
        raise_first(converter.tallies, columns, rules)
        raise_missing(converter.tallies, columns, schema.max_missing_fraction)
        check = SeriesCheck(rules, schema.max_missing_fraction)
        for bucket in range(count):
            buckets.sort(bucket, check)
            tick(len(files) + bucket + 1, total)
        check.finish()
        nodes = _write_parts(buckets, Finisher(schema, plan, _by_node(incidents)), draft, part_rows)
        _check_nodes(incidents, nodes, rules)
        shutil.rmtree(draft / ".buckets")
        manifest = _manifest(files, rules, plan, schema, check)
        write_json(draft / INCIDENTS, as_json(incidents))
        write_manifest(draft, manifest)
        tick(total, total)
    return manifest


def _converted(
    sources: list[SourceFile], converter: Converter, tick: Callable[[int, int], None], total: int
) -> Iterator[pa.RecordBatch]:
    kinds = converter.plan.kinds(converter.schema, converter.column_map)
    for done, source in enumerate(sources, start=1):
        for batch in source.batches(kinds):
            yield converter.convert(batch, source.path)
        tick(done, total)


def _row_bytes(path: Path) -> int:
    return path.stat().st_size * EXPANSION.get(path.suffix.lower(), 1)


def _write_parts(buckets: Buckets, finisher: Finisher, draft: Path, part_rows: int) -> set[str]:
    """Write the series in order; returns the nodes seen."""
    import pyarrow as pa

    folder = draft / "telemetry"
    folder.mkdir()
    nodes: set[str] = set()
    for number, part in enumerate(_parts(buckets, part_rows)):
        table = pa.Table.from_batches([rows for _, rows in part])
        with RowGroups(folder / f"part-{number:05d}.parquet", finisher.arrow_schema()) as writer:
            writer.write(finisher.finish(table))
        nodes.update(node_id for (node_id, _), _ in part)
    return nodes


def _parts(
    buckets: Buckets, part_rows: int
) -> Iterator[list[tuple[tuple[str, str], pa.RecordBatch]]]:
    """Series in order, as many at a time as fill a part."""
    part, rows = [], 0
    for series in buckets.in_order():
        part.append(series)
        rows += series[1].num_rows
        if rows >= part_rows:
            yield part
            part, rows = [], 0
    if part:
        yield part


def _by_node(incidents: list[Incident]) -> dict[str, list[Incident]]:
    found: dict[str, list[Incident]] = {}
    for incident in incidents:
        found.setdefault(incident.node_id, []).append(incident)
    return found


def _check_nodes(incidents: list[Incident], nodes: set[str], rules: ColumnMap) -> None:
    """Incidents of nodes that are not watched are fine, but none of them matching is an error."""
    if incidents and not any(incident.node_id in nodes for incident in incidents):
        name = incidents[0].node_id
        raise ParamsError(
            f"{rules.incidents}: no incident names a node of the telemetry, for example '{name}'"
            f"{nearest(name, nodes)}"
        )


def _manifest(
    files: Sequence[Path], rules: ColumnMap, plan: Plan, schema: Schema, check: SeriesCheck
) -> Manifest:
    names = [path.name for path in files]
    return Manifest(
        source="ingest",
        schema_version=schema.version,
        step_s=rules.step_s,
        rows=check.rows,
        series=check.count,
        start=_iso(check.start_us),
        end=_iso(check.end_us),
        absent_columns=plan.absent,
        missing_labels=plan.missing_labels,
        files={
            path.name if names.count(path.name) == 1 else path.as_posix(): sha256(path)
            for path in files
        },
    )


def _iso(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / 1e6, UTC).isoformat()
