"""The SparkApplications: fields that the operator knows, words that the command takes."""

import copy
import json
import shutil
import subprocess
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path

import jsonschema
import pytest
import yaml

from dwcp_ml.cli import main
from dwcp_ml.scale.pod import command

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "manifests" / "scale"
STAGES = sorted(p.name for p in FOLDER.iterdir() if p.name != "base")
# Of kubeflow/spark-operator's definition: types, words and needed fields of the spec.
SPEC = json.loads(Path(__file__).with_name("sparkapplication.json").read_text())["schema"]
kustomize = pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not there")


@cache
def application(stage):
    words = ["kubectl", "kustomize", str(FOLDER / stage)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (found,) = yaml.safe_load_all(done.stdout)
    return found


def strict(node):
    """The API server drops fields that it does not know; here they are faults."""
    if isinstance(node, dict):
        node = {key: strict(value) for key, value in node.items()}
        if "properties" in node:
            node["additionalProperties"] = False
    return node


def faults(spec):
    checker = jsonschema.Draft202012Validator(strict(SPEC))
    return [error.message for error in checker.iter_errors(spec)]


@kustomize
@pytest.mark.parametrize("stage", STAGES)
def test_the_operators_definition_takes_every_field(stage):
    found = application(stage)
    assert (found["apiVersion"], found["kind"]) == (
        "sparkoperator.k8s.io/v1beta2",
        "SparkApplication",
    )
    assert found["metadata"]["name"] == f"dwcp-{stage}"
    assert faults(found["spec"]) == []


@kustomize
def test_the_check_sees_what_it_is_for():
    broken = copy.deepcopy(application("score")["spec"])
    broken["driver"]["memories"] = "1g"
    broken["type"] = "python"
    del broken["sparkVersion"]
    assert len(faults(broken)) == 3


@kustomize
@pytest.mark.parametrize("stage", STAGES)
def test_the_command_takes_its_words(stage):
    words = application(stage)["spec"]["arguments"]
    context = main.make_context("dwcp", list(words))
    for _ in range(2):
        name, below, rest = context.command.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        context = below.make_context(name, rest, parent=context)
    assert context.info_name == stage


@kustomize
def test_stages_hand_over_and_the_first_one_makes_a_billion_rows():
    words = {stage: application(stage)["spec"]["arguments"] for stage in STAGES}
    given = {s: dict(pairwise(w)) for s, w in words.items()}
    assert int(given["simulate"]["--nodes"]) * int(given["simulate"]["--steps"]) == 10**9
    assert given["validate"]["--raw"] == given["split"]["--raw"] == given["simulate"]["--out"]
    assert given["score"]["--data"] == given["split"]["--out"]


@kustomize
@pytest.mark.parametrize("stage", STAGES)
def test_image_and_pyspark_are_of_one_version_and_pods_have_no_rights(stage):
    spec = application(stage)["spec"]
    lock = (ROOT / "uv.lock").read_text()
    assert f'name = "pyspark"\nversion = "{spec["sparkVersion"]}"' in lock
    dockerfile = (ROOT / "Dockerfile.train").read_text()
    assert spec["mainApplicationFile"] == "local:///app/dwcp.py"
    assert ">/app/dwcp.py" in dockerfile
    for pod in ("driver", "executor"):
        context = spec[pod]["securityContext"]
        assert f"USER {context['runAsUser']}:{context['runAsGroup']}" in dockerfile
        assert context["runAsNonRoot"]
        assert not context["allowPrivilegeEscalation"]


def test_a_driver_pod_submits_to_itself_and_an_executor_pod_connects_to_it():
    environment = {
        "SPARK_DRIVER_BIND_ADDRESS": "10.0.0.1",
        "SPARK_JAVA_OPT_10": "-Db=2",
        "SPARK_JAVA_OPT_9": "-Da=1",
        "SPARK_EXECUTOR_MEMORY": "2g",
        "SPARK_DRIVER_URL": "spark://driver:7078",
        "SPARK_EXECUTOR_ID": "3",
        "SPARK_EXECUTOR_CORES": "4",
        "SPARK_APPLICATION_ID": "app",
        "SPARK_EXECUTOR_POD_IP": "10.0.0.2",
        "SPARK_RESOURCE_PROFILE_ID": "0",
        "SPARK_EXECUTOR_POD_NAME": "exec-3",
    }
    home = Path("/spark")
    words = ["driver", "--properties-file", "p", "local:///app/dwcp.py", "scale", "simulate"]
    assert command(words, environment, home) == [
        "/spark/bin/spark-submit", "--conf", "spark.driver.bindAddress=10.0.0.1",
        "--deploy-mode", "client", *words[1:],
    ]  # fmt: skip
    found = command(["executor"], environment, home)
    assert found[:5] == ["java", "-Da=1", "-Db=2", "-Xms2g", "-Xmx2g"]
    assert found[found.index("-cp") + 1] == "/spark/conf:/spark/jars/*"
    assert found[found.index("--driver-url") + 1] == "spark://driver:7078"
    assert command(["id", "-u"], environment, home) == ["id", "-u"]


def test_the_executors_class_is_in_the_distribution():
    pyspark = pytest.importorskip("pyspark")
    jars = Path(pyspark.__file__).parent / "jars"
    (jar,) = jars.glob("spark-kubernetes_*.jar")
    listed = subprocess.run(
        [sys.executable, "-m", "zipfile", "-l", jar], capture_output=True, text=True
    )
    assert "scheduler/cluster/k8s/KubernetesExecutorBackend.class" in listed.stdout
