"""One model of the overlay `standard`, behind the Gateway API, in a namespace of its own."""

from __future__ import annotations

import json

import httpx
import pytest
import yaml
from live_cluster import (
    MANIFESTS,
    NAMESPACE,
    OPERATOR,
    address,
    get,
    kubectl,
    refusal,
    until,
    variant,
)

pytestmark = pytest.mark.cluster
MODEL, WHERE = "node-reliability", "dwcp-standard"
SIDES = (MODEL, f"{MODEL}-stable", f"{MODEL}-canary")
PUBLIC, STABLE = f"{MODEL}.{WHERE}.example.com", f"{MODEL}-{WHERE}.example.com"
CREDENTIALS = MANIFESTS / "overlays" / "local" / "s3-credentials.yaml"


def wanted(document):
    kind, meta = document["kind"], document["metadata"]
    if kind in ("InferenceService", "HTTPRoute", "PodDisruptionBudget"):
        return meta["name"] in SIDES
    guards = kind.startswith("ValidatingAdmissionPolicy") and "routes" in meta["name"]
    return guards or NAMESPACE in (meta.get("namespace"), meta["name"])


@pytest.fixture(scope="module")
def standard(store, deployed, images, tmp_path_factory):
    """``deployed`` brings the storage container and the operator's account."""
    folder = variant(tmp_path_factory.mktemp("standard"), "standard", {})
    documents = yaml.safe_load_all(kubectl("kustomize", str(folder)).stdout)
    documents = [document for document in documents if wanted(document)]
    (storage,) = (d for d in documents if d["metadata"]["name"] == "storage")
    storage["spec"] = get("-n", NAMESPACE, "networkpolicy", "storage")["spec"]
    text = yaml.safe_dump_all(documents) + "---\n" + CREDENTIALS.read_text()
    text = text.replace("dwcp-serve:0.1.0", images["localhost:5000/dwcp-serve"])
    # The guard holds for the whole cluster and keeps its name.
    text = text.replace("dwcp-models-change", "GUARD").replace(NAMESPACE, WHERE)
    kubectl("apply", "-f", "-", stdin=text.replace("GUARD", "dwcp-models-change"))
    ready = ["wait", "--for=condition=Ready", f"inferenceservice/{MODEL}", "--timeout=180s"]
    kubectl("-n", WHERE, *ready)
    yield
    guard = "dwcp-routes-change-by-rollout"
    for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
        kubectl("delete", kind, guard)
    kubectl("delete", "namespace", WHERE, "--wait=false")


def ask(host):
    return httpx.post(
        address("projectcontour", "envoy", 80) + "/v1/models/node_reliability:predict",
        headers={"Host": host},
        json={"instances": [[99.5, 1.5, 0.0015, 12, 1.2, 50]]},
        timeout=10,
    )


@pytest.mark.parametrize("host", [PUBLIC, STABLE])
def test_it_answers_through_the_gateway_and_its_revision_is_the_replica_set(standard, host):
    until(lambda: ask(host).status_code == 200, 60)
    (replica_set,) = get("-n", WHERE, "replicasets")["items"]
    answer = ask(host)
    assert answer.headers["x-model-revision"] == replica_set["metadata"]["name"]
    assert answer.headers["x-model-version"] == "v1.0"


def test_the_hosts_of_the_sides_are_those_that_kserve_names(standard):
    service = get("-n", WHERE, "inferenceservice", MODEL)
    assert service["status"]["url"] == f"http://{STABLE}"


def test_kserve_makes_no_route_beside_ours(standard):
    routes = [route["metadata"]["name"] for route in get("-n", WHERE, "httproutes")["items"]]
    assert sorted(routes) == sorted(SIDES)


def test_only_the_operator_moves_weights(standard):
    change = [{"op": "replace", "path": "/spec/rules/0/backendRefs/0/weight", "value": 50}]
    words = ["-n", WHERE, "patch", "httproute", MODEL, "--type=json", "--dry-run=server"]
    words += ["-p", json.dumps(change)]
    assert "moved by rollouts alone" in refusal(*words)
    kubectl(*words, f"--as={OPERATOR}")
