"""One namespace, one runtime, one operator for all tests of the rollout on a cluster."""

from __future__ import annotations

import os
import re
from types import SimpleNamespace

import pytest
import rollout_cluster as rc


def missing():
    if not os.environ.get("KUBECONFIG"):
        return "KUBECONFIG names no cluster"
    kinds = rc.kubectl("get", "crd", "-o", "name", check=False)
    if "inferenceservices.serving.kserve.io" not in kinds or "ksvc" not in rc.kubectl(
        "api-resources", "--api-group=serving.knative.dev", check=False
    ):
        return "the cluster of KUBECONFIG has no KServe on Knative"
    return ""


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    """Gateway, Prometheus, S3 and a runtime; the CRD is applied from manifests/."""
    if why := missing():
        pytest.skip(why)
    crd = rc.HERE.parents[2] / "manifests" / "operator" / "crd"
    rc.kubectl("apply", "--server-side", "--force-conflicts", "-k", str(crd))
    work = tmp_path_factory.mktemp("rollout")
    rc.apply(rc.runtime(rc.RUNTIME, rc.image(work)))
    return SimpleNamespace(
        gateway=rc.address("kourier-system", "kourier", 80),
        prometheus=rc.address("monitoring", "prometheus", 9090),
        store=rc.Store(),
        work=work,
    )


@pytest.fixture(scope="session")
def operator(place):
    process = rc.Operator(place.work)
    yield process
    process.kill()


@pytest.fixture
def fresh(place, request):
    """A service that runs v1; away with it afterwards."""
    plain = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower())
    name = "t-" + plain[:32].strip("-")
    uri = place.store.put(name, "v1.0", value=1.0)
    rc.kubectl("-n", rc.NAMESPACE, "delete", "modelrollout,isvc", name, "--ignore-not-found")
    rc.apply(rc.service(name, uri))
    rc.kubectl(
        "-n", rc.NAMESPACE, "wait", "--for=condition=Ready", f"isvc/{name}", "--timeout=120s"
    )
    yield name
    rc.kubectl("-n", rc.NAMESPACE, "delete", "modelrollout", name, "--ignore-not-found")
    rc.kubectl("-n", rc.NAMESPACE, "delete", "isvc", name, "--ignore-not-found", "--wait=false")


def pytest_sessionfinish(session):
    if not hasattr(session.config, "workerinput"):
        import outcomes

        outcomes.write()
