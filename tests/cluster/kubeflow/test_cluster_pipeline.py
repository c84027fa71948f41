"""The small fleet on a real backend: submitted, cached, failing in every way, and on a schedule.

One run takes minutes, since every task is two pods; the tests share what they can.
"""

import json
import re
import time
import uuid

import pytest
import yaml
from kubeflow_cluster import kubectl
from tiny import MODELS, digests, dwcp, write_tiny

from dwcp_ml import errors
from dwcp_ml.kubeflow import client as runs
from dwcp_ml.kubeflow.endpoint import connect
from dwcp_ml.kubeflow.tasks import cached_tasks

BUCKET = "mlpipeline"
DEADLINE_MIN = "40"
RUN = re.compile(r"^run ([0-9a-f-]{36})$", re.MULTILINE)


@pytest.fixture(scope="session")
def client(images):
    return connect(None)


@pytest.fixture(scope="session")
def prefix():
    """A registry that nobody else uses."""
    return f"dwcp-tests/{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="session")
def params(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("cluster"))


def submit(params, images, prefix, *more, code=0):
    """(id of the run, what was printed) of a run that has ended."""
    output = dwcp(
        "pipeline", "submit", "--params", params, "--images", images, "--deadline-min",
        DEADLINE_MIN, "--registry-uri", f"s3://{BUCKET}/{prefix}", "--experiment", "dwcp-tests",
        *more, code=code,
    )  # fmt: skip
    found = RUN.search(output)
    return (found[1] if found else None), output


@pytest.fixture(scope="session")
def approved(params, images, prefix):
    return submit(params, images, prefix)


def objects(store, prefix):
    found = store.list_objects_v2(Bucket=BUCKET, Prefix=f"{prefix}/")
    return {o["Key"].removeprefix(f"{prefix}/"): o["ETag"] for o in found.get("Contents", [])}


def artifact(store, run, task, name):
    """Content of a file artifact of a run."""
    found = store.list_objects_v2(Bucket=BUCKET, Prefix=f"v2/artifacts/dwcp-train/{run}/{task}/")
    (key,) = (o["Key"] for o in found["Contents"] if o["Key"].endswith(f"/{name}"))
    return store.get_object(Bucket=BUCKET, Key=key)["Body"].read()


class TestApprovedRun:
    """Two runs that end well, and what they leave."""

    def test_models_lie_in_the_registry_where_kserve_reads_them(self, approved, store, prefix):
        found = objects(store, prefix)
        for model in MODELS:
            for file in ("model.onnx", "metadata.json", "card.md"):
                assert f"{model}/v1.0/{file}" in found
            latest = store.get_object(Bucket=BUCKET, Key=f"{prefix}/{model}/latest")
            assert latest["Body"].read() == b"v1.0\n"

    def test_page_summary_and_gate_tables_are_artifacts(self, approved, store):
        run, _ = approved
        assert b"<html" in artifact(store, run, "report", "page")[:500].lower()
        assert b"APPROVED" in artifact(store, run, "report", "summary")
        for model in MODELS:
            task = f"evaluate-{model.replace('_', '-')}"
            assert b"| gate |" in artifact(store, run, task, "gates")
        assert artifact(store, run, "report-failure", "outcome").startswith(b"# SUCCEEDED")

    def test_metrics_and_lineage_are_recorded(self, approved, images):
        """In ML Metadata, from where the user interface draws them."""
        run, _ = approved
        found = metadata_artifacts(run)
        metrics = found["evaluate-node-reliability", "metrics"]
        assert metrics["approved"] == 1.0
        assert 0 < metrics["test_recall"] <= 1
        decisions = found["evaluate-node-reliability", "decisions"]
        assert {"confusionMatrix", "confidenceMetrics"} <= set(decisions)

    def test_it_makes_the_same_onnx_files_as_this_machine(self, approved, store, prefix, params,
                                                          tmp_path):  # fmt: skip
        dwcp("pipeline", "run", "--params", params, "--out", tmp_path / "runs",
             "--registry-uri", tmp_path / "models")  # fmt: skip
        (run,) = (p for p in (tmp_path / "runs").iterdir() if p.is_dir())
        here = digests(run / "report" / "bundle" / "artifacts")
        for model in MODELS:
            about = store.get_object(Bucket=BUCKET, Key=f"{prefix}/{model}/v1.0/metadata.json")
            assert json.loads(about["Body"].read())["onnx_sha256"] == here[model]

    def test_second_run_trains_nothing_and_registers_nothing(
        self, approved, client, params, images, prefix, store
    ):
        before = objects(store, prefix)
        run, output = submit(params, images, prefix)
        assert "SUCCEEDED" in output
        cached = cached_tasks(client.get_run(run))
        # All but resolve, evaluate (which now has a champion) and what follows from it.
        assert cached >= 4 + 2 * len(MODELS)
        assert objects(store, prefix) == before

    def test_status_tells_the_tasks(self, approved):
        run, _ = approved
        output = dwcp("pipeline", "status", run)
        assert "SUCCEEDED  register" in output
        assert output.strip().endswith("SUCCEEDED")


@pytest.mark.parametrize(
    ("uri", "revision", "task", "says"),
    [
        (f"s3://{BUCKET}/nothing-here", "", "resolve", "holds no telemetry"),
        (f"dvc+s3://{BUCKET}/dvc", "0" * 32, "fetch-data", "cannot be had"),
    ],
)
def test_missing_data_or_revision_fails_the_run_with_the_reason(
    params, images, prefix, store, uri, revision, task, says
):
    code = errors.PipelineRunError.exit_code
    more = ("--data-uri", uri, "--revision", revision)
    run, output = submit(params, images, f"{prefix}-none", *more, code=code)
    last = output.strip().splitlines()[-1]
    assert f"run {run} FAILED: {task}: " in last
    assert says in last
    assert says.encode() in artifact(store, run, "report-failure", "outcome")


def test_gate_not_passed_registers_nothing_and_still_shows_the_report(
    approved, params, images, prefix, store
):
    section = json.dumps(yaml.safe_load(params.read_text())["node_reliability"] | {
        "max_false_positive_rate": 1e-6})  # fmt: skip
    code = errors.PipelineRunError.exit_code
    elsewhere = f"{prefix}-strict"
    more = ("--set", f"node_reliability={section}")
    run, output = submit(params, images, elsewhere, *more, code=code)
    last = output.strip().splitlines()[-1]
    assert "gate: FAILED: node_reliability" in last
    assert "SKIPPED    register" in output
    assert objects(store, elsewhere) == {}
    assert b"FAILED" in artifact(store, run, "report", "summary")
    assert b"node_reliability" in artifact(store, run, "report-failure", "outcome")


def test_trainer_out_of_memory_fails_the_run_and_the_other_model_is_finished(
    client, params, images, prefix
):
    """The limit is lowered in the compiled file, below what TensorFlow needs to start."""
    out = params.parent / "starved.yaml"
    dwcp("pipeline", "compile", "--params", params, "--images", images, "--out", out)
    spec, platform = yaml.safe_load_all(out.read_text())
    executor = spec["deploymentSpec"]["executors"]["exec-train-compression-selector"]
    executor["container"]["resources"] |= {"resourceMemoryLimit": "220Mi",
                                           "resourceMemoryRequest": "100Mi"}  # fmt: skip
    executor["container"]["resources"].pop("memoryLimit", None)
    executor["container"]["resources"].pop("memoryRequest", None)
    # Another content, or the cache would answer for the step that is to fail.
    section = yaml.safe_load(params.read_text())["compression_selector"] | {"learning_rate": 0.0031}
    text = yaml.safe_dump_all([spec, platform])
    arguments = {
        "registry_uri": f"s3://{BUCKET}/{prefix}-starved",
        "compression_selector": section,
    }
    run = runs.submit(client, text, arguments, name="starved", experiment="dwcp-tests")
    with pytest.raises(errors.PipelineRunError, match=r"train-compression-selector: .*memory"):
        runs.wait(client, run, deadline_s=60 * float(DEADLINE_MIN))
    states = {task.name: task.state for task in runs.status(client, run).tasks}
    assert states["train-compression-selector"] == "FAILED"
    assert states["evaluate-node-reliability"] == "SUCCEEDED"
    assert states["register"] == "SKIPPED"


def test_image_that_is_missing_is_given_up_at_the_deadline(params, images, prefix):
    known = json.loads(images.read_text())
    absent = params.parent / "absent.json"
    name = known["data"].partition("@")[0]
    absent.write_text(json.dumps(known | {"data": f"{name}@sha256:{'0' * 64}"}))
    code = errors.PipelineDeadlineError.exit_code
    output = dwcp(
        "pipeline", "submit", "--params", params, "--images", absent, "--deadline-min", "1",
        "--registry-uri", f"s3://{BUCKET}/{prefix}-absent", "--experiment", "dwcp-tests",
        code=code,
    )  # fmt: skip
    assert "was stopped after 1 min; under way: resolve" in output
    run = RUN.search(output)[1]
    for _ in range(60):
        status = dwcp("pipeline", "status", run).strip().splitlines()[-1]
        if not status.startswith(("RUNNING", "CANCELING")):
            break
        time.sleep(2)
    assert status.startswith(("FAILED", "CANCELED"))


def test_recurring_run_fires(approved, client, params, images, prefix):
    name = f"every-minute-{uuid.uuid4().hex[:6]}"
    schedule = ("pipeline", "schedule", "--params", params, "--images", images, "--registry-uri",
                f"s3://{BUCKET}/{prefix}", "--experiment", "dwcp-tests", "--schedule-name", name,
                "--cron", "* * * * *")  # fmt: skip
    first = dwcp(*schedule).split()[-1]
    job = dwcp(*schedule).split()[-1]
    group = client.get_experiment(experiment_name="dwcp-tests").experiment_id
    try:
        known = client.list_recurring_runs(experiment_id=group, page_size=100).recurring_runs
        assert [j.recurring_run_id for j in known if j.display_name == name] == [job] != [first]
        fired = None
        for _ in range(90):
            time.sleep(2)
            found = client.list_runs(experiment_id=group, page_size=100).runs or []
            fired = next((r for r in found if r.recurring_run_id == job), None)
            if fired:
                break
        assert fired, "no run within three minutes"
        client.disable_recurring_run(job)  # deleted, it would take the run with it
        ended = runs.wait(client, fired.run_id, deadline_s=60 * float(DEADLINE_MIN))
        assert ended.state == "SUCCEEDED"
    finally:
        client.disable_recurring_run(job)
        client.delete_recurring_run(job)


def metadata_artifacts(run):
    """(task, artifact) -> its properties, from ML Metadata through a pod of the cluster."""
    code = METADATA_QUERY.format(run=run)
    pod = f"dwcp-tests-{uuid.uuid4().hex[:6]}"
    image = kubectl(
        "get", "deployment", "metadata-grpc-deployment", "-n", "kubeflow", "-o",
        "jsonpath={.spec.template.spec.containers[0].image}",
    )  # fmt: skip
    output = kubectl(
        "run", pod, "-n", "kubeflow", "--image", image, "--restart=Never", "--rm", "-i", "--quiet",
        "--command", "--", "python3", "-c", code,
    )  # fmt: skip
    found = json.loads(output.strip().splitlines()[-1])
    return {tuple(key.split("/")): value for key, value in found.items()}


METADATA_QUERY = """
import json
from google.protobuf.json_format import MessageToDict
from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2 as pb
config = pb.MetadataStoreClientConfig(host="metadata-grpc-service.kubeflow", port=8080)
store = metadata_store.MetadataStore(config)
found = {{}}
for context in store.get_contexts():
    if "{run}" not in context.name: continue
    for artifact in store.get_artifacts_by_context(context.id):
        parts = artifact.uri.split("/{run}/")
        if len(parts) != 2: continue
        values = {{}}
        for key, value in artifact.custom_properties.items():
            kind = value.WhichOneof("value")
            raw = getattr(value, kind)
            values[key] = MessageToDict(raw) if kind == "struct_value" else raw
        found[parts[1].split("/")[0] + "/" + parts[1].split("/")[-1]] = values
print(json.dumps(found))
"""
