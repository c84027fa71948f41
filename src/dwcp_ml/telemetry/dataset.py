"""Where telemetry lies on disk, and the small manifest that says what it is.

raw/telemetry/part-00000.parquet ...  rows sorted by (node_id, peer_id, timestamp); a series
                                      never spans two parts
raw/truth/part-00000.parquet ...      simulated data only: latent truth, row by row the same
raw/labeled_incidents.json            list of incidents, may be empty
raw/telemetry.json                    the manifest
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from dwcp_ml.errors import UnreadableFileError
from dwcp_ml.files import write_json

MANIFEST = "telemetry.json"
INCIDENTS = "labeled_incidents.json"
Role = Literal["train", "validation", "test", "fresh"]


@dataclass(frozen=True)
class Manifest:
    """What a telemetry folder holds."""

    source: Literal["simulator", "ingest", "none"]
    schema_version: str
    step_s: int
    rows: int
    series: int
    start: str  # ISO 8601, first step
    end: str  # ISO 8601, last step
    seed: int | None = None
    absent_columns: tuple[str, ...] = ()  # declared absent: every row holds the neutral value
    missing_labels: tuple[str, ...] = ()  # label columns that the source does not have
    files: dict[str, str] = field(default_factory=dict)  # source file name -> sha256


@dataclass(frozen=True)
class Part:
    """One part of the split: telemetry rows and, on simulated data, their latent truth.

    ``truth`` has the same rows in the same order as ``telemetry``; None on real data.
    ``incidents`` is labeled_incidents.json or None.
    """

    telemetry: Path
    truth: Path | None
    incidents: Path | None
    step_s: int
    role: Role


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of a telemetry folder."""
    write_json(folder / MANIFEST, asdict(manifest))


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest; UnreadableFileError says how to make one."""
    path = folder / MANIFEST
    try:
        value = json.loads(path.read_text())
    except OSError as error:
        raise UnreadableFileError(
            f"{folder} holds no telemetry ({MANIFEST} is missing); run 'dwcp simulate' or "
            "'dwcp ingest' first"
        ) from error
    except ValueError as error:
        raise UnreadableFileError(f"{path} is not JSON: {error}") from error
    try:
        lists = {key: tuple(value[key]) for key in ("absent_columns", "missing_labels")}
        return Manifest(**value | lists)
    except (KeyError, TypeError) as error:
        raise UnreadableFileError(
            f"{path} is no manifest of telemetry ({error}); simulate or ingest again"
        ) from error


def part_files(folder: Path, kind: Literal["telemetry", "truth"] = "telemetry") -> list[Path]:
    """The Parquet parts in order; an empty list where there is no truth."""
    return sorted((folder / kind).glob("part-*.parquet"))


def holds_ingested(folder: Path) -> bool:
    """Whether a raw folder holds a user's own telemetry."""
    return (folder / MANIFEST).exists() and read_manifest(folder).source == "ingest"
