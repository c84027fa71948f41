"""A small fleet and small models, for runs of the whole pipeline; what is proved is machinery."""

import os
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[3]
DWCP = [sys.executable, "-m", "dwcp_ml.cli"]
MODELS = ["compression_selector", "node_reliability"]
TINY = {
    "models": MODELS,
    "simulate": {"nodes": 24, "steps": 4000, "nodes_per_part": 12},
    "fresh": {"seeds": [1001], "nodes": 24, "steps": 4000},
    "evaluate": {"resamples": 20, "max_row_p99_ms": 1000},
    "compression_selector": {
        "train_rows": 12_000,
        "validation_rows": 4_000,
        "test_rows": 6_000,
        "epochs": 8,
        "target_accuracy": 0.4,
        "max_mean_regret_pct": 30,
        "slice_min_clear_agreement": 0.2,
    },
    "node_reliability": {
        "train_rows": 30_000,
        "validation_rows": 8_000,
        "boosting_iterations": 40,
        "target_accuracy": 0.5,
        "max_false_positive_rate": 0.3,
        "min_average_precision": 0.4,
        "min_type_recall": 0.2,
        "slice_min_recall": 0.2,
    },
}


def tiny() -> dict:
    """The repository's own parameters, made small."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    for key, value in TINY.items():
        params[key] = params[key] | value if isinstance(value, dict) else value
    return params


def write_tiny(folder: Path, **changes: dict) -> Path:
    """params.yaml of the small fleet; ``changes`` by section."""
    params = tiny()
    for key, value in changes.items():
        params[key] = params[key] | value
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(params))
    return path


def dwcp(*arguments: object, code: int = 0, **environment: str) -> str:
    """What a command prints, run in the project's folder."""
    done = subprocess.run(
        [*DWCP, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout + done.stderr


def digests(artifacts: Path) -> dict[str, str]:
    """Model -> sha256 of its ONNX file, in a folder of models' folders."""
    from dwcp_ml.files import sha256

    return {name: sha256(artifacts / name / "model.onnx") for name in MODELS}
