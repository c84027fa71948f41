"""Telemetry under a path as one part, whether raw, of a split, or plain files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dwcp_ml.errors import UnreadableFileError
from dwcp_ml.evaluation.jsons import read_json
from dwcp_ml.evaluation.single_file import step_of
from dwcp_ml.evaluation.sources import SPLIT
from dwcp_ml.files import write_json
from dwcp_ml.telemetry.dataset import INCIDENTS, MANIFEST, Part, read_manifest
from dwcp_ml.telemetry.ingest import ingest

if TYPE_CHECKING:
    from pathlib import Path


def as_part(path: Path, scratch: Path) -> Part:
    """The telemetry under a path, without a latent truth, which nobody has who watches.

    Args:
        path: a raw folder, a part of a split, a CSV or Parquet file with the schema's columns, or
            a folder of such Parquet files at any depth.
        scratch: a folder for plain files to be brought into order; needed while the part is read.

    Raises:
        UnreadableFileError: there is no telemetry.
        MissingColumnError, OutOfRangeError, ...: as ``telemetry.ingest.ingest``.
    """
    split = path.parent / SPLIT
    if path.is_file() and split.is_file():
        return _part(path, path.parent, int(read_json(split)["step_s"]))
    if not (path / MANIFEST).is_file():
        path = _in_order(path, scratch)
    return _part(path / "telemetry", path, read_manifest(path).step_s)


def _part(telemetry: Path, folder: Path, step_s: int) -> Part:
    """Of the role whose examples are of all series, and not thinned by what training avoids."""
    incidents = folder / INCIDENTS
    return Part(telemetry, None, incidents if incidents.is_file() else None, step_s, "fresh")


def _in_order(path: Path, scratch: Path) -> Path:
    """Plain files ingested: checked against the schema and sorted."""
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    if not files:
        raise UnreadableFileError(f"{path}: no Parquet file in this folder")
    out = scratch / "raw"
    rules = {"step_s": step_of(files[0]), "gaps": "allow", "sort": True}
    column_map = scratch / "columns.yaml"
    write_json(column_map, rules)  # JSON is YAML
    ingest(files, column_map, out)
    return out
