"""Fixtures for telemetry going in and out."""

import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from telemetry_table import telemetry, write_map, write_source

from dwcp_ml.telemetry.dataset import Manifest


@pytest.fixture
def frame() -> pd.DataFrame:
    return telemetry()


@pytest.fixture
def ingest_frame(tmp_path: Path) -> Callable:
    """Write a frame as CSV or Parquet with a column map and ingest it."""
    from dwcp_ml.telemetry.ingest import ingest

    def run(frame: pd.DataFrame, ending: str = ".parquet", **column_map) -> tuple[Manifest, Path]:
        source = tmp_path / f"source{ending}"
        write_source(frame, source)
        path = write_map(tmp_path, **column_map)
        return ingest([source], path, tmp_path / "raw"), tmp_path / "raw"

    return run


@pytest.fixture
def shared() -> Path:
    """The public measurements, which lie beside the repository and are not part of it."""
    folder = Path(os.environ.get("DWCP_SHARED", Path(__file__).parents[3] / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no public measurements at {folder}; set DWCP_SHARED to their folder")
    return folder / "data"
