"""A service under test, load on it, and an operator to kill: all real, on KUBECONFIG's cluster."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections import Counter
from pathlib import Path

import httpx

HERE = Path(__file__).parent
HOME = Path(os.environ.get("CLUSTER_HOME", Path.home() / ".cache/test-cluster"))
NAMESPACE = "models"
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


def address(namespace, name, port):
    text = kubectl("-n", namespace, "get", "service", name, "-o", "jsonpath={.spec.clusterIP}")
    return f"http://{text}:{port}"


def until(question, seconds, what):
    end = time.monotonic() + seconds
    while not (answer := question()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.3)
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


REQUEST = {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [0.5]}]}
GATES = [
    {"name": "errors", "kind": "error-ratio", "limit": 0.02, "minSamples": 40},
    {"name": "latency", "kind": "latency", "limit": 3.0, "quantile": 0.5, "minSamples": 40},
    {"name": "scores", "kind": "score-distribution", "limit": 0.5, "minSamples": 40},
]


def rollout(name, uri, gateway, prometheus, **changes):
    """A ModelRollout with short clocks."""
    strategy = {
        "steps": [1, 10, 50],
        "stepDuration": "10s",
        "analysisInterval": "5s",
        "stepDeadline": "60s",
        "readyDeadline": "60s",
        "applyDeadline": "60s",
        "watchWindow": "10s",
        **changes.pop("strategy", {}),
    }
    spec = {
        "inferenceService": name,
        "target": {"storageUri": uri},
        "strategy": strategy,
        "gates": GATES,
        "metrics": {"prometheusUrl": prometheus, "staleAfter": "10s", "preflightSpan": "15s"},
        "prober": {"gateway": gateway, "ratePerS": 20, "requests": [REQUEST], "timeout": "2s"},
        **changes,
    }
    return {
        "apiVersion": "dwcp.io/v1alpha1",
        "kind": "ModelRollout",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
    }


class Load:
    """Requests at a steady rate through the public host, counted by revision and by failure."""

    def __init__(self, gateway, name, rate=50, body=REQUEST):
        self.url = f"{gateway}/v2/models/{name}/infer"
        self.headers = {"Host": f"{name}-predictor.{NAMESPACE}.example.com"}
        self.rate, self.body = rate, body
        self.answers: list[tuple[float, int, str]] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._main, args=(i,)) for i in range(5)]

    def __enter__(self):
        self.began = time.time()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _main(self, index):
        pause = len(self._threads) / self.rate
        due = time.monotonic() + index * pause / len(self._threads)
        with httpx.Client(timeout=10, headers=self.headers, trust_env=False) as client:
            while not self._stop.wait(max(due - time.monotonic(), 0)):
                due = max(due + pause, time.monotonic() - 1)
                at = time.time()
                try:
                    answer = client.post(self.url, json=self.body)
                    seen = (at, answer.status_code, answer.headers.get("x-model-revision", ""))
                except httpx.HTTPError as error:
                    seen = (at, 0, type(error).__name__)
                self.answers.append(seen)

    def failed(self, since=0.0):
        return [a for a in self.answers if a[0] >= since and a[1] != 200]

    def share(self, revision, since=0.0, until_=float("inf")):
        """Requests of a revision, and all, in a time span."""
        inside = [a for a in self.answers if since <= a[0] < until_]
        return sum(a[2] == revision for a in inside), len(inside)

    def by_revision(self, since=0.0):
        return Counter(a[2] for a in self.answers if a[0] >= since)


class Operator:
    """`dwcp rollout operator` as a process of this machine."""

    def __init__(self, folder, number=1):
        self.log = folder / f"operator-{number}-{time.time_ns()}.log"
        port = 18080 + number * 10 + os.getpid() % 10
        words = ["rollout", "operator", "--namespace", NAMESPACE, "--lease-namespace", NAMESPACE]
        words += ["--health", f"http://127.0.0.1:{port}/healthz", "--metrics-port", str(port + 500)]
        with self.log.open("w") as out:
            command = [sys.executable, "-m", "dwcp_ml.cli", *words]
            self.process = subprocess.Popen(command, stdout=out, stderr=out)

    def kill(self, how=signal.SIGKILL):
        self.process.send_signal(how)
        self.process.wait(30)


def status(name):
    return (get("modelrollouts.dwcp.io", name) or {}).get("status") or {}


def phase(name):
    return status(name).get("phase", "")


def ended(name, seconds=240, phases=("Succeeded", "RolledBack", "Halted")):
    """Wait for an end of the present target; returns the status."""

    def question():
        body = get("modelrollouts.dwcp.io", name)
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
