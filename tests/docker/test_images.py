"""The images of `tools/images.py`, if DWCP_IMAGES names the file that it wrote.

Containers run as a restricted pod does: no root, no capability, no network, nothing writable but
/tmp and the folder of the work.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from dwcp_ml.files import sha256

ROOT = Path(__file__).parents[2]
COMPONENTS = ("pipeline", "data", "sklearn", "tensorflow")
SIZES_MB = {
    "pipeline": 530,
    "data": 950,
    "sklearn": 1060,
    "tensorflow": 2200,
    "operator": 500,
    "spark": 2400,
}
MODELS = {"node_reliability": "sklearn", "compression_selector": "tensorflow"}
SMALL = {
    "models": list(MODELS),
    "simulate": {"nodes": 12, "steps": 3000, "nodes_per_part": 6},
    "evaluate": {"resamples": 20},
    "node_reliability": {"train_rows": 8000, "validation_rows": 3000, "boosting_iterations": 20},
    "compression_selector": {
        "train_rows": 8000, "validation_rows": 3000, "test_rows": 3000, "epochs": 2,
    },
}  # fmt: skip


def images_file():
    given = os.environ.get("DWCP_IMAGES")
    return ROOT / given if given and shutil.which("docker") else None


pytestmark = pytest.mark.skipif(
    images_file() is None, reason="DWCP_IMAGES names no images, or there is no Docker"
)


@pytest.fixture(scope="session")
def images():
    return json.loads(images_file().read_text())


def docker(*words):
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=True).stdout


def inspected(image):
    return json.loads(docker("image", "inspect", image))[0]


def inside(image, *command, work=None):
    words = ["run", "--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp"]  # noqa: S108
    words += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--entrypoint", ""]
    words += ["--volume", f"{work}:/work", "--workdir", "/work"] if work else []
    if os.getuid():  # the files of the work are then ours; else the image's own user is taken
        words += ["--user", f"{os.getuid()}:{os.getgid()}"]
    return docker(*words, image, *command)


def python(image, code):
    return inside(image, "python", "-c", code).strip()


@pytest.mark.parametrize("target", SIZES_MB)
def test_an_image_is_small_and_its_user_a_number_that_is_not_root(images, target):
    about = inspected(images[target])
    assert about["Size"] < SIZES_MB[target] * 1e6
    assert about["Config"]["User"] == "65532:65532"  # a pod that must not be root wants a number


@pytest.mark.parametrize("target", SIZES_MB)
def test_the_project_is_a_small_layer_on_the_packages(images, target):
    sizes = docker(
        "history", "--no-trunc", "--human=false", "--format", "{{.Size}}", images[target]
    )
    project, packages = [int(size) for size in sizes.split() if int(size)][:2]
    assert project < 5e6 < 100e6 < packages


@pytest.mark.parametrize("target", COMPONENTS)
def test_kubeflow_can_put_its_command_into_a_component_image(images, target):
    assert not inspected(images[target])["Config"]["Entrypoint"]
    script = 'cd "$(mktemp -d)" && python3 -m kfp.dsl.executor_main --help && touch "$HOME/here"'
    assert "executor_input" in inside(images[target], "sh", "-ec", script)


def test_the_operator_image_starts_the_operator(images):
    entrypoint = inspected(images["operator"])["Config"]["Entrypoint"]
    assert entrypoint == ["/app/.venv/bin/dwcp", "rollout", "operator"]
    assert "operator" in inside(images["operator"], *entrypoint, "--help")


def test_the_spark_image_simulates_on_the_spark_in_it(images, tmp_path):
    tmp_path.chmod(0o777)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    host = ["env", "SPARK_LOCAL_IP=127.0.0.1", "SPARK_LOCAL_HOSTNAME=localhost"]  # no network here
    told = inside(
        images["spark"], *host, "dwcp", "scale", "simulate", "--master", "local[1]",
        "--nodes", "2", "--steps", "50", "--nodes-per-part", "1", "--out", "raw", work=tmp_path,
    )  # fmt: skip
    assert "100 rows of 2 series" in told
    assert len(list((tmp_path / "raw" / "telemetry").glob("*.parquet"))) == 2


@pytest.mark.parametrize("target", ["pipeline", "data", "sklearn", "operator", "spark"])
def test_only_the_tensorflow_image_holds_tensorflow(images, target):
    find = "import importlib.util as u; print([n for n in {} if u.find_spec(n)])"
    names = ("tensorflow", "keras", "tf2onnx", "pytest")
    assert python(images[target], find.format(names)) == "[]"
    assert python(images["tensorflow"], find.format(names)) == "['tensorflow', 'keras', 'tf2onnx']"


@pytest.mark.parametrize("target", SIZES_MB)
def test_an_image_knows_the_commit_of_its_code(images, target):
    label = inspected(images[target])["Config"]["Labels"]["org.opencontainers.image.revision"]
    read = (
        "from importlib.resources import files; print((files('dwcp_ml') / 'REVISION').read_text())"
    )
    assert python(images[target], read) == label
    if target in MODELS.values():
        asked = "from dwcp_ml.session import git_commit; print(git_commit() or '')"
        assert python(images[target], asked) == label


def stages():
    """(target, command) of everything between nothing and the master report."""
    yield from (("data", ["simulate"]), ("data", ["validate"]), ("data", ["split"]))
    for model, trainer in MODELS.items():
        yield trainer, ["train", model]
        yield "tensorflow", ["export", model]
        yield "sklearn", ["evaluate", model]
    yield "pipeline", ["report"]


@pytest.fixture(scope="session")
def made_in(images, tmp_path_factory):
    """What all stages write: on this machine, and in the containers."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    for key, value in SMALL.items():
        params[key] = params[key] | value if isinstance(value, dict) else value
    folders = {name: tmp_path_factory.mktemp(name) for name in ("host", "containers")}
    for folder in folders.values():
        (folder / "params.yaml").write_text(yaml.safe_dump(params))
        folder.chmod(0o777)  # the image's user is nobody here
    dwcp = [sys.executable, "-m", "dwcp_ml.cli"]
    for target, command in stages():
        here = folders["host"]
        subprocess.run([*dwcp, *command], cwd=here, check=True, capture_output=True)
        inside(images[target], "dwcp", *command, work=folders["containers"])
    return folders


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", ["data/raw", "data/splits", *(f"artifacts/{m}/model.onnx" for m in MODELS)]
)
def test_containers_and_this_machine_write_the_same_bytes(made_in, path):
    assert sha256(made_in["containers"] / path) == sha256(made_in["host"] / path)


@pytest.mark.slow
def test_the_report_made_in_containers_has_every_model_and_its_drawings(made_in):
    reports = made_in["containers"] / "reports"
    master = json.loads((reports / "master_training_report.json").read_text())
    assert list(master["models"]) == list(MODELS)
    assert "<svg" in (reports / "master_training_report.html").read_text()


@pytest.mark.slow
def test_the_data_image_fetches_what_another_pushed_with_dvc(images, made_in, tmp_path):
    project = "d=$(mktemp -d); cd $d; dvc init -q --no-scm; dvc remote add -q -d store /work/store;"
    add = f"{project} cp -r /work/data/raw raw; dvc add -q raw; dvc push -q; cp raw.dvc /work"
    inside(images["data"], "sh", "-ec", add, work=made_in["containers"])
    pull = f"{project} cp /work/raw.dvc .; dvc pull -q; cp -r raw /work/pulled"
    inside(images["data"], "sh", "-ec", pull, work=made_in["containers"])
    assert sha256(made_in["containers"] / "pulled") == sha256(made_in["host"] / "data" / "raw")
