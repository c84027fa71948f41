"""What the API server takes as a ModelRollout, and what it refuses, as the models do."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
import yaml
from live_cluster import MANIFESTS, kubectl, refusal

from dwcp_ml.errors import RolloutError
from dwcp_ml.rollout.reading import read_spec
from dwcp_ml.rollout.state import GateResult, Phase, RolloutState, Transition
from dwcp_ml.rollout.status import conditions, read_state, write_state

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("definition")]
# No operator watches this namespace.
WHERE = ["-n", "default"]
NAME = "crd-test"
LATENCY = {"name": "p99", "kind": "latency", "limit": 1.5}
PROMETHEUS = {"prometheusUrl": "http://prometheus.example"}
PROBER = {"gateway": "http://gateway.example"}


@pytest.fixture(scope="module")
def definition(cluster):
    kubectl("apply", "-f", str(MANIFESTS / "operator" / "crd" / "modelrollouts.yaml"))
    kubectl("wait", "--for=condition=Established", "crd/modelrollouts.dwcp.io")


def rollout(**spec):
    target = {"storageUri": "s3://dwcp/models/node_reliability/v1.1/", "version": "v1.1"}
    return {
        "apiVersion": "dwcp.io/v1alpha1",
        "kind": "ModelRollout",
        "metadata": {"name": NAME, "namespace": "default"},
        "spec": {"inferenceService": "node-reliability", "target": target, **spec},
    }


@pytest.fixture
def created(definition):
    kubectl(*WHERE, "delete", "modelrollout", NAME, "--ignore-not-found")
    kubectl("create", "-f", "-", stdin=json.dumps(rollout(gates=[LATENCY], metrics=PROMETHEUS)))
    yield
    kubectl(*WHERE, "delete", "modelrollout", NAME)


def patched(change, *words):
    return [*WHERE, "patch", "modelrollout", NAME, "--type=merge", "-p", json.dumps(change), *words]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"strategy": {"steps": [1, 10, 5]}}, "steps must rise"),
        ({"strategy": {"steps": [5, 5]}}, "steps must rise"),
        ({"strategy": {"steps": [0, 5]}}, "greater than or equal to 1"),
        ({"strategy": {"steps": [50, 100]}}, "less than or equal to 99"),
        ({"strategy": {"stepDuration": "20m"}}, "stepDeadline is shorter"),
        ({"strategy": {"stepDuration": "2 minutes"}}, "should match"),
        ({"strategy": {"stepDuration": ""}}, "at least 2 chars"),
        ({"strategy": {"speed": 3}}, "unknown field"),
        ({"gates": [LATENCY, LATENCY], "metrics": PROMETHEUS}, "Duplicate value"),
        ({"gates": [LATENCY]}, "has no source"),
        ({"gates": [{**LATENCY, "source": "prometheus"}], "prober": PROBER}, "has no source"),
        (
            {"gates": [{**LATENCY, "source": "prober"}], "metrics": PROMETHEUS},
            "asks for the prober",
        ),
        ({"gates": [{**LATENCY, "query": "up"}], "metrics": PROMETHEUS}, "belongs to kind metric"),
        (
            {"gates": [{**LATENCY, "kind": "metric"}], "metrics": PROMETHEUS},
            "belongs to kind metric",
        ),
        ({"gates": [{**LATENCY, "limit": 1}], "metrics": PROMETHEUS}, "must be above 1"),
        ({"gates": [{**LATENCY, "kind": "speed"}], "metrics": PROMETHEUS}, "Unsupported value"),
        ({"gates": [{**LATENCY, "quantile": 1}], "metrics": PROMETHEUS}, "less than 1"),
        ({"mode": "Serverless"}, "Unsupported value"),
        ({"target": {"version": "v1.1"}}, "storageUri: Required value"),
        ({"command": {"name": "jump", "id": "1", "by": "me", "at": "now"}}, "Unsupported value"),
    ],
)
def test_what_the_models_refuse_the_api_server_refuses(spec, said):
    body = rollout(**spec)
    assert said in refusal("create", "--dry-run=server", "-f", "-", stdin=json.dumps(body))
    with pytest.raises(RolloutError):
        read_spec(body)


def test_latest_is_no_target():
    body = rollout(target={"storageUri": "s3://dwcp/models/node_reliability/latest"})
    assert "never changes" in refusal(
        "create", "--dry-run=server", "-f", "-", stdin=json.dumps(body)
    )


def test_the_api_server_adds_nothing_that_an_older_operator_could_not_read(created):
    stored = json.loads(kubectl(*WHERE, "get", "mr", NAME, "-o", "json").stdout)
    assert stored["spec"] == rollout(gates=[LATENCY], metrics=PROMETHEUS)["spec"]


def test_a_rollout_stays_with_its_service(created):
    assert "cannot change" in refusal(*patched({"spec": {"inferenceService": "other"}}))


@pytest.mark.parametrize(
    ("phase", "may"), [("Progressing", True), ("Promoting", False), ("Aborting", False)]
)
def test_the_target_stands_still_while_the_last_hop_or_the_way_back_is_made(created, phase, may):
    kubectl(*patched({"status": {"phase": phase}}, "--subresource=status"))
    other = {"spec": {"target": {"storageUri": "s3://dwcp/models/node_reliability/v1.2/"}}}
    done = kubectl(*patched(other), check=False)
    assert (done.returncode == 0) == may
    assert may or "target cannot change" in done.stderr
    order = {"name": "abort", "id": "1", "by": "me", "at": "now"}
    kubectl(*patched({"spec": {"command": order}}))


def whole_state():
    now = datetime(2025, 1, 6, 12, tzinfo=UTC)
    gate = GateResult("p99", "pass", "fast enough", 500, 500, 1.02, 0.4, 1.5, "prometheus")
    line = Transition(now, "Dark", "Verifying", "operator", "ready")
    return RolloutState(
        phase=Phase.PROGRESSING,
        phase_since=now,
        why="5 %: all gates pass",
        step=1,
        percent=5,
        stable="a-00001",
        canary="a-00002",
        stable_model={"storageUri": "s3://b/v1.0/", "args": ["--one"], "resources": {"a": {}}},
        analysis_since=now,
        gates=(gate,),
        history=(line,),
    )


def test_a_status_comes_back_as_it_was_written_and_is_shown_in_columns(created):
    spec, state = read_spec(rollout()), whole_state()
    status = {**write_state(state, spec), "conditions": conditions(state, spec, [])}
    status["observedGeneration"] = 1
    kubectl(*patched({"status": status}, "--subresource=status"))
    stored = yaml.safe_load(kubectl(*WHERE, "get", "mr", NAME, "-o", "yaml").stdout)
    assert stored["status"] == status
    assert read_state(stored["status"]) == state
    head, row = kubectl(*WHERE, "get", "mr", NAME, "-o", "wide").stdout.splitlines()
    assert head.split() == ["NAME", "PHASE", "STEP", "TRAFFIC", "TARGET", "AGE", "WHY"]
    assert row.split()[:5] == [NAME, "Progressing", "2/5", "5", "v1.1"]
    assert row.endswith("all gates pass")
