"""The prober against two real revisions behind a real gateway."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from two_revisions import BODY, HOSTS, free_port, until

from dwcp_ml.rollout.analysis.evidence import Missing
from dwcp_ml.rollout.analysis.judge import judge
from dwcp_ml.rollout.evidence_prober import answered, evidence_of
from dwcp_ml.rollout.observation import Window
from dwcp_ml.rollout.prober import IN_FLIGHT_MOST, Prober
from dwcp_ml.rollout.spec import Gate
from dwcp_ml.rollout.v2 import Endpoint

ERRORS = Gate(name="errors", kind="error-ratio", limit=0.02, min_samples=50)
REJECTED = Gate(name="rejected", kind="rejected-ratio", limit=0.02, min_samples=50)
LATENCY = Gate(name="p50", kind="latency", limit=1.5, quantile=0.5, min_samples=50)
SCORES = Gate(name="scores", kind="score-distribution", limit=0.3)
BAD_BODY = {"inputs": [{"name": "x", "shape": [1], "datatype": "INT8", "data": [1]}]}


def probed(gateway, *places, count=300, bodies=(BODY,), hosts=HOSTS, rate=200):
    """Probe until ``count`` answers of each place are there; prober and window."""
    endpoint = Endpoint(gateway.url, "m", 5)
    prober = Prober(endpoint, hosts, bodies, rate, "x-model-revision")
    since = datetime.now(UTC)
    prober.probe(*places)
    until(lambda: all(len(prober.samples(p, 0, 1e12)) >= count for p in places))
    prober.close()
    end = datetime.now(UTC) + timedelta(seconds=1)
    return prober, Window(since, end, gateway.canary.name, gateway.stable.name, 1, 30)


def verdict(gate, prober, window):
    return judge(gate, {"prober": evidence_of(gate, window, prober)}, 1e-4).verdict


def test_healthy_revisions_pass_and_probes_are_labelled(gateway):
    prober, window = probed(gateway, "canary", "stable")
    assert verdict(ERRORS, prober, window) == "pass"
    assert verdict(REJECTED, prober, window) == "pass"
    heads = [*gateway.canary.asked, *gateway.stable.asked]
    assert all(head["x-dwcp-probe"] == "1" for head in heads)
    assert {head["host"] for head in heads} == {HOSTS.canary, HOSTS.stable}


def test_a_canary_with_errors_fails(gateway):
    gateway.canary.fail = 0.2
    assert verdict(ERRORS, *probed(gateway, "canary", "stable")) == "fail"


def test_a_canary_that_refuses_what_stable_answers_fails(gateway):
    gateway.canary.refuse = True
    prober, window = probed(gateway, "canary", "stable")
    assert verdict(ERRORS, prober, window) == "fail"
    assert verdict(REJECTED, prober, window) == "fail"


def test_malformed_probes_count_for_nobody(gateway):
    prober, window = probed(gateway, "canary", "stable", bodies=(BODY, BAD_BODY))
    canary, stable = evidence_of(ERRORS, window, prober)
    assert canary.events == stable.events == 0
    sent = len(prober.samples("canary", 0, 1e12))
    assert canary.total == pytest.approx(sent / 2, abs=sent / 10)


def test_a_slow_canary_fails(gateway):
    gateway.canary.slow_s = 0.1
    prober, window = probed(gateway, "canary", "stable", rate=50)
    assert verdict(LATENCY, prober, window) == "fail"


def test_a_canary_that_is_not_there_counts_errors(gateway):
    other = HOSTS
    prober = Prober(Endpoint(f"http://127.0.0.1:{free_port()}", "m", 1), other, [BODY], 200, "x")
    prober.probe("canary")
    until(lambda: len(prober.samples("canary", 0, 1e12)) >= 5)
    prober.close()
    assert all(one.status is None for one in prober.samples("canary", 0, 1e12))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_scores_that_are_not_finite_fail(gateway, value):
    gateway.canary.constant = value
    assert verdict(SCORES, *probed(gateway, "canary", "stable", count=50)) == "fail"


def bodies(count):
    inputs = [{**BODY["inputs"][0], "data": [float(i)]} for i in range(count)]
    return [{"inputs": [one]} for one in inputs]


def test_a_constant_canary_fails_where_the_probes_differ(gateway):
    gateway.canary.constant = 3.0
    prober, window = probed(gateway, "canary", "stable", bodies=bodies(150))
    assert verdict(SCORES, prober, window) == "fail"


def test_few_different_probes_are_no_score_distribution(gateway):
    assert verdict(SCORES, *probed(gateway, "canary", "stable", bodies=bodies(3))) == "inconclusive"


def test_a_tag_host_that_leads_to_the_other_revision_is_noticed(gateway):
    gateway.canary.name = gateway.stable.name
    prober, window = probed(gateway, "canary", "stable")
    window = Window(window.since, window.until, "m-00002", "m-00001", 1, 30)
    found = evidence_of(ERRORS, window, prober)
    assert isinstance(found, Missing)
    assert "other revision" in found.why


def test_answers_on_the_public_host_are_counted_by_revision(gateway):
    prober, window = probed(gateway, "public", count=200)
    found = answered(prober, window.since, window.until)
    assert set(found.by_revision) == {"m-00001", "m-00002"}
    share = found.by_revision["m-00002"] / sum(found.by_revision.values())
    assert share == pytest.approx(0.25, abs=0.02)
    later = datetime.now(UTC) + timedelta(hours=1)
    assert answered(prober, later, later) is None


def test_a_gateway_that_hangs_is_not_flooded(gateway):
    gateway.canary.slow_s = 3
    endpoint = Endpoint(gateway.url, "m", 0.5)
    prober = Prober(endpoint, HOSTS, [BODY], 200, "x-model-revision")
    prober.probe("canary")
    until(lambda: prober.skipped > 0)
    until(lambda: prober.samples("canary", 0, 1e12))
    prober.close()
    assert len(gateway.canary.asked) <= 4 * IN_FLIGHT_MOST
    assert Counter(one.status for one in prober.samples("canary", 0, 1e12)).keys() == {None}
