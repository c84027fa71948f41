"""What the weekly training does around `make run`, with real DVC, git, registry and S3."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

sys.path.append(str(Path(__file__).parent / "kubeflow"))
sys.path.append(str(Path(__file__).parents[1] / "model"))
sys.path.append(str(Path(__file__).parents[2] / "tools"))
import retrain
from s3_server import MISSING, program, s3_server
from toy_model import NAME, make_artifact, make_workspace, toy_params

from dwcp_ml import models
from dwcp_ml.evaluation.evaluate import evaluate

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "tools" / "retrain.py"
STAGES = {
    "stages": {
        "raw": {"cmd": "cp source raw", "deps": ["source"], "outs": ["raw"]},
        "train": {
            "cmd": "cat raw code > model",
            "deps": ["raw", "code"],
            "params": ["seed"],
            "outs": ["model"],
            "metrics": [{"figures.json": {"cache": False}}],
        },
    }
}
STAGES["stages"]["train"]["cmd"] += " && echo '{\"mape\": 4}' > figures.json"
ENVIRONMENT = os.environ | {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "DVC_NO_ANALYTICS": "1",
    "GIT_AUTHOR_NAME": "test",
    "GIT_AUTHOR_EMAIL": "t@example.org",
    "GIT_COMMITTER_NAME": "test",
    "GIT_COMMITTER_EMAIL": "t@example.org",
}


def run(folder, *command, **environment):
    done = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env=ENVIRONMENT | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A project of two stages after a run, committed."""
    folder = tmp_path_factory.mktemp("project") / "finished"
    folder.mkdir()
    run(folder, "git", "init", "-q", "-b", "main")
    run(folder, "dvc", "init", "-q")
    (folder / "source").write_text("measurements\n")
    (folder / "code").write_text("network\n")
    (folder / "params.yaml").write_text("seed: 42\n")
    (folder / "dvc.yaml").write_text(yaml.safe_dump(STAGES))
    run(folder, "dvc", "repro", "-q")
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "-qm", "trained")
    return folder


@pytest.fixture
def clone(finished, tmp_path):
    """What a machine has that starts with nothing: files of git, no data and no cache."""
    run(tmp_path, "git", "clone", "-q", finished, "clone")
    assert not (tmp_path / "clone" / "model").exists()
    return tmp_path / "clone"


def said(folder, *options):
    output = folder.parent / "output"
    output.write_text("")
    run(folder, sys.executable, TOOL, "changed", *options, GITHUB_OUTPUT=str(output))
    return output.read_text()


def test_nothing_is_trained_where_data_parameters_and_code_are_those_of_the_last_run(clone):
    assert said(clone) == "changed=false\n"
    (clone / "README.md").write_text("no stage reads this")
    assert said(clone) == "changed=false\n"


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("source", "other measurements\n"),
        ("code", "another network\n"),
        ("params.yaml", "seed: 43\n"),
        ("dvc.yaml", yaml.safe_dump(STAGES).replace("cat raw code", "cat code raw")),
    ],
)
def test_a_change_of_data_code_parameters_or_stages_is_seen_without_the_data(clone, file, text):
    (clone / file).write_text(text)
    assert said(clone) == "changed=true\n"


def test_data_that_somebody_else_has_versioned_since_are_seen(finished, clone):
    """dvc.lock then has a new digest where they are made, and the old one where they are read."""
    other = clone.parent / "other"
    shutil.copytree(finished, other, symlinks=True)
    (other / "source").write_text("new measurements\n")
    run(other, "dvc", "repro", "-q", "raw")
    for file in ("source", "dvc.lock"):
        shutil.copy(other / file, clone / file)
    assert said(clone) == "changed=true\n"


def test_force_trains_whatever_the_digests(clone):
    assert said(clone, "--force") == "changed=true\n"


def test_a_project_that_dvc_cannot_read_goes_on_to_the_training_which_fails(clone):
    (clone / "dvc.yaml").write_text("stages: [")
    assert said(clone) == "changed=true\n"


def test_the_proposal_has_verdict_metrics_beside_those_of_head_and_the_cards(clone):
    (clone / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    (clone / "figures.json").write_text('{"mape": 3}')
    (clone / "reports").mkdir()
    (clone / "reports" / "master_training_report.md").write_text("# DWCP: APPROVED\n\n4 of 4\n")
    for name in ("bandwidth_predictor", "compression_selector", "node_reliability",
                 "consensus_latency"):  # fmt: skip
        version = clone / "models" / name / "v1.1"
        version.mkdir(parents=True)
        (version / "card.md").write_text(f"# {name} v1.1\n")
        (version.parent / "latest").symlink_to("v1.1")
    run(clone, sys.executable, TOOL, "proposal", "build/proposal")
    text = (clone / "build" / "proposal" / "proposal.md").read_text()
    assert text.startswith("# DWCP: APPROVED\n")
    assert "| mape" in text
    (row,) = [line for line in text.splitlines() if "mape" in line]
    assert [cell.strip() for cell in row.split("|")][3:6] == ["4", "3", "-1"]
    cards = clone / "build" / "proposal" / "cards"
    assert (cards / "node_reliability.md").read_text() == "# node_reliability v1.1\n"
    assert len(list(cards.iterdir())) == 4


def test_champions_come_from_s3_with_a_link_to_the_latest(clone, tmp_path):
    if program() is None:
        pytest.skip(MISSING)
    (clone / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    with s3_server(tmp_path / "s3", "dwcp") as environment:
        version = tmp_path / "s3" / "dwcp" / "models" / "node_reliability" / "v1.3"
        version.mkdir(parents=True)
        for file in ("model.onnx", "metadata.json", "card.md"):
            (version / file).write_text(file)
        (version.parent / "latest").write_text("v1.3\n")
        uri = {"REGISTRY_URI": "s3://dwcp/models", **environment}
        for _ in range(2):
            told = run(clone, sys.executable, TOOL, "pull", **uri)
            assert told == "champion models/node_reliability/v1.3\n"
    latest = clone / "models" / "node_reliability" / "latest"
    assert str(latest.readlink()) == "v1.3"
    assert (latest / "model.onnx").read_text() == "model.onnx"


def test_data_come_from_the_remote(finished, tmp_path):
    """As versioned at data/raw, the name that the tool pulls."""
    project = tmp_path / "project"
    shutil.copytree(finished, project, symlinks=True)
    (project / "data" / "raw").mkdir(parents=True)
    (project / "data" / "raw" / "part").write_text("rows")
    run(project, "dvc", "add", "-q", "data/raw")
    run(project, "dvc", "remote", "add", "--local", "-d", "store", str(tmp_path / "remote"))
    run(project, "dvc", "push", "-q")
    for gone in ("data/raw", ".dvc/cache", ".dvc/config.local"):
        path = project / gone
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    run(project, sys.executable, TOOL, "pull", DVC_REMOTE=str(tmp_path / "remote"))
    assert (project / "data" / "raw" / "part").read_text() == "rows"


def test_what_was_trained_is_registered_once_and_named_for_the_rollouts(tmp_path, monkeypatch):
    root = make_workspace(tmp_path / "work")
    make_artifact(root)
    evaluate(NAME, root / "artifacts", root / "data" / "splits", root / "reports", toy_params())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REGISTRY_URI", str(tmp_path / "registry"))
    monkeypatch.setattr(retrain, "names", lambda: (NAME,))
    try:
        for _ in range(2):
            retrain.register(root)
            named = json.loads(Path("build/registered.json").read_text())
            assert named[NAME]["uri"] == str(tmp_path / "registry" / NAME / "v1.0")
            assert len(named[NAME]["lineage"]["onnx"]) == 64
        assert not (tmp_path / "registry" / NAME / "v1.1").exists()
    finally:
        models.available().pop(NAME, None)
