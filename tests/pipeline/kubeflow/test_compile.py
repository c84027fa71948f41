"""Compiled pipelines: equal bytes, pinned images, and the settings of every task."""

import subprocess
from pathlib import Path

import pytest
import yaml
from tiny import ROOT, dwcp

from dwcp_ml.errors import CompileError
from dwcp_ml.kubeflow.compile import NAMES, build, compiled
from dwcp_ml.kubeflow.settings import Settings, Store, Toleration, Volume
from dwcp_ml.models import available, read_params

P2W = ROOT.parent / "shared" / "cluster" / "kfp" / "pipeline2workflow"
P2W_BUILT = Path.home() / ".cache" / "test-cluster" / "kfp" / "bin" / "pipeline2workflow"
TARGETS = ("data", "pipeline", "sklearn", "tensorflow")
PINNED = {t: f"registry.example/dwcp-{t}@sha256:{'0' * 63}{i}" for i, t in enumerate(TARGETS)}


def compile_with(settings=Settings(), name="train"):  # noqa: B008 (frozen)
    text = compiled(build(name, read_params(ROOT / "params.yaml"), settings, ROOT))
    spec, platform = yaml.safe_load_all(text)
    return text, spec, platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]


def tasks(spec):
    """Task -> its specification, of the root and of every pipeline in it."""
    dags = [spec["root"], *(c for c in spec["components"].values() if "dag" in c)]
    return {
        name: task
        for dag in dags
        for name, task in dag["dag"]["tasks"].items()
        if "executorLabel" in spec["components"][task["componentRef"]["name"]]
    }


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_compile_the_same_bytes_and_they_are_the_kept_ones(name, tmp_path):
    for seed in ("1", "2"):
        out = tmp_path / f"{seed}.yaml"
        none = tmp_path / "none.json"
        dwcp("pipeline", "compile", name, "--images", none, "--out", out, PYTHONHASHSEED=seed)
    assert (tmp_path / "1.yaml").read_bytes() == (tmp_path / "2.yaml").read_bytes()
    kept = ROOT / "pipelines" / f"{name}.yaml"
    assert kept.read_bytes() == (tmp_path / "1.yaml").read_bytes(), "dwcp pipeline compile --keep"


def test_check_refuses_a_kept_file_that_is_out_of_date(tmp_path):
    params = tmp_path / "params.yaml"
    params.write_text((ROOT / "params.yaml").read_text().replace("epochs: 8", "epochs: 9"))
    output = dwcp("pipeline", "compile", "--check", "--params", params, code=CompileError.exit_code)
    assert "out of date" in output


def test_images_are_pinned_by_digest_where_they_were_built():
    _, spec, _ = compile_with(Settings(images=PINNED))
    used = {e["container"]["image"] for e in spec["deploymentSpec"]["executors"].values()}
    assert used == set(PINNED.values())


def test_trainer_without_tensorflow_has_the_smaller_image():
    _, spec, _ = compile_with(Settings(images=PINNED))
    image = {n: e["container"]["image"] for n, e in spec["deploymentSpec"]["executors"].items()}
    assert image["exec-train-node-reliability"] == PINNED["sklearn"]
    assert image["exec-train-bandwidth-predictor"] == PINNED["tensorflow"]


def test_every_task_has_requests_limits_and_a_deadline():
    _, spec, platform = compile_with()
    executors = spec["deploymentSpec"]["executors"]
    for name, executor in executors.items():
        resources = executor["container"]["resources"]
        wanted = {"resourceCpuLimit", "resourceMemoryLimit", "resourceCpuRequest",
                  "resourceMemoryRequest"}  # fmt: skip
        assert wanted <= set(resources), name
    assert set(platform) == set(executors)
    assert all(int(p["activeDeadlineSeconds"]) > 0 for p in platform.values())


def test_only_steps_that_may_fail_in_passing_are_retried():
    _, spec, _ = compile_with()
    retried = {name for name, task in tasks(spec).items() if "retryPolicy" in task}
    assert retried == {"fetch-data", "register"}


def test_steps_that_look_outside_or_write_outside_are_never_cached():
    _, spec, _ = compile_with(name="train_and_deploy")
    found = tasks(spec)
    uncached = {n for n, t in found.items() if not t["cachingOptions"].get("enableCache")}
    assert uncached == {"resolve", "register", "deploy", "report-failure"}
    _, spec, _ = compile_with(Settings(cache=False))
    assert not any(t["cachingOptions"].get("enableCache") for t in tasks(spec).values())


def test_models_train_beside_each_other():
    _, spec, _ = compile_with()
    found = tasks(spec)
    for model in available():
        upstream = found[f"train-{model.replace('_', '-')}"]["dependentTasks"]
        assert upstream == ["split"]


def test_trainer_is_given_its_own_section_only():
    _, spec, _ = compile_with()
    given = tasks(spec)["train-node-reliability"]["inputs"]["parameters"]
    channels = {p["componentInputParameter"] for p in given.values()}
    assert channels == {"pipelinechannel--seed", "pipelinechannel--node_reliability"}


def test_registering_waits_for_the_gate():
    _, spec, _ = compile_with()
    assert "gate" in tasks(spec)["register"]["dependentTasks"]


def test_parameters_have_the_values_of_the_parameter_file():
    _, spec, _ = compile_with()
    given = yaml.safe_load((ROOT / "params.yaml").read_text())
    defaults = spec["root"]["inputDefinitions"]["parameters"]
    for section in ("fresh", "split", "evaluate", *available()):
        assert defaults[section]["defaultValue"] == given[section]
    assert defaults["seed"]["defaultValue"] == given["seed"]


def test_placement_reaches_every_task_and_the_volume_those_that_read_data():
    settings = Settings(
        node_selector={"pool": "training"},
        tolerations=(Toleration.parse("training=yes:NoSchedule"), Toleration.parse("spot")),
        volume=Volume.parse("telemetry:/data"),
    )
    _, _, platform = compile_with(settings)
    for name, executor in platform.items():
        assert executor["nodeSelector"]["labels"] == {"pool": "training"}, name
        assert [t["key"] for t in executor["tolerations"]] == ["training", "spot"]
    mounted = {name for name, executor in platform.items() if "pvcMount" in executor}
    assert "exec-fetch-data" in mounted
    assert "exec-train-node-reliability" not in mounted


def test_keys_of_the_store_travel_as_a_secret_and_only_where_they_are_needed():
    text, spec, platform = compile_with(Settings(store=Store("http://s3:9000", "r", "keys")))
    holders = {name for name, executor in platform.items() if "secretAsVolume" in executor}
    assert "exec-register" in holders
    assert "exec-split" not in holders
    assert "secretAsEnv" not in text, "its fields differ between versions of the backend"
    environment = spec["deploymentSpec"]["executors"]["exec-register"]["container"]["env"]
    assert {"name": "AWS_ENDPOINT_URL", "value": "http://s3:9000"} in environment


def test_a_tracking_server_reaches_the_steps_that_send_to_it_and_no_other():
    _, spec, _ = compile_with(Settings(tracking_uri="http://mlflow.mlflow:5000"))
    told = {
        name
        for name, executor in spec["deploymentSpec"]["executors"].items()
        for entry in executor["container"].get("env", [])
        if entry == {"name": "MLFLOW_TRACKING_URI", "value": "http://mlflow.mlflow:5000"}
    }
    assert told == {"exec-report", "exec-register"}
    assert "MLFLOW" not in compile_with()[0]


def test_a_login_of_the_tracking_server_is_not_compiled_in():
    with pytest.raises(CompileError, match="holds a login"):
        Settings(tracking_uri="https://me:secret@mlflow:5000")


def test_every_model_has_a_trainer_and_a_place_in_the_report():
    from dwcp_ml.kubeflow.kit import load, need_inputs

    need_inputs("report", list(available()))
    for model in available():
        load(f"train_{model}")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: build("trian", read_params(ROOT / "params.yaml"), Settings(), ROOT), "'train'"),
        (
            lambda: build("train", read_params(ROOT / "params.yaml"), Settings(), Path("/")),
            "project's folder",
        ),
        (lambda: Toleration.parse("a=b:Sometimes"), "KEY=VALUE:NoSchedule"),
        (lambda: Volume.parse("claim"), "CLAIM:/PATH"),
    ],
)
def test_slip_is_told_in_one_sentence(make, says):
    with pytest.raises(CompileError, match=says):
        make()


@pytest.mark.parametrize("name", NAMES)
def test_api_server_of_the_backend_accepts_the_compiled_pipeline(name, tmp_path):
    if not (P2W.exists() and P2W_BUILT.exists()):
        pytest.skip("pipeline2workflow is not built")
    text, _, _ = compile_with(
        Settings(
            images=PINNED,
            node_selector={"a": "b"},
            tolerations=(Toleration.parse("a"),),
            volume=Volume.parse("claim:/data"),
        ),
        name,
    )
    path = tmp_path / "pipeline.yaml"
    path.write_text(text)
    done = subprocess.run([P2W_BUILT, path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout)["kind"] == "Workflow"
