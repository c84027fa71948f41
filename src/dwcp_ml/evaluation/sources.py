"""Where the examples of an evaluation come from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dwcp_ml.errors import UnreadableFileError
from dwcp_ml.evaluation.jsons import read_json
from dwcp_ml.evaluation.single_file import file_as_raw
from dwcp_ml.telemetry.dataset import MANIFEST, read_manifest
from dwcp_ml.telemetry.split import parts, raw_as_part

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dwcp_ml.telemetry.dataset import Part

SPLIT = "split.json"


@dataclass(frozen=True)
class Sources:
    """Parts to score and, where they exist, parts to tune baselines on.

    Attributes:
        fresh: parts of seeds never trained on, by name.
        fresh_wanted: simulated data whose fresh folder was named, so that its absence is a fault.
    """

    test: Part
    train: Part | None = None
    validation: Part | None = None
    fresh: Mapping[str, Part] = field(default_factory=dict)
    fresh_wanted: bool = False
    source: str = "unknown"
    absent_columns: tuple[str, ...] = ()

    @property
    def simulated(self) -> bool:
        """Whether the simulator made the telemetry."""
        return self.source == "simulator"


def stage_sources(splits: Path, fresh: Path | None = None) -> Sources:
    """The parts of a split, and of the fresh seeds where a folder is named.

    Raises:
        UnreadableFileError: a file of the split or of a seed is missing.
    """
    about, found = read_json(splits / SPLIT), parts(splits)
    seeds = sorted(fresh.glob("seed-*")) if fresh is not None else []
    return Sources(
        found["test"],
        found["train"],
        found["validation"],
        {seed.name: raw_as_part(seed, "fresh") for seed in seeds},
        fresh_wanted=fresh is not None and about["source"] == "simulator",
        source=about["source"],
        absent_columns=tuple(about["absent_columns"]),
    )


def test_data_sources(path: Path, scratch: Path) -> Sources:
    """What lies at a test data path: splits, a raw telemetry folder, or one file.

    Without training and validation parts no baseline can be tuned, so gates on skill over one
    cannot be evaluated then. The test part of a split brings the other parts along.

    Args:
        path: folder of splits, raw telemetry folder, or Parquet or CSV file.
        scratch: empty folder for what a single file is turned into; needed until it was scored.

    Raises:
        UnreadableFileError: it is none of these.
    """
    if path.name == "test.parquet" and (path.parent / SPLIT).exists():
        path = path.parent
    if (path / SPLIT).exists():
        return stage_sources(path)
    if path.is_file():
        file_as_raw(path, scratch / "raw")
        path = scratch / "raw"
    if (path / MANIFEST).exists():
        manifest = read_manifest(path)
        return Sources(
            raw_as_part(path, "test"),
            source=manifest.source,
            absent_columns=manifest.absent_columns,
        )
    raise UnreadableFileError(
        f"{path} is neither a folder of splits ({SPLIT}), nor raw telemetry ({MANIFEST}), nor a "
        "Parquet or CSV file"
    )
