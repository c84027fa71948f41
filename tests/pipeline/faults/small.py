"""The smallest fleet and model that go through every stage, called directly."""

import hashlib
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dwcp_ml.files import sha256

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
NAME = "node_reliability"
CREATED = "2025-02-01T00:00:00+00:00"
TIMED = ("training_time_seconds", "row_p99_ms", "training_hours", "latency", "training_time")
SMALL = {
    "models": [NAME],
    "simulate": {"nodes": 24, "steps": 2500, "nodes_per_part": 8, "seed": 11},
    "fresh": {"seeds": [1001], "nodes": 4, "steps": 400},
    "evaluate": {"resamples": 20, "max_row_p99_ms": 1000},
    # Small data earns small figures: what is proved here is the machinery, not the model.
    NAME: {
        "train_rows": 6_000,
        "validation_rows": 3_000,
        "test_rows": 3_000,
        "boosting_iterations": 12,
        "forest_trees": 10,
        "target_accuracy": 0.01,
        "max_false_positive_rate": 1.0,
        "min_average_precision": 0.01,
        "min_type_recall": 0.0,
        "slice_min_recall": 0.0,
    },
}


def small_params(**changes: dict) -> dict:
    """The repository's own parameters made small; ``changes`` by section."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    for given in (SMALL, changes):
        for key, value in given.items():
            params[key] = params[key] | value if isinstance(value, dict) else value
    return params


def write_params(folder: Path, **changes: dict) -> Path:
    """params.yaml of the small fleet, and the column map to ingest its telemetry with."""
    (folder / "columns.yaml").write_text("step_s: 60\n")
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(small_params(**changes)))
    return path


@dataclass(frozen=True)
class Stage:
    """One stage, the paths it writes, relative to the folder it works in."""

    name: str
    run: Callable[[Path], Any]
    outputs: tuple[str, ...]


def _simulate(at: Path) -> None:
    from dwcp_ml.models import read_params
    from dwcp_ml.telemetry.simulator import simulate

    simulate(read_params(at / "params.yaml").simulate, at / "data/raw")


def _ingest(at: Path) -> None:
    from dwcp_ml.telemetry.ingest import ingest

    files = sorted((at / "data/raw/telemetry").glob("*.parquet"))
    ingest(files, at / "columns.yaml", at / "ingested", part_rows=2500)


def _validate(at: Path) -> None:
    from dwcp_ml.telemetry.contract import validate

    validate(at / "data/raw", at / "reports")


def _split(at: Path) -> None:
    from dwcp_ml.models import gap_steps, read_params
    from dwcp_ml.telemetry.split import split

    params = read_params(at / "params.yaml")
    split(at / "data/raw", params.split, at / "data/splits", gap_steps=gap_steps(params))


def _train(at: Path) -> None:
    from dwcp_ml.models import read_params
    from dwcp_ml.models.train import train

    train(NAME, at / "data/splits", read_params(at / "params.yaml"), at / "artifacts")


def _export(at: Path) -> None:
    from dwcp_ml.models import read_params
    from dwcp_ml.models.export import export

    export(NAME, at / "artifacts", at / "data/splits", read_params(at / "params.yaml"))


def _evaluate(at: Path) -> None:
    from dwcp_ml.evaluation.evaluate import evaluate
    from dwcp_ml.models import read_params

    folders = at / "artifacts", at / "data/splits", at / "reports"
    evaluate(NAME, *folders, read_params(at / "params.yaml"))


def _report(at: Path) -> None:
    from dwcp_ml.evaluation.report import report

    report(at / "reports", [NAME])


def register_version(at: Path, git_commit: str = "abc123") -> None:
    """The stage register; code of that commit made it."""
    from dwcp_ml.registry import register

    folders = at / "reports", at / "artifacts", at / "models"
    register(*folders, [NAME], created=CREATED, git_commit=git_commit)


STAGES = (
    Stage("simulate", _simulate, ("data/raw",)),
    Stage("ingest", _ingest, ("ingested",)),
    Stage("validate", _validate, ("reports/data_quality.json", "reports/data_quality.html")),
    Stage("split", _split, ("data/splits",)),
    Stage("train", _train, (f"artifacts/{NAME}",)),
    Stage("export", _export, (f"artifacts/{NAME}/model.onnx", f"artifacts/{NAME}/metadata.json")),
    Stage(
        "evaluate",
        _evaluate,
        (f"reports/{NAME}_report.json", f"reports/metrics/{NAME}.json", f"reports/figures/{NAME}"),
    ),
    Stage(
        "report",
        _report,
        tuple(f"reports/master_training_report.{ending}" for ending in ("json", "md", "html")),
    ),
    Stage("register", register_version, ("models",)),
)
BY_NAME = {stage.name: stage for stage in STAGES}


def snapshot(at: Path, stage: Stage) -> dict[str, str]:
    """Path -> digest of every file that a stage wrote; times taken on a clock do not count."""
    tops = [at / output for output in stage.outputs]
    files = [f for t in tops for f in (t.rglob("*") if t.is_dir() else [t]) if f.is_file()]
    return {f.relative_to(at).as_posix(): _digest(f) for f in files if f.name != ".lock"}


def litter(folder: Path) -> list[str]:
    """Drafts and locks that should be gone."""
    endings = (".part", ".old", ".lock")
    found = [p for p in folder.rglob(".*") if p.suffix in endings and p.name != ".lock"]
    return [os.fspath(p.relative_to(folder)) for p in found]


def _digest(file: Path) -> str:
    if file.suffix != ".json":
        return sha256(file)
    text = json.dumps(_timeless(json.loads(file.read_text())), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _timeless(value: Any) -> Any:
    if isinstance(value, list):
        return [_timeless(item) for item in value if not _timed(item)]
    if isinstance(value, dict):
        return {k: _timeless(v) for k, v in value.items() if k not in TIMED}
    return value


def _timed(gate: Any) -> bool:
    return isinstance(gate, dict) and gate.get("name") in ("latency", "training_time")
