"""The rollout tests' parts again, for services in Standard mode in a namespace of their own."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections import Counter
from pathlib import Path

NAMESPACE = "rollout-standard"
ROLLOUT = Path(__file__).parents[1] / "rollout"
sys.path.insert(0, str(ROLLOUT))


def _again(name, **names):
    """A second instance of a module of those tests: its namespace is ours."""
    spec = importlib.util.spec_from_file_location(f"standard_{name}", ROLLOUT / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    vars(module).update(names)
    return module


rc = _again("rollout_cluster", NAMESPACE=NAMESPACE)
load = _again("rollout_load", rc=rc)
process = _again("rollout_process", rc=rc)
MANIFESTS = ROLLOUT.parents[2] / "manifests"
GATEWAY = {"name": "kserve-ingress-gateway", "namespace": "kserve"}
MODE = {"serving.kserve.io/deploymentMode": "Standard"}


def service(name, uri):
    """As the overlay `standard` has it: KServe makes no route of its own."""
    body = rc.service(name, uri)
    body["metadata"]["annotations"] = dict(MODE)
    body["metadata"]["labels"] = {"networking.kserve.io/visibility": "cluster-local"}
    return body


def runtime(server):
    """The tests' runtime, with the revision that the overlay's runtime names."""
    body = rc.runtime(rc.RUNTIME, server)
    label = "metadata.labels['{}']".format
    body["spec"]["containers"][0]["env"] = [
        {
            "name": "SERVICE",
            "valueFrom": {"fieldRef": {"fieldPath": label("serving.kserve.io/inferenceservice")}},
        },
        {
            "name": "TEMPLATE_HASH",
            "valueFrom": {"fieldRef": {"fieldPath": label("pod-template-hash")}},
        },
        {"name": "DWCP_REVISION", "value": "$(SERVICE)-predictor-$(TEMPLATE_HASH)"},
    ]
    return body


SHORT = {"steps": [10], "watchWindow": "0s", "readyDeadline": "240s"}


def quick():
    """One step and one gate, for tests of what comes before or after."""
    return {"gates": rc.GATES[:1], "strategy": {**SHORT}}


def folder():
    """Of the running test in the store: no two tests share a pod template, or series."""
    test = os.environ["PYTEST_CURRENT_TEST"].split("::")[-1].split(" (")[0]
    return re.sub(r"[^a-z0-9]+", "-", test.lower()).strip("-")


def public(name):
    return f"{name}.{NAMESPACE}.example.com"


def routes(name):
    """The split, and one route to either side by the host that KServe names."""
    hosts = {
        name: (public(name), name),
        f"{name}-stable": (f"{name}-{NAMESPACE}.example.com", name),
        f"{name}-canary": (f"{name}-canary-{NAMESPACE}.example.com", f"{name}-canary"),
    }
    return [
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": route, "namespace": NAMESPACE},
            "spec": {
                "parentRefs": [GATEWAY],
                "hostnames": [host],
                "rules": [{"backendRefs": [{"name": f"{side}-predictor", "port": 80}]}],
            },
        }
        for route, (host, side) in hosts.items()
    ]


class Load(load.Load):
    """Through the route's host."""

    def __init__(self, gateway, name, rate=50):
        super().__init__(gateway, name, rate)
        self.headers = {"Host": public(name)}

    def by_side(self, name, since=0.0, until_=float("inf")):
        """Answers of stable and canary pods, whatever their ReplicaSet."""
        found = Counter()
        for one in self.between(since, until_):
            canary = one.revision.startswith(f"{name}-canary-predictor-")
            found["canary" if canary else "stable"] += 1
        return found


def backends(name):
    """Weight by backend in the route."""
    rules = rc.get("httproute", name)["spec"]["rules"]
    return {b["name"]: b["weight"] for b in rules[0]["backendRefs"]}


def tidy(name, uri):
    """Why a rollout left something behind; empty where it did not."""
    if rc.get("isvc", f"{name}-canary") is not None:
        return "the canary service is still there"
    if backends(name) != {f"{name}-predictor": 100}:
        return f"the route has {backends(name)}"
    held = rc.get("isvc", name)["spec"]["predictor"]["model"]["storageUri"]
    return "" if held == uri else f"the service holds {held}"
