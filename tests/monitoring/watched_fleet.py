"""A small fleet's telemetry and models that were really trained on it, for tests of drift."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pandas as pd
import yaml

from dwcp_ml.telemetry.schema import load_schema

ROOT = Path(__file__).parents[2]
DWCP = [sys.executable, "-m", "dwcp_ml.cli"]
# No network: it trains in seconds.
MODEL = "node_reliability"
FLEET = {
    "simulate": {"nodes": 16, "steps": 9000, "nodes_per_part": 8},
    "split": {"by": "time", "train": 0.80, "validation": 0.1, "test": 0.1},
    "models": [MODEL],
    MODEL: {"train_rows": 30_000, "validation_rows": 8_000, "boosting_iterations": 40},
}
PUBLIC = ROOT / "data/public/traffic.csv.gz"
GROUPS = sorted({column.group for column in load_schema().columns} - {"temporal"})


def dwcp(*arguments: object, code: int = 0) -> str:
    """What a command prints, as a process of its own."""
    done = subprocess.run(
        [*DWCP, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@cache
def fleet() -> Path:
    """A folder with raw/, splits/ and artifacts/ of a simulated fleet; once a process, to read."""
    folder = Path(mkdtemp(prefix="fleet-"))
    atexit.register(shutil.rmtree, folder)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    for key, value in FLEET.items():
        params[key] = params[key] | value if isinstance(value, dict) else value
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    given = ("--params", folder / "params.yaml")
    dwcp("simulate", *given, "--out", folder / "raw")
    _trained(folder, MODEL)
    return folder


def traffic(folder: Path) -> Path:
    """The same of public traffic; the model is trained on its first 15 days."""
    params = {
        "models": ["bandwidth_predictor"],
        "split": {"by": "time", "train": 0.34, "validation": 0.10, "test": 0.56},
        "bandwidth_predictor": {
            "epochs": 8,
            "batch_size": 256,
            "train_windows": 60_000,
            "validation_windows": 20_000,
            "head_weights": [1, 0, 0, 0],
        },
    }
    columns = {
        "step_s": 300,
        "timestamp_unit": "s",
        "columns": {
            "node_id": "link_id",
            "peer_id": {"value": "clients"},
            "throughput_mbps": "throughput_mbps",
        },
        "absent": GROUPS,
    }
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    (folder / "columns.yaml").write_text(yaml.safe_dump(columns))
    pd.read_csv(PUBLIC).to_csv(folder / "traffic.csv", index=False)
    dwcp("ingest", "--map", folder / "columns.yaml", "--out", folder / "raw",
         folder / "traffic.csv")  # fmt: skip
    _trained(folder, "bandwidth_predictor")
    return folder


def _trained(folder: Path, model: str) -> None:
    given = ("--params", folder / "params.yaml")
    splits, artifacts = folder / "splits", folder / "artifacts"
    dwcp("split", *given, "--raw", folder / "raw", "--out", splits)
    dwcp("train", model, *given, "--data-path", splits, "--output-dir", artifacts)
    dwcp("export", model, *given, "--splits", splits, "--artifacts", artifacts)
