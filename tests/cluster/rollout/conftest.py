"""One namespace, one runtime and one operator for the tests of the rollout on a cluster."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from types import SimpleNamespace

import outcomes
import pytest
import rollout_cluster as rc
from rollout_process import Operator
from rollout_witness import Witness


def pytest_configure(config):
    config.addinivalue_line("markers", "stable(**behaviour): of the version that is replaced")


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(item.path).is_relative_to(rc.HERE):
            item.add_marker(pytest.mark.cluster)


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
    rc.namespace()
    rc.apply(rc.runtime(rc.RUNTIME, rc.image(work)))
    yield SimpleNamespace(
        gateway=rc.address("kourier-system", "kourier", 80),
        prometheus=rc.address("monitoring", "prometheus", 9090),
        store=rc.Store(),
        work=work,
    )
    rc.kubectl("delete", "namespace", rc.NAMESPACE, "--wait=false")


@pytest.fixture(scope="module")
def operator(place):
    """One operator for the tests of a file."""
    process = Operator(place.work)
    yield process
    process.stop()


class Service(str):
    """The name of a service under test, and who watches it."""

    witness: Witness


@pytest.fixture
def fresh(place, request):
    """A service that runs v1.0; away with it afterwards."""
    plain = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower())
    mark = hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:4]
    name = Service(f"{plain[:26].strip('-')}-{mark}")
    marked = request.node.get_closest_marker("stable")
    uri = place.store.put(name, "v1.0", value=1.0, **(marked.kwargs if marked else {}))
    gone(name)
    rc.apply(rc.service(name, uri))
    rc.kubectl(
        "-n", rc.NAMESPACE, "wait", "--for=condition=Ready", f"isvc/{name}", "--timeout=180s"
    )
    name.witness = outcomes.watched(Witness(name))
    yield name
    name.witness.close()
    gone(name)
    if not name.witness.forced:
        assert name.witness.over() <= 0


def gone(name):
    """Remove service and rollout; an operator that is dead cannot let a rollout go."""
    words = ["-n", rc.NAMESPACE, "delete", "modelrollout,isvc", name, "--ignore-not-found"]
    rc.kubectl(*words, "--wait=false")
    if rc.get("modelrollout", name):
        body = '{"metadata": {"finalizers": null}}'
        words = ["-n", rc.NAMESPACE, "patch", "modelrollout", name, "--type=merge", "-p", body]
        rc.kubectl(*words, check=False)
    kinds = ("isvc", "modelrollout", "ksvc")
    names = {"ksvc": f"{name}-predictor"}
    rc.until(lambda: not any(rc.get(k, names.get(k, name)) for k in kinds), 90, f"{name} is gone")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "call" and not report.skipped:
        outcomes.judged(item.nodeid, report.passed)
    return report


def pytest_sessionfinish(session):
    if not hasattr(session.config, "workerinput"):
        outcomes.write()
