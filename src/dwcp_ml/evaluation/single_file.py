"""A single Parquet or CSV file as raw telemetry, so that it can be scored like any other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dwcp_ml.errors import GapError
from dwcp_ml.files import write_json
from dwcp_ml.telemetry.columns import ColumnMap
from dwcp_ml.telemetry.dataset import INCIDENTS
from dwcp_ml.telemetry.ingest import ingest
from dwcp_ml.telemetry.readers import Kind, open_source
from dwcp_ml.telemetry.schema import KEY, SERIES, load_schema
from dwcp_ml.telemetry.timestamps import Clock

if TYPE_CHECKING:
    from pathlib import Path


def file_as_raw(file: Path, out: Path, incidents: Path | None = None) -> None:
    """Ingest a file whose columns already are the schema's.

    Args:
        file: CSV (plain or .gz) or Parquet.
        out: folder that receives the raw telemetry.
        incidents: labeled_incidents.json; None takes the one beside the file, if there is one.

    Raises:
        GapError: no series has two rows, so that there is no step.
        UnreadableFileError, MissingColumnError, ...: as ``telemetry.ingest.ingest``.
    """
    rules = {"step_s": step_of(file), "gaps": "allow", "sort": True}
    beside = file.parent / INCIDENTS
    if incidents is not None or beside.is_file():
        rules["incidents"] = str((incidents or beside).resolve())
    column_map = out.with_name(f"{out.name}_columns.yaml")
    write_json(column_map, rules)  # JSON is YAML
    try:
        ingest([file], column_map, out)
    finally:
        column_map.unlink()


def step_of(file: Path) -> int:
    """Most frequent distance, in seconds, of two rows of a series among the file's first rows."""
    import pyarrow as pa

    kinds: dict[str, Kind] = dict.fromkeys(KEY, "text")
    batch = next(iter(open_source(file).batches(kinds)))
    clock = Clock(ColumnMap(step_s=1), load_schema().column("epoch_time").max or 0)
    time_us = clock.read(batch.column("timestamp"), f"{file}: timestamp")
    keys = [np.asarray(batch.column(k).to_pylist(), dtype=str) for k in SERIES]
    node, peer = (np.unique(names, return_inverse=True)[1] for names in keys)
    micros = time_us.cast(pa.int64()).to_numpy(zero_copy_only=False)
    order = np.lexsort((micros, peer, node))
    distance = np.diff(micros[order])
    same = (np.diff(node[order]) == 0) & (np.diff(peer[order]) == 0) & (distance > 0)
    values, counts = np.unique(distance[same], return_counts=True)
    if not len(values):
        raise GapError(f"{file}: no series has two rows, so the length of a step is unknown")
    return max(1, round(float(values[counts.argmax()]) / 1e6))
