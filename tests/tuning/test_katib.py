"""The Katib experiments: of the same spaces, in Katib's form, with a trial command that runs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from katib_rules import FILTERS, collected, shell_line, unknown_fields, wrong

from dwcp_ml import models
from dwcp_ml.tuning.space import as_text, read_space

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "manifests" / "tuning"
NAMES = models.read_params(ROOT / "params.yaml").models


def load(name):
    return yaml.safe_load((FOLDER / f"katib-{name.replace('_', '-')}.yaml").read_text())


def test_the_manifests_are_those_of_the_spaces_and_parameters():
    done = subprocess.run([sys.executable, FOLDER / "make.py", "--check"], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize("name", NAMES)
def test_katib_searches_what_dwcp_tune_searches(name):
    section = models.section(models.read_params(ROOT / "params.yaml"), name)
    space = read_space(ROOT / "tuning" / "spaces.yaml", name, section)
    manifest = load(name)
    metric = next(m for m in models.get(name).metrics if m.name == models.get(name).primary_metric)
    assert manifest["spec"]["objective"] == {
        "type": {"lower": "minimize", "higher": "maximize"}[metric.better],
        "objectiveMetricName": metric.name,
    }
    found = {p["name"]: p for p in manifest["spec"]["parameters"]}
    assert set(found) == set(space.vary)
    for key, vary in space.vary.items():
        feasible = found[key]["feasibleSpace"]
        if vary.choices:
            assert feasible["list"] == [as_text(c) for c in vary.choices]
        else:
            assert [float(feasible[k]) for k in ("min", "max")] == [vary.low, vary.high]
            assert (feasible["distribution"] == "logUniform") == vary.log


@pytest.mark.parametrize("name", NAMES)
def test_the_manifest_has_the_fields_that_katib_and_kubernetes_know(name):
    manifest = load(name)
    assert wrong(manifest) == []
    assert unknown_fields(manifest["spec"]["trialTemplate"]["trialSpec"], "V1Job") == []


def test_the_rules_see_what_they_are_for():
    broken = load("node_reliability")
    broken["spec"]["trialTemplate"]["trialParameters"].pop()
    broken["spec"]["parameters"][0]["feasibleSpace"]["min"] = 0.1
    broken["spec"]["maxTrials"] = 3
    assert len(wrong(broken)) == 4
    job = broken["spec"]["trialTemplate"]["trialSpec"]
    job["spec"]["template"]["spec"]["containers"][0]["commands"] = []
    assert unknown_fields(job, "V1Job") == [".spec.template.spec.containers.commands"]


@pytest.mark.parametrize("name", NAMES)
def test_no_value_needs_quotes_in_the_shell_that_the_collector_wraps_around(name):
    manifest = load(name)
    for parameter in manifest["spec"]["parameters"]:
        for value in parameter["feasibleSpace"].get("list", []):
            assert not set(value) & set(" '\"$;&|<>*?(){}\\`")


def test_a_trials_command_prints_what_the_collector_finds_and_needs_no_optuna(desk):
    """In the image optuna is not installed; here importing it fails."""
    manifest = load("node_reliability")
    values = {"boosting_learning_rate": "0.05", "boosting_leaves": "7", "forest_trees": "50",
              "boosting_iterations": "100", "forest_rows_per_tree": "128"}  # fmt: skip
    line = shell_line(manifest, values)
    assert line.startswith("dwcp tune node_reliability --params=/config/params.yaml")
    line = line.replace("/config/", f"{desk}/").replace("=/splits", f"={desk}/data/splits")
    (desk / "without" / "optuna").mkdir(parents=True)
    (desk / "without" / "optuna" / "__init__.py").write_text("raise ImportError('not here')")
    empty = desk / "elsewhere"
    empty.mkdir()
    dwcp = shutil.which("dwcp", path=str(Path(sys.executable).parent))
    done = subprocess.run(
        ["/bin/sh", "-c", line.replace("dwcp", str(dwcp), 1) + " 1>metrics.log 2>&1"],
        cwd=empty,
        env=os.environ | {"PYTHONPATH": str(desk / "without"), "OMP_NUM_THREADS": "1"},
    )
    log = (empty / "metrics.log").read_text()
    assert done.returncode == 0, log
    for pattern in FILTERS:
        (value,) = collected(log, "average_precision", pattern)
        assert 0 < float(value) <= 1
    assert [p.name for p in empty.iterdir()] == ["metrics.log"]
