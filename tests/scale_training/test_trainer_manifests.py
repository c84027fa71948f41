"""The TrainJob: fields that Kubeflow Trainer knows, words that the command takes."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from dwcp_ml.scale.workers import COUNT, FIRST, INDEX, team
from dwcp_ml.scale.workers_command import train_command

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "manifests" / "training"
# Of the definitions in kubeflow/trainer: types, words and needed fields of the specs.
SPECS = json.loads(Path(__file__).with_name("trainer.json").read_text())
PORT = 29500  # of every trainer node


def manifest(name):
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text())


def strict(node):
    """The API server drops fields that it does not know; here they are faults."""
    if isinstance(node, list):
        return [strict(value) for value in node]
    if isinstance(node, dict):
        node = {key: strict(value) for key, value in node.items()}
        if isinstance(node.get("properties"), dict):
            node["additionalProperties"] = False
    return node


def faults(found):
    checker = jsonschema.Draft202012Validator(strict(SPECS[found["kind"]]))
    return [error.message for error in checker.iter_errors(found["spec"])]


@pytest.mark.parametrize("name", ["runtime", "trainjob"])
def test_the_definition_takes_every_field(name):
    found = manifest(name)
    assert found["apiVersion"] == "trainer.kubeflow.org/v1alpha1"
    assert faults(found) == []


def test_a_misspelt_field_or_a_wrong_type_would_be_found():
    found = manifest("runtime")
    job = found["spec"]["template"]["spec"]["replicatedJobs"][0]
    job["template"]["spec"]["template"]["spec"]["containers"][0]["volumeMount"] = []
    found["spec"]["mlPolicy"]["numNodes"] = "two"
    assert len(faults(found)) == 2


def test_job_and_runtime_name_each_other_and_what_trainer_looks_for():
    job, runtime = manifest("trainjob"), manifest("runtime")
    reference = job["spec"]["runtimeRef"]
    assert (reference["kind"], reference["name"]) == (runtime["kind"], runtime["metadata"]["name"])
    (node,) = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    labels = node["template"]["metadata"]["labels"]
    assert labels == {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}
    (container,) = node["template"]["spec"]["template"]["spec"]["containers"]
    assert (node["name"], container["name"]) == ("node", "node")


def test_the_command_takes_the_jobs_words():
    words = manifest("trainjob")["spec"]["trainer"]["command"]
    assert words[:3] == ["dwcp", "scale", "train"]
    context = train_command.make_context("train", words[3:])
    assert (context.params["model"], str(context.params["out"])) == (
        "bandwidth_predictor",
        "/artifacts",
    )


@pytest.mark.parametrize("index", [0, 1])
def test_a_node_of_the_job_finds_its_place_in_what_trainer_tells_it(index):
    """The addresses are those of pkg/runtime/framework/plugins/jax/jax.go."""
    job = manifest("trainjob")
    name, count = job["metadata"]["name"], job["spec"]["trainer"]["numNodes"]
    told = {COUNT: str(count), INDEX: str(index), FIRST: f"{name}-node-0-0.{name}:{PORT}"}
    found = team(told)
    assert found.index == index
    assert found.addresses == tuple(f"{name}-node-0-{i}.{name}:{PORT}" for i in range(count))
