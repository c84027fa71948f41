"""A namespace, a runtime and an operator of their own for rollouts in Standard mode."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace

import pytest
import standard_cluster as sc
import yaml
from standard_cluster import rc

ACCOUNT = "dwcp-rollout-operator"
MODEL = "node-reliability"  # a service that the operator's rights name


def missing():
    if not os.environ.get("KUBECONFIG"):
        return "KUBECONFIG names no cluster"
    kinds = rc.kubectl("get", "crd", "-o", "name", check=False)
    for kind in ("inferenceservices.serving.kserve.io", "httproutes.gateway.networking.k8s.io"):
        if kind not in kinds:
            return f"the cluster of KUBECONFIG has no {kind}"
    return ""


def rights(work):
    """A kubeconfig for an account with the rights that the overlay gives its operator."""
    rendered = yaml.safe_load_all(rc.kubectl("kustomize", str(sc.MANIFESTS / "overlays/standard")))
    account = {"kind": "ServiceAccount", "metadata": {"name": ACCOUNT}}
    bodies = [body for body in rendered if body["kind"] in ("Role", "RoleBinding")]
    for body in [{"apiVersion": "v1", **account}, *bodies]:
        body["metadata"]["namespace"] = sc.NAMESPACE
        for subject in body.get("subjects", []):
            subject["namespace"] = sc.NAMESPACE
        rc.apply(body)
    text = rc.kubectl("config", "view", "--raw", "--flatten", "--minify", "-o", "json")
    view = json.loads(text)
    token = rc.kubectl("-n", sc.NAMESPACE, "create", "token", ACCOUNT, "--duration=3h").strip()
    view["users"][0]["user"] = {"token": token}
    path = work / "operator.kubeconfig"
    path.write_text(json.dumps(view))
    path.chmod(0o600)
    return path


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    """Gateway, Prometheus, S3 and a runtime; the CRD is applied from manifests/."""
    if why := missing():
        pytest.skip(why)
    crd = sc.MANIFESTS / "operator" / "crd"
    rc.kubectl("apply", "--server-side", "--force-conflicts", "-k", str(crd))
    work = tmp_path_factory.mktemp("standard")
    rc.namespace()
    rc.apply(sc.runtime(rc.image(work)))
    return SimpleNamespace(
        gateway=rc.address("projectcontour", "envoy", 80),
        prometheus=rc.address("monitoring", "prometheus", 9090),
        store=rc.Store(),
        kubeconfig=rights(work),
        work=work,
    )


@pytest.fixture(scope="module")
def operators(place):
    """Operators with the overlay's rights, to be killed and made again."""
    made = []

    def make():
        made.append(sc.process.Operator(place.work, place.kubeconfig))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture(scope="module")
def operator(operators):
    return operators()


@pytest.fixture
def fresh(place):
    """A service that runs v1 behind its routes; away with it afterwards."""
    _remove(MODEL)
    uri = place.store.put(sc.folder(), "v1.0", value=1.0)
    for body in (sc.service(MODEL, uri), *sc.routes(MODEL)):
        rc.apply(body)
    words = ["--for=condition=Ready", f"isvc/{MODEL}", "--timeout=120s"]
    rc.kubectl("-n", sc.NAMESPACE, "wait", *words)
    yield MODEL
    _remove(MODEL)


def _remove(name):
    words = ["--ignore-not-found", "--timeout=90s"]
    # No operator may be there to take its finalizer away.
    free = ["--type=merge", "-p", '{"metadata": {"finalizers": null}}']
    rc.kubectl("-n", sc.NAMESPACE, "patch", "modelrollout", name, *free, check=False)
    rc.kubectl("-n", sc.NAMESPACE, "delete", "modelrollout", name, *words, check=False)
    rc.kubectl("-n", sc.NAMESPACE, "delete", "isvc", name, f"{name}-canary", *words)
    routes = [name, f"{name}-stable", f"{name}-canary"]
    rc.kubectl("-n", sc.NAMESPACE, "delete", "httproute", *routes, *words)
