"""kubectl, the gateway and the store of the cluster that KUBECONFIG names."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import httpx

MANIFESTS = Path(__file__).parents[3] / "manifests"
NAMESPACE, SYSTEM = "dwcp-models", "dwcp-system"
OPERATOR = f"system:serviceaccount:{SYSTEM}:dwcp-rollout-operator"
SERVICES = ("bandwidth-predictor", "compression-selector", "node-reliability", "consensus-latency")


def kubectl(*words, stdin=None, check=True):
    done = subprocess.run(["kubectl", *words], input=stdin, capture_output=True, text=True)
    if check and done.returncode:
        raise AssertionError(f"kubectl {' '.join(words)}: {done.stderr}")
    return done


def get(*words):
    return json.loads(kubectl("get", *words, "-o", "json").stdout)


def refusal(*words, stdin=None):
    """What the API server says to a request that it must not take."""
    done = kubectl(*words, stdin=stdin, check=False)
    assert done.returncode, f"kubectl {' '.join(words)} was taken: {done.stdout}"
    return done.stderr


def address(namespace, service, port):
    found = get("-n", namespace, "service", service)
    return f"http://{found['spec']['clusterIP']}:{port}"


def until(question, seconds=120):
    """Ask until the answer is true; returns it."""
    end = time.monotonic() + seconds
    while not (answer := question()):
        assert time.monotonic() < end, f"not within {seconds} s: {question.__name__}"
        time.sleep(0.5)
    return answer


def ask(service, path, body=None, tag=""):
    """A request through Kourier to a service, or to one side of its split."""
    host = f"{tag}{service}-predictor.{NAMESPACE}.example.com"
    url = address("kourier-system", "kourier", 80) + path
    headers = {"Host": host}
    if body is None:
        return httpx.get(url, headers=headers, timeout=10)
    return httpx.post(url, headers=headers, json=body, timeout=10)


def variant(folder, overlay, images, small=True):
    """An overlay with images that are there, on a small node."""
    lines = [f"resources: [{folder_link(folder, MANIFESTS)}/overlays/{overlay}]", "images:"]
    for name, image in images.items():
        other, digest = image.split("@")
        lines += [f"  - {{name: {name}, newName: {other}, digest: '{digest}'}}"]
    if small:
        operations = [
            {"op": "replace", "path": "/spec/predictor/minReplicas", "value": 1},
            {
                "op": "replace",
                "path": "/spec/predictor/model/resources/requests",
                "value": {"cpu": "50m", "memory": "128Mi"},
            },
        ]
        patch = {"target": {"kind": "InferenceService"}, "patch": json.dumps(operations)}
        lines += [f"patches: {json.dumps([patch])}"]
    (folder / "kustomization.yaml").write_text("\n".join(lines) + "\n")
    return folder


def folder_link(folder, target):
    """kustomize takes relative paths only."""
    return Path(*[".."] * (len(folder.resolve().parts) - 1), *target.resolve().parts[1:])


def traffic(service):
    """Version-independent view of a split: revision -> percent, and whether all is settled."""
    status = get("-n", NAMESPACE, "ksvc", f"{service}-predictor")["status"]
    split = {}
    for entry in status.get("traffic", []):
        split[entry["revisionName"]] = split.get(entry["revisionName"], 0) + entry.get("percent", 0)
    ready = {c["type"]: c["status"] for c in status["conditions"]}
    settled = status["latestCreatedRevisionName"] == status.get("latestReadyRevisionName") and set(
        ready.values()
    ) == {"True"}
    return split, settled


class Probe:
    """A pod that tries to reach others."""

    POD = "network-probe"

    def __init__(self, namespace):
        self.namespace = namespace
        secure = {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        container = {
            "name": "probe",
            "image": "localhost:5000/busybox:1",
            "securityContext": secure,
        }
        container["command"] = ["sleep", "3600"]
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": self.POD, "namespace": namespace},
            "spec": {"containers": [container], "automountServiceAccountToken": False},
        }
        self.remove()
        kubectl("create", "-f", "-", stdin=json.dumps(pod))
        kubectl("-n", namespace, "wait", "--for=condition=Ready", f"pod/{self.POD}")

    def remove(self):
        kubectl("-n", self.namespace, "delete", "pod", self.POD, "--ignore-not-found", "--force")

    def reaches(self, url):
        """Whether a connection is made (busybox's wget crashes where there is no resolver)."""
        host, port = url.removeprefix("http://").split(":")
        words = ["exec", self.POD, "--", "nc", "-w", "3", host, port]
        return kubectl("-n", self.namespace, *words, check=False, stdin="").returncode == 0
