"""The commands on plain paths, without DVC: one process each, as a person runs them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from dwcp_ml import errors

ROOT = Path(__file__).parents[2]
PARAMS = {
    "models": ["compression_selector", "node_reliability"],
    "simulate": {"nodes": 12, "steps": 2500},
    "evaluate": {"resamples": 20},
    "compression_selector": {"train_rows": 8000, "validation_rows": 2000, "test_rows": 3000},
    "node_reliability": {"train_rows": 15000, "validation_rows": 4000, "boosting_iterations": 30},
}


def dwcp(folder: Path, *arguments: object, code: int = 0) -> str:
    command = [sys.executable, "-m", "dwcp_ml.cli", *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    (folder / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    dwcp(folder, "simulate", "--out", "raw")
    return folder


@pytest.fixture(scope="module")
def trained(workspace):
    output = dwcp(
        workspace,
        "train",
        "all",
        "--data-path",
        "raw",
        "--output-dir",
        "out",
        "--epochs",
        3,
        "--batch-size",
        256,
        "--seed",
        7,
        "--jobs",
        2,
        "--export-format",
        "savedmodel",
        "--tensorboard",
        "logs",
    )
    return workspace / "out", output


def test_train_all_leaves_a_report_a_model_and_the_master_report(trained):
    out, output = trained
    for name in PARAMS["models"]:
        assert (out / name / "model.onnx").stat().st_size < 10e6
        report = json.loads((out / f"{name}_report.json").read_text())
        assert report["hyperparameters"]["seed"] == 7
    master = json.loads((out / "master_training_report.json").read_text())
    assert set(master["models"]) == set(PARAMS["models"])
    assert master["production_readiness"]["go_api_compatibility"] is None, "nobody checked it"
    assert (out / "master_training_report.html").exists()
    assert master["production_readiness"]["deployment_recommendation"] in output


def test_options_reach_the_models_that_have_them(trained):
    out, _ = trained
    history = json.loads((out / "compression_selector" / "history.json").read_text())
    assert len(history["epochs"]) == 3
    assert history["parameters"]["batch_size"] == 256


def test_saved_model_and_tensorboard_logs_are_written_on_request(trained, workspace):
    out, _ = trained
    assert (out / "compression_selector" / "saved_model" / "saved_model.pb").exists()
    assert list((workspace / "logs" / "compression_selector").glob("events.*"))


def test_no_pickle_is_written(trained):
    out, _ = trained
    assert not [p for p in out.rglob("*") if p.suffix in (".pkl", ".pickle", ".joblib")]


@pytest.mark.usefixtures("trained")
def test_evaluate_scores_checkpoints_on_a_folder_and_on_one_file(workspace):
    for data, target in (("out/splits", "on_splits"), ("out/splits/test.parquet", "on_file")):
        verdict = dwcp(
            workspace,
            "evaluate",
            "--checkpoints-dir",
            "out",
            "--test-data-path",
            data,
            "--output-dir",
            target,
        )
        found = json.loads(
            (workspace / target / "comprehensive_evaluation_report.json").read_text()
        )
        assert found["deployment_recommendation"] in ("APPROVED", "FAILED")
        assert found["deployment_recommendation"] in verdict


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (["train", "node_reliabilty"], errors.ParamsError, "did you mean 'node_reliability'?"),
        (["train", "all", "--models", "nodes"], errors.ParamsError, "unknown model 'nodes'"),
        (
            ["train", "all", "--target-accuracy", "3", "--data-path", "raw"],
            errors.ParamsError,
            "target_accuracy",
        ),
        (
            ["train", "all", "--models", "node_reliability", "--epochs", "3", "--data-path", "raw"],
            errors.ParamsError,
            "no chosen model has a parameter 'epochs'",
        ),
        (["train", "all", "--data-path", "nowhere"], errors.UnreadableFileError, "nowhere"),
        (
            ["export", "node_reliability", "--artifacts", "none"],
            errors.UnreadableFileError,
            "dwcp train",
        ),
        (["split", "--raw", "nowhere"], errors.UnreadableFileError, "dwcp simulate"),
        (["validate", "--raw", "nowhere"], errors.UnreadableFileError, "dwcp ingest"),
        (["simulate", "--params", "none.yaml"], errors.UnreadableFileError, "none.yaml"),
        (["models", "list", "--registry", "none"], errors.RegistryError, "none"),
        (["ingest", "--map", "none.yaml", "x.csv"], errors.UnreadableFileError, "none.yaml"),
    ],
)
def test_slip_ends_with_one_sentence_and_its_own_code(workspace, arguments, error, says):
    output = dwcp(workspace, *arguments, code=error.exit_code)
    last = output.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert says in last
    assert "Traceback" not in output


def test_unknown_command_names_the_nearest(workspace):
    assert "did you mean 'simulate'?" in dwcp(workspace, "simulat", code=2)


def test_every_command_explains_itself():
    listed = dwcp(ROOT, "--help").split("Commands:")[1].split("\n")
    for name in (line.split()[0] for line in listed if line.strip()):
        assert "Usage: " in dwcp(ROOT, name, "--help")
