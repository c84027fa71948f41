"""A retraining runs once, for a reason, and not when nothing could come out differently."""

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dwcp_ml.errors import UnreadableFileError
from dwcp_ml.retraining import LOCK, changes, due

STAGES = """\
stages:
  simulate:
    cmd: mkdir -p data/raw && cp source.txt data/raw/rows.txt && date +%N >> runs.log
    deps: [source.txt]
    outs: [data/raw]
  train:
    cmd: cat data/raw/rows.txt > model.txt
    deps: [data/raw]
    params: [depth]
    outs: [model.txt]
"""


class Checkout:
    """A tiny project under git and DVC, with the real `dwcp retrain`."""

    def __init__(self, folder: Path):
        self.folder = folder
        (folder / "dvc.yaml").write_text(STAGES)
        (folder / "params.yaml").write_text("depth: 3\n")
        (folder / "source.txt").write_text("1\n")
        self.environment = os.environ | {"DVC_NO_ANALYTICS": "1"}
        self.run("git", "init", "-q")
        self.run(sys.executable, "-m", "dvc", "init", "-q")
        self.run(sys.executable, "-m", "dvc", "repro", "-q")

    def run(self, *command):
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True
        )

    def retrain(self, cause, *options):
        start = "from dwcp_ml.cli import main; main()"
        return self.run(sys.executable, "-c", start, "retrain", "--if", cause, *options)

    @property
    def runs(self):
        return len((self.folder / "runs.log").read_text().splitlines())


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Checkout(tmp_path_factory.mktemp("project"))


@pytest.fixture
def checkout(project):
    (project.folder / "params.yaml").write_text("depth: 3\n")
    (project.folder / "source.txt").write_text("1\n")
    project.run(sys.executable, "-m", "dvc", "repro", "-q")
    (project.folder / "runs.log").write_text("")
    return project


def test_nothing_is_trained_when_nothing_changed(checkout):
    done = checkout.retrain("schedule")
    assert done.returncode == 0
    assert "nothing to do" in done.stdout
    assert "those of the last run" in done.stdout
    assert checkout.runs == 0


def test_a_fresh_checkout_without_outputs_is_no_change(checkout):
    (checkout.folder / "model.txt").unlink()
    assert "nothing to do" in checkout.retrain("schedule").stdout


def test_changed_data_and_parameters_are_named_and_trained_on(checkout):
    (checkout.folder / "source.txt").write_text("2\n")
    (checkout.folder / "params.yaml").write_text("depth: 4\n")
    would = checkout.retrain("schedule", "--dry-run")
    assert "would train again" in would.stdout
    assert "source.txt: modified" in would.stdout
    assert "depth" in would.stdout
    assert checkout.runs == 0
    assert "trained again" in checkout.retrain("schedule").stdout
    assert checkout.runs == 1
    assert (checkout.folder / "model.txt").read_text() == "2\n"
    assert "nothing to do" in checkout.retrain("schedule").stdout


def test_force_trains_all_the_same(checkout):
    assert "trained again" in checkout.retrain("force").stdout
    assert checkout.runs == 1


def test_two_at_once_are_refused(checkout):
    (checkout.folder / "source.txt").write_text("3\n")
    with (checkout.folder / LOCK).open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.truncate(0)
        lock.write("4711")
        lock.flush()
        refused = checkout.retrain("schedule")
    assert refused.returncode == 17
    assert "another retraining (process 4711) is under way" in refused.stderr
    assert checkout.runs == 0


def test_a_stage_that_fails_is_an_error_of_its_own(checkout):
    (checkout.folder / "dvc.yaml").write_text(STAGES.replace("cat data", "cat no"))
    failed = checkout.retrain("schedule")
    (checkout.folder / "dvc.yaml").write_text(STAGES)
    assert failed.returncode == 33
    assert "Traceback" not in failed.stderr


@pytest.mark.parametrize(("met", "ran"), [(True, 1), (False, 0)])
def test_drift_decides_where_it_is_the_cause(checkout, met, ran):
    (checkout.folder / "source.txt").write_text("5\n")
    report = {"retrain": met, "rule": {"k": 2, "n": 3, "window_h": 24}}
    (checkout.folder / "drift.json").write_text(json.dumps(report))
    done = checkout.retrain("drift", "--drift", "drift.json")
    assert f"is {'met' if met else 'not met'}" in done.stdout
    assert checkout.runs == ran


@pytest.mark.parametrize("text", ["", "{}", "[]"])
def test_without_a_drift_report_nothing_is_decided(tmp_path, text):
    (tmp_path / "drift.json").write_text(text)
    with pytest.raises(UnreadableFileError, match="run 'dwcp drift' first"):
        due("drift", tmp_path / "drift.json")


def test_missing_outputs_are_no_change_and_edited_data_is():
    status = {
        "simulate": [{"changed outs": {"data/raw": "modified"}}],
        "split": [{"changed deps": {"data/raw": "deleted"}}, {"changed outs": {"x": "deleted"}}],
        "train": ["always changed", {"changed deps": {"params.yaml": {"a.b": "modified"}}}],
    }
    assert changes(status, {"data/raw", "x"}) == ["data/raw: modified", "parameter a.b: modified"]
