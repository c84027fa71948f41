"""What the workflows ask for is pinned, bounded and there; no secret is kept."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".github" / "workflows"
FILES = {file.name: file.read_text() for file in sorted(FOLDER.glob("*.yml"))}
SCRIPTS = sorted((ROOT / ".github" / "scripts").iterdir())
PIN = re.compile(r"uses: ([\w.-]+/[\w.-]+)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)$")
# Programs of GitHub's Ubuntu image, and of the steps before.
PROGRAMS = {"cat", "docker", "gh", "go", "sudo"}
# Who needs more than reading this repository, and for what.
WRITERS = {
    ("retrain.yml", "train"): {"id-token"},  # the store, by OIDC
    ("retrain.yml", "propose"): {"contents", "pull-requests"},
    ("retrain.yml", "deploy"): {"id-token"},  # store and cluster, by OIDC
    ("retrain.yml", "alert"): {"issues"},
    ("retrain-watch.yml", "missed"): {"issues"},
    ("release.yml", "images"): {"packages", "id-token"},  # push, and sign by OIDC
    ("release.yml", "go"): {"contents"},  # the tag
}


def parsed(name):
    whole = yaml.safe_load(FILES[name])
    whole["on"] = whole.pop(True)  # YAML 1.1 reads `on` as true
    return whole


WORKFLOWS = {name: parsed(name) for name in FILES}
JOBS = {(name, job): body for name in FILES for job, body in WORKFLOWS[name]["jobs"].items()}
STEPS = [(key, step) for key, job in JOBS.items() for step in job["steps"]]
RUNS = [
    pytest.param(step["run"], id=f"{key}: {step['run']}") for key, step in STEPS if "run" in step
]


def test_actionlint_finds_nothing():
    (version,) = re.findall(r"^ACTIONLINT_VERSION := (v[\d.]+)$", makefile(), re.MULTILINE)
    program = ROOT / ".tools" / f"actionlint-{version}" / "actionlint"
    if not program.exists() and not shutil.which("go"):
        pytest.skip("needs actionlint, which `make lint-workflows` builds with Go")
    done = subprocess.run(["make", "lint-workflows"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    if "skipped" in done.stdout:
        pytest.skip(done.stdout)


@pytest.mark.parametrize("name", FILES)
def test_every_action_is_pinned_by_commit_with_its_version_beside_it(name):
    lines = [line.strip().removeprefix("- ") for line in FILES[name].splitlines()]
    uses = [line for line in lines if line.startswith("uses:")]
    assert uses
    for line in uses:
        assert PIN.fullmatch(line), line


def test_an_action_has_one_pin_everywhere():
    lines = [line for text in FILES.values() for line in text.splitlines()]
    pins = {match.groups() for match in map(PIN.search, lines) if match}
    assert len({action for action, _, _ in pins}) == len(pins)


@pytest.mark.parametrize("name", FILES)
def test_a_workflow_grants_nothing_and_its_jobs_no_more_than_they_need(name):
    assert WORKFLOWS[name]["permissions"] == {}
    for job, body in WORKFLOWS[name]["jobs"].items():
        granted = body["permissions"]
        assert set(granted.values()) <= {"read", "write"}
        writes = {scope for scope, level in granted.items() if level == "write"}
        assert writes == WRITERS.get((name, job), set()), job


@pytest.mark.parametrize("key", JOBS, ids=":".join)
def test_a_job_ends_and_names_its_machine(key):
    assert JOBS[key]["timeout-minutes"] <= 240
    assert JOBS[key]["runs-on"] == "ubuntu-24.04"


@pytest.mark.parametrize("name", FILES)
def test_no_secret_is_kept(name):
    assert "secrets." not in FILES[name]
    assert not re.search(r"(ACCESS_KEY|PASSWORD|PRIVATE_KEY)", FILES[name])


@pytest.mark.parametrize("key", JOBS, ids=":".join)
def test_only_a_job_that_pushes_keeps_the_token_in_its_checkout(key):
    pushes = JOBS[key]["permissions"].get("contents") == "write"
    for step in JOBS[key]["steps"]:
        if step.get("uses", "").startswith("actions/checkout@"):
            kept = step.get("with", {}).get("persist-credentials", True)
            assert kept == pushes


@pytest.mark.parametrize("run", RUNS)
def test_a_step_calls_what_is_there(run):
    assert "\n" not in run, "a script in .github/scripts can be tested, one in a step cannot"
    program, *words = shlex.split(re.sub(r"\$\{\{.*?\}\}", "X", run))
    if program == "make":
        done = subprocess.run(["make", "-n", *words], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    elif program.startswith(".github/"):
        assert os.access(ROOT / program, os.X_OK)
    else:
        assert program in PROGRAMS


@pytest.mark.parametrize("run", RUNS)
def test_no_step_pastes_what_others_may_write_into_its_command(run):
    assert set(re.findall(r"\$\{\{\s*(.+?)\s*\}\}", run)) <= {"matrix.target"}


def test_every_script_is_called_and_is_bash():
    called = " ".join(step.get("run", "") for _, step in STEPS)
    called += " ".join(script.read_text() for script in SCRIPTS)
    for script in SCRIPTS:
        assert script.name in called
        assert script.read_text().startswith("#!/usr/bin/env bash\n# ")
        assert "set -euo pipefail" in script.read_text()
        assert subprocess.run(["bash", "-n", script]).returncode == 0


def test_ci_runs_what_developers_run_on_every_python_of_the_project():
    wanted = re.search(r'requires-python = ">=3\.(\d+),<3\.(\d+)"', pyproject())
    pythons = [f"3.{minor}" for minor in range(int(wanted[1]), int(wanted[2]))]
    test = JOBS["ci.yml", "test"]
    assert test["strategy"]["matrix"]["python"] == pythons
    assert test["env"]["UV_PYTHON"] == "${{ matrix.python }}"
    runs = {step.get("run") for _, step in STEPS}
    assert {"make check", "make test", "make test-docker"} <= runs
    locally = (ROOT / ".ci" / "run").read_text()
    assert "make check" in locally
    assert "make test" in locally


def test_the_training_is_weekly_alone_and_followed_by_a_look_whether_it_ran():
    retrain, watch = WORKFLOWS["retrain.yml"], WORKFLOWS["retrain-watch.yml"]
    assert retrain["on"]["schedule"] == [{"cron": "0 2 * * 0"}]
    assert retrain["jobs"]["train"]["concurrency"]["group"] == "retrain"
    assert retrain["jobs"]["train"]["concurrency"]["cancel-in-progress"] is False
    minute, hour, _, _, day = watch["on"]["schedule"][0]["cron"].split()
    assert (minute, hour, day) == ("0", "9", "1"), "on the day after"
    alert = retrain["jobs"]["alert"]
    assert set(alert["needs"]) == set(retrain["jobs"]) - {"alert"}


def test_after_an_unchanged_check_no_step_does_anything():
    steps = JOBS["retrain.yml", "train"]["steps"]
    place = next(i for i, step in enumerate(steps) if step.get("id") == "changed")
    for step in steps[place + 1 :]:
        condition = step["if"]
        assert "steps.changed.outputs.changed == 'true'" in condition or condition == (
            "always() && steps.run.outcome != 'skipped'"
        )
    assert JOBS["retrain.yml", "propose"]["if"] == "needs.train.outputs.changed == 'true'"
    assert "propose" in JOBS["retrain.yml", "deploy"]["needs"]


def test_a_release_makes_every_image_of_both_dockerfiles():
    stages = itertools.chain.from_iterable(
        re.findall(r"^FROM \S+ AS (\S+)$", (ROOT / file).read_text(), re.MULTILINE)
        for file in ("Dockerfile.serve", "Dockerfile.train")
    )
    inner = {"locked", "build", "packages", "project", "runtime"}
    images = {stage for stage in stages if stage not in inner and not stage.endswith("-packages")}
    assert set(JOBS["release.yml", "images"]["strategy"]["matrix"]["target"]) == images


def makefile():
    return (ROOT / "Makefile").read_text()


def pyproject():
    return (ROOT / "pyproject.toml").read_text()
