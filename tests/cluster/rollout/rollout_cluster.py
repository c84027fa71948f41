"""A service under test, its models and its rollout: all real, on KUBECONFIG's cluster."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tarfile
import time
from collections import Counter
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
HOME = Path(os.environ.get("CLUSTER_HOME", Path.home() / ".cache/test-cluster"))
READY = "models"  # a namespace whose service account may read the store
# Of this process alone: several may run at once, and a namespace takes minutes to go.
NAMESPACE = f"rollout-{os.environ.get('PYTEST_XDIST_WORKER', 'tests')}-{os.getpid():x}"
RUNTIME = "rollout-test"


def kubectl(*words, stdin=None, check=True):
    done = subprocess.run(["kubectl", *words], input=stdin, capture_output=True, text=True)
    if check and done.returncode:
        raise AssertionError(f"kubectl {' '.join(words)}: {done.stderr}")
    return done.stdout


def get(*words):
    """An object or list as a dictionary; None where it is not there."""
    text = kubectl("-n", NAMESPACE, "get", *words, "-o", "json", "--ignore-not-found")
    return json.loads(text) if text.strip() else None


def apply(body):
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(body))


def namespace():
    """Make ours, with the store's credentials."""
    apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    for kind, name in (("secret", "s3"), ("serviceaccount", "models")):
        body = json.loads(kubectl("-n", READY, "get", kind, name, "-o", "json"))
        meta = {k: v for k, v in body["metadata"].items() if k in ("name", "annotations")}
        apply({**body, "metadata": {**meta, "namespace": NAMESPACE}})


def address(namespace, name, port):
    text = kubectl("-n", namespace, "get", "service", name, "-o", "jsonpath={.spec.clusterIP}")
    return f"http://{text}:{port}"


def until(question, seconds, what):
    end = time.monotonic() + seconds
    while not (answer := question()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.4)
    return answer


def image(work):
    """The test server as an image of the cluster's registry; its tag is its content's digest."""
    source = HERE / "model_server.py"
    name = f"localhost:5000/rollout-model:{hashlib.sha256(source.read_bytes()).hexdigest()[:10]}"
    crane = str(HOME / "bin" / "crane")
    if subprocess.run([crane, "manifest", name], capture_output=True).returncode == 0:
        return name
    layer = work / "layer.tar"
    with tarfile.open(layer, "w") as tar:
        info = tar.gettarinfo(source, "srv/model_server.py")
        info.uid = info.gid = 0
        info.mode = 0o644
        with source.open("rb") as file:
            tar.addfile(info, file)
    base = "localhost:5000/debian:bookworm"
    subprocess.run([crane, "append", "-b", base, "-f", str(layer), "-t", name], check=True)
    return name


def runtime(name, server):
    secure = {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "supportedModelFormats": [{"name": "onnx", "version": "1", "autoSelect": False}],
            "protocolVersions": ["v2"],
            "annotations": {
                "prometheus.io/scrape": "true",
                "prometheus.io/port": "8080",
                "prometheus.io/path": "/metrics",
            },
            "containers": [
                {
                    "name": "kserve-container",
                    "image": server,
                    "command": ["python3", "/srv/model_server.py"],
                    "readinessProbe": {
                        "httpGet": {"path": "/v2/health/ready", "port": 8080},
                        "periodSeconds": 1,
                    },
                    "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}},
                    "securityContext": secure,
                }
            ],
        },
    }


def asking_for(cpu, server, port=8080):
    """A runtime whose pod wants so much, beside the model: KServe sets the resources of that."""
    body = runtime(f"rollout-asks-{cpu}-{port}", server)
    (own,) = body["spec"]["containers"]
    if port:  # of two containers, Knative wants to know which one serves
        own["ports"] = [{"containerPort": port}]
    beside = {key: own[key] for key in ("image", "securityContext")}
    beside |= {"name": "beside", "command": ["sleep", "100000"]}
    beside |= {"resources": {"requests": {"cpu": cpu}}}
    body["spec"]["containers"].append(beside)
    return body


class Store:
    """The cluster's S3 bucket `models`."""

    def __init__(self):
        import boto3

        self.client = boto3.client(
            "s3",
            endpoint_url=address("s3", "s3", 7070),
            aws_access_key_id="test-access-key",
            aws_secret_access_key="test-secret-key",  # noqa: S106 the test store's own
            region_name="us-east-1",
        )
        if "models" not in [b["Name"] for b in self.client.list_buckets()["Buckets"]]:
            self.client.create_bucket(Bucket="models")

    def put_folder(self, name, version, folder):
        """The files of a folder as a version; returns its storageUri."""
        key = f"rollout/{name}/{version}/"
        for file in folder.iterdir():
            self.client.upload_file(str(file), "models", key + file.name)
        return f"s3://models/{key}"

    def put(self, name, version, **behaviour):
        """A version that behaves so; returns its storageUri."""
        key = f"rollout/{name}/{version}/behaviour.json"
        self.client.put_object(Bucket="models", Key=key, Body=json.dumps(behaviour).encode())
        return f"s3://models/rollout/{name}/{version}/"


def service(name, uri, annotations=None):
    notes = {"serving.kserve.io/enable-tag-routing": "true", **(annotations or {})}
    model = {
        "modelFormat": {"name": "onnx"},
        "runtime": RUNTIME,
        "protocolVersion": "v2",
        "storageUri": uri,
        "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
    }
    predictor = {"minReplicas": 1, "serviceAccountName": "models", "model": model}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name, "namespace": NAMESPACE, "annotations": notes},
        "spec": {"predictor": predictor},
    }


def request(value):
    """A V2 body; the server's score rises with ``value``, from 0 to 1."""
    return {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [value]}]}


PROBES = [request(round((i + 0.5) / 25, 3)) for i in range(25)]  # as users' requests are spread
# The pods share two cores with everything else, whose moods a tight latency limit would measure.
GATES = [
    {"name": "errors", "kind": "error-ratio", "limit": 0.02, "minSamples": 40},
    {"name": "latency", "kind": "latency", "limit": 10.0, "quantile": 0.5, "minSamples": 40},
    {"name": "scores", "kind": "score-distribution", "limit": 0.5, "minSamples": 40},
]


def rollout(name, uri, gateway, prometheus, **changes):
    """A ModelRollout with short clocks."""
    strategy = {
        "steps": [1, 10, 50],
        "stepDuration": "10s",
        "analysisInterval": "5s",
        "stepDeadline": "60s",
        "readyDeadline": "120s",
        "applyDeadline": "120s",
        "watchWindow": "10s",
        **changes.pop("strategy", {}),
    }
    spec = {
        "inferenceService": name,
        "target": {"storageUri": uri},
        "strategy": strategy,
        "gates": GATES,
        "metrics": {"prometheusUrl": prometheus, "staleAfter": "10s", "preflightSpan": "15s"},
        "prober": {"gateway": gateway, "ratePerS": 20, "requests": PROBES, "timeout": "2s"},
        **changes,
    }
    return {
        "apiVersion": "dwcp.io/v1alpha1",
        "kind": "ModelRollout",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
    }


@cache
def reader():
    """Asked often, and cheaper than a process of kubectl each time."""
    from dwcp_ml.rollout.cluster import Cluster, connect

    connect()
    return Cluster(NAMESPACE)


def rollout_object(name):
    from dwcp_ml.rollout.cluster import MODEL_ROLLOUT

    return reader().get(MODEL_ROLLOUT, name)


def status(name):
    return (rollout_object(name) or {}).get("status") or {}


def phase(name):
    return status(name).get("phase", "")


def ended(name, seconds=400, phases=("Succeeded", "RolledBack", "Halted")):
    """Wait for an end of the present target; returns the status."""

    def question():
        body = rollout_object(name)
        seen = (body or {}).get("status") or {}
        same = seen.get("observedGeneration") == body["metadata"]["generation"]
        return seen if seen.get("phase") in phases and same else None

    return until(question, seconds, f"{name} in {phases}, is {status(name)}")


def split(name):
    """Percent by revision as Knative's own status has it."""
    found = (get("ksvc", f"{name}-predictor") or {}).get("status", {}).get("traffic", [])
    shares = Counter()
    for entry in found:
        shares[entry["revisionName"]] += entry.get("percent") or 0
    return {name: share for name, share in shares.items() if share}


def order(name, what, number=1):
    """What `kubectl dwcp rollout abort` and its like write."""
    command = {"name": what, "id": f"{what}-{number}", "by": "test", "at": "2025-01-01T00:00:00Z"}
    patch("modelrollout", name, {"spec": {"command": command}})


def patch(kind, name, body):
    kubectl("-n", NAMESPACE, "patch", kind, name, "--type=merge", "-p", json.dumps(body))


def denied(kind, name, body):
    """Wait until the API server refuses a change, tried without effect."""
    words = ["-n", NAMESPACE, "patch", kind, name, "--type=merge", "--dry-run=server"]

    def refused():
        done = subprocess.run(["kubectl", *words, "-p", json.dumps(body)], capture_output=True)
        return done.returncode != 0

    until(refused, 60, f"{body} is refused")


def at(name, *phases, seconds=240):
    until(lambda: phase(name) in phases, seconds, f"{name} in {phases}")


def at_step(name, percent, seconds=240):
    """Wait until a step is seen in place."""

    def question():
        seen = status(name)
        here = seen.get("phase") == "Progressing" and seen.get("percent") == percent
        return here and seen.get("applied")

    until(question, seconds, f"{name} at {percent} %")


def model(name):
    """storageUri that the service asks for."""
    return get("isvc", name)["spec"]["predictor"]["model"]["storageUri"]


def revision(name, number):
    return f"{name}-predictor-{number:05}"
