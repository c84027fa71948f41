"""From what users ask to a training: samples on S3, the daily job, the push gateway, Kubeflow."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from live_cluster import MANIFESTS, NAMESPACE, ask, folder_link, get, kubectl, until

TESTS = Path(__file__).parents[2]
sys.path += [str(TESTS / "pipeline" / "kubeflow"), str(TESTS / "model")]

from tiny import dwcp, write_tiny  # noqa: E402

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("deployed")]
SERVICE, MODEL = "node-reliability", "node_reliability"
JOB, EXPERIMENT = f"drift-{SERVICE}", "dwcp"
SCHEDULE = f"dwcp-drift-{uuid.uuid4().hex[:6]}"  # another run's would have to rest for three days
GATEWAY = "prometheus-pushgateway"
PORT = 9091
NODE = "198.19.255.1"  # of ../shared/cluster
RULE = ("--window-h=24", "--k=1", "--n=1")  # a test has not three days


@pytest.fixture(scope="module")
def gateway():
    """A real push gateway on the node, under the name that the job knows."""
    if not shutil.which(GATEWAY):
        pytest.skip(f"there is no {GATEWAY}; Debian has it under this name")
    process = subprocess.Popen(
        [GATEWAY, f"--web.listen-address={NODE}:{PORT}"], stderr=subprocess.DEVNULL
    )
    of = {"name": "pushgateway", "namespace": "monitoring"}
    port = {"name": "http", "port": PORT, "protocol": "TCP"}
    points = {"addresses": [{"ip": NODE}], "ports": [port]}
    objects = [
        {"apiVersion": "v1", "kind": "Service", "metadata": of, "spec": {"ports": [port]}},
        {"apiVersion": "v1", "kind": "Endpoints", "metadata": of, "subsets": [points]},
    ]
    for one in objects:
        kubectl("apply", "-f", "-", stdin=json.dumps(one))
    until(lambda: answers(f"http://{NODE}:{PORT}/-/ready"))
    yield f"http://{NODE}:{PORT}"
    for one in objects:
        kubectl("-n", of["namespace"], "delete", one["kind"], of["name"], "--ignore-not-found")
    process.terminate()
    process.wait()


def answers(url):
    try:
        return httpx.get(url).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="module")
def telemetry(store, tmp_path_factory):
    """What the model is said to be trained on, at the place that the job reads."""
    folder = tmp_path_factory.mktemp("fleet")
    params = write_tiny(folder, simulate={"nodes": 16, "steps": 14_400, "nodes_per_part": 8})
    dwcp("simulate", "--params", params, "--out", folder / "raw")
    empty(store, "telemetry/reference/")
    for file in (folder / "raw").rglob("*"):
        if file.is_file():
            key = f"telemetry/reference/{file.relative_to(folder / 'raw')}"
            store.put_object(Bucket="dwcp", Key=key, Body=file.read_bytes())
    return folder / "raw"


def empty(store, prefix):
    for entry in store.list_objects_v2(Bucket="dwcp", Prefix=prefix).get("Contents", []):
        store.delete_object(Bucket="dwcp", Key=entry["Key"])


@pytest.fixture(scope="module")
def job(gateway, telemetry, tmp_path_factory, images_of_all):
    """`manifests/drift` with samples, for the store of the test cluster and this registry."""
    folder = tmp_path_factory.mktemp("drift")
    link = folder_link(folder, MANIFESTS)
    image, digest = images_of_all["sklearn"].split("@")
    rule = [
        {"op": "add", "path": f"/spec/jobTemplate/spec/template/spec/initContainers/0/{path}",
         "value": value}
        for path, value in [("args/-", word) for word in RULE]
    ]  # fmt: skip
    # A small node has little to give away.
    rule += [{"op": "replace", "value": "50m", "path": "/spec/jobTemplate/spec/template/spec/"
              "initContainers/0/resources/requests/cpu"}]  # fmt: skip
    places = [
        {"op": "add", "path": "/data/AWS_ENDPOINT_URL",
         "value": "http://s3.s3.svc.cluster.local:7070"},
        {"op": "replace", "path": "/data/AWS_REGION", "value": "us-east-1"},
        {"op": "replace", "path": "/data/SCHEDULE", "value": SCHEDULE},
    ]  # fmt: skip
    to_store = [
        {"op": "add", "path": "/spec/egress/-",
         "value": {"to": [{"namespaceSelector": {
             "matchLabels": {"kubernetes.io/metadata.name": "s3"}}}],
             "ports": [{"protocol": "TCP", "port": 7070}]}},
        # The gateway runs on the node, not in a pod of its namespace.
        {"op": "add", "path": "/spec/egress/-",
         "value": {"to": [{"ipBlock": {"cidr": f"{NODE}/32"}}],
                   "ports": [{"protocol": "TCP", "port": PORT}]}},
    ]  # fmt: skip
    patches = {"CronJob": rule, "ConfigMap": places, "NetworkPolicy": to_store}
    whole = {
        "resources": [f"{link}/drift"],
        "components": [f"{link}/drift/samples"],
        "images": [{"name": "dwcp-sklearn", "newName": image, "digest": digest}],
        "patches": [{"target": {"kind": kind}, "patch": json.dumps(operations)}
                    for kind, operations in patches.items()],
    }  # fmt: skip
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(whole))
    kubectl("apply", "--dry-run=server", "--validate=strict", "-k", str(folder))
    kubectl("apply", "-k", str(folder))
    yield lambda: run_job()
    kubectl("delete", "-k", str(folder), "--timeout=60s")


def run_job():
    """The CronJob's job, now; what its two containers said."""
    name = f"{JOB}-{uuid.uuid4().hex[:6]}"
    kubectl("-n", NAMESPACE, "create", "job", name, f"--from=cronjob/{JOB}")

    def ended():
        status = get("-n", NAMESPACE, "job", name)["status"]
        return {c["type"] for c in status.get("conditions", [])} & {"Complete", "Failed"}

    state = until(ended, 240)
    said = {
        container: kubectl("-n", NAMESPACE, "logs", f"job/{name}", "-c", container).stdout
        for container in ("compare", "retrain")
    }
    assert "Complete" in state, said
    return said


@pytest.fixture(scope="module")
def schedule(images_file, tmp_path_factory):
    """The weekly pipeline under the name that the job starts it by; its runs are stopped."""
    from dwcp_ml.kubeflow.endpoint import connect

    client = connect(None)
    params = write_tiny(tmp_path_factory.mktemp("params"))
    made = dwcp("pipeline", "schedule", "--params", params, "--images", images_file,
                "--registry-uri", f"s3://mlpipeline/dwcp-tests/{uuid.uuid4().hex[:8]}",
                "--experiment", EXPERIMENT, "--schedule-name", SCHEDULE,
                "--cron", "0 2 * * 0").split()[-1]  # fmt: skip
    group = client.get_experiment(experiment_name=EXPERIMENT).experiment_id

    def out_of_turn():
        found = client.list_runs(experiment_id=group, page_size=100, sort_by="created_at desc")
        return [r for r in found.runs or [] if r.display_name.startswith(SCHEDULE)]

    yield out_of_turn
    for run in out_of_turn():
        if run.state in {"PENDING", "RUNNING"}:
            client.terminate_run(run.run_id)
    client.disable_recurring_run(made)
    client.delete_recurring_run(made)


def rows_of(telemetry, names, count=2000):
    """Rows of the fleet as a client would send them, from all over the days."""
    files = sorted((telemetry / "telemetry").glob("*.parquet"))
    columns = [pq.read_table(file, columns=list(names)).to_pandas() for file in files]
    whole = np.concatenate([one.to_numpy(np.float32) for one in columns])
    whole = whole[np.isfinite(whole).all(axis=1)]
    return whole[np.linspace(0, len(whole) - 1, count).astype(int)]


def ask_with(rows):
    for some in np.array_split(rows, 20):
        answer = ask(SERVICE, f"/v1/models/{MODEL}:predict", {"instances": some.tolist()})
        assert answer.status_code == 200, answer.text


def kept(store):
    found = store.list_objects_v2(Bucket="dwcp", Prefix=f"samples/{MODEL}/").get("Contents", [])
    sizes = []
    for entry in found:
        body = store.get_object(Bucket="dwcp", Key=entry["Key"])["Body"].read()
        sizes.append(pq.read_metadata(io.BytesIO(body)).num_rows)
    return sum(sizes)


def test_what_users_ask_is_compared_daily_and_a_drift_starts_the_schedules_pipeline(
    store, telemetry, job, gateway, schedule
):
    metadata = json.loads(
        store.get_object(Bucket="dwcp", Key=f"models/{MODEL}/v1.0/metadata.json")["Body"].read()
    )
    rows = rows_of(telemetry, metadata["inputs"][0]["features"])
    empty(store, f"samples/{MODEL}/")

    ask_with(rows)
    until(lambda: kept(store) == len(rows), 60)
    said = job()
    assert "nothing to do" in said["compare"], said
    assert "is not met" in said["retrain"], said
    assert schedule() == []
    pushed = httpx.get(f"{gateway}/metrics").text
    assert f'dwcp_drift_retrain{{instance="",job="dwcp-drift",model="{MODEL}"}} 0' in pushed

    empty(store, f"samples/{MODEL}/")
    ask_with(rows * np.float32(1.5))
    until(lambda: kept(store) == len(rows), 60)
    said = job()
    assert "train again" in said["compare"], said
    (run,) = schedule()
    assert f"run {run.run_id}" in said["retrain"]
    pushed = httpx.get(f"{gateway}/metrics").text
    assert f'dwcp_drift_retrain{{instance="",job="dwcp-drift",model="{MODEL}"}} 1' in pushed

    assert "nothing to do" in job()["retrain"], "a second run while the first is under way"
    assert len(schedule()) == 1
