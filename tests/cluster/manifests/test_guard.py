"""Models change by rollouts alone; broken glass opens one service."""

from __future__ import annotations

import json

import pytest
from live_cluster import NAMESPACE, OPERATOR, SYSTEM, get, kubectl, refusal, until

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("deployed")]
GLASS = "dwcp.io/break-glass"
ONE, OTHER = "bandwidth-predictor", "compression-selector"
NEW_MODEL = {"model": {"storageUri": "s3://dwcp/models/bandwidth_predictor/v1.1/"}}


def patch(service, predictor, *words):
    change = json.dumps({"spec": {"predictor": predictor}})
    kind = ["--type=merge", "--dry-run=server", "-p", change]
    return ["-n", NAMESPACE, "patch", "inferenceservice", service, *kind, *words]


def passes(words):
    return kubectl(*words, check=False).returncode == 0


@pytest.fixture
def glass_broken():
    kubectl("label", "namespace", NAMESPACE, f"{GLASS}={ONE}", "--overwrite")
    until(lambda: passes(patch(ONE, NEW_MODEL)), 15)
    yield
    kubectl("label", "namespace", NAMESPACE, f"{GLASS}-")
    until(lambda: not passes(patch(ONE, NEW_MODEL)), 15)


def test_a_person_cannot_change_a_model_and_is_told_how_to():
    assert f"kubectl dwcp rollout start {ONE}" in refusal(*patch(ONE, NEW_MODEL))


@pytest.mark.parametrize("percent", [0, 1, 100])
def test_a_person_cannot_touch_the_split(percent):
    assert "rollout operator alone" in refusal(*patch(ONE, {"canaryTrafficPercent": percent}))


def test_nobody_creates_a_service_with_a_percent_that_stays_live():
    service = get("-n", NAMESPACE, "inferenceservice", ONE)
    service["metadata"] = {"name": "another", "namespace": NAMESPACE}
    service.pop("status")
    create = ["create", "--dry-run=server", "-f", "-"]
    kubectl(*create, stdin=json.dumps(service))
    service["spec"]["predictor"]["canaryTrafficPercent"] = 1
    assert "stays live" in refusal(*create, stdin=json.dumps(service))


def test_the_operator_changes_both_of_its_services_and_of_no_other():
    as_operator = f"--as={OPERATOR}"
    both = {**NEW_MODEL, "canaryTrafficPercent": 0}
    assert passes(patch(ONE, both, as_operator))
    assert "cannot get resource" in refusal(*patch("somebody-elses", both, as_operator))


def test_everything_else_on_a_service_stays_free():
    assert passes(patch(ONE, {"maxReplicas": 5}))


def test_broken_glass_opens_the_service_it_names_and_no_other(glass_broken):
    assert passes(patch(ONE, {"canaryTrafficPercent": 0}))
    assert "changed by rollouts alone" in refusal(*patch(OTHER, NEW_MODEL))


def test_a_runtime_is_never_edited_in_place():
    change = json.dumps({"spec": {"supportedModelFormats": [{"name": "onnx", "version": "2"}]}})
    words = ["servingruntime", "dwcp-onnx-1-0-0", "--type=merge", "--dry-run=server", "-p", change]
    assert "never edited in place" in refusal("-n", NAMESPACE, "patch", *words)


def test_applying_the_same_manifests_again_is_allowed(overlay):
    kubectl("apply", "--dry-run=server", "-k", str(overlay("local")))


@pytest.mark.parametrize(
    ("verb", "what", "namespace", "allowed"),
    [
        ("patch", f"inferenceservices.serving.kserve.io/{ONE}", NAMESPACE, True),
        ("patch", "inferenceservices.serving.kserve.io/somebody-elses", NAMESPACE, False),
        ("patch", f"inferenceservices.serving.kserve.io/{ONE}", "models", False),
        ("delete", f"inferenceservices.serving.kserve.io/{ONE}", NAMESPACE, False),
        ("update", "modelrollouts.dwcp.io/any --subresource=status", NAMESPACE, True),
        ("delete", "modelrollouts.dwcp.io", NAMESPACE, False),
        ("get", "secrets", NAMESPACE, False),
        ("get", "secrets", "dwcp-system", False),
        ("create", "pods", NAMESPACE, False),
        ("update", "leases.coordination.k8s.io/dwcp-rollout-operator", "dwcp-system", True),
        ("update", "leases.coordination.k8s.io/other", "dwcp-system", False),
        ("get", "nodes", NAMESPACE, False),
    ],
)
def test_the_operator_may_do_what_it_needs_and_no_more(verb, what, namespace, allowed):
    words = ["auth", "can-i", verb, *what.split(), "-n", namespace, f"--as={OPERATOR}"]
    assert (kubectl(*words, check=False).returncode == 0) == allowed


def test_the_operator_becomes_active_with_these_rights_and_policies():
    deployment = ["-n", SYSTEM, "deployment/dwcp-rollout-operator"]
    kubectl("rollout", "status", *deployment, "--timeout=120s")
    until(lambda: "active as" in kubectl("logs", *deployment).stdout, 60)
    assert "is forbidden: User" not in kubectl("logs", *deployment).stdout
