"""Everything together: a spec, what is needed, two real revisions, a real Prometheus."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from two_revisions import BODY, HOSTS, Gateway, prometheus, serving, until

from dwcp_ml.rollout.measure import Measurement, family, probe_bodies
from dwcp_ml.rollout.observation import Needs, Observation, ServiceView, Window
from dwcp_ml.rollout.spec import PRESETS, Metrics, RolloutSpec

VIEW = ServiceView("1", {}, "f", 1, "m-00001", None, "m-00002", "m-00002", {}, settled=True)
GOLDEN = {"request": BODY, "outputs": {"y": [2.0]}}


def spec(gateway, url, **given):
    return RolloutSpec.model_validate(
        {
            "inferenceService": "m",
            "target": {"storageUri": "s3://models/m/v2"},
            "metrics": {"prometheusUrl": url, "staleAfter": "5s"} if url else None,
            "prober": {"gateway": gateway.url, "ratePerS": 100},
            "verification": {"golden": [GOLDEN]},
            "gates": [
                {"name": "errors", "kind": "error-ratio", "limit": 0.05},
                {"name": "p50", "kind": "latency", "limit": 2.0, "quantile": 0.5},
                {"name": "golden", "kind": "golden", "limit": 0.0001},
            ],
            **given,
        }
    )


def analysed(gateway, wanted, probes=400, hosts=HOSTS, names=("m-00002", "m-00001")):
    """Verdicts of one look after so many probes."""
    measurement = Measurement("models")
    seen = Observation(VIEW)
    since = datetime.now(UTC)
    try:
        measurement.measure(wanted, Needs(prober=True), seen, hosts)
        until(lambda: min(len(gateway.canary.asked), len(gateway.stable.asked)) >= probes)
        window = Window(since, datetime.now(UTC), *names, 1, 30)
        found = measurement.measure(wanted, Needs(analyse=window, prober=True), seen, hosts)
    finally:
        measurement.close()
    return {one.gate: one for one in found.gates}


@pytest.fixture
def world(tmp_path):
    gateway = Gateway()
    with serving(gateway, gateway.port):
        with prometheus(tmp_path / "data", gateway) as (url, process):
            yield gateway, url, process


def test_preflight_verification_and_gates_of_a_healthy_canary(world):
    gateway, url, _ = world
    wanted = spec(gateway, url, metrics={"prometheusUrl": url, "staleAfter": "120s"})
    measurement = Measurement("models")
    needs = Needs(preflight=True, verify=("m-00002", "m-00001"))

    def looked():  # Prometheus needs two scrapes to know an increase
        found = measurement.measure(wanted, needs, Observation(VIEW), HOSTS)
        return None not in [check.passed for check in found.preflight] and found

    seen = until(looked)
    measurement.close()
    assert [check.passed for check in seen.preflight] == [True] * 4, seen.preflight
    assert [check.passed for check in seen.verification] == [True]
    results = analysed(gateway, spec(gateway, url))
    assert results["errors"].verdict == "pass", results
    assert results["golden"].verdict == "pass", results
    assert results["p50"].verdict != "fail", results


def test_a_canary_with_errors_fails_whatever_else_is_well(world):
    gateway, url, _ = world
    gateway.canary.fail = 0.3
    result = analysed(gateway, spec(gateway, url))["errors"]
    assert result.verdict == "fail", result
    assert result.canary_samples >= 100
    assert result.effect == pytest.approx(0.3, abs=0.1)


def test_prometheus_down_keeps_a_healthy_canary_from_passing(world):
    gateway, url, process = world
    process.kill()
    process.wait()
    result = analysed(gateway, spec(gateway, url))["errors"]
    assert result.verdict == "inconclusive"
    assert "cannot be reached" in result.why


def test_revisions_that_metrics_and_answers_call_by_another_name_are_found(world):
    gateway, url, _ = world
    hosts = replace(HOSTS, labels={"m-new": "m-00002", "m-old": "m-00001"})
    gateway.canary.fail = 0.3
    wanted = spec(gateway, url)
    result = analysed(gateway, wanted, hosts=hosts, names=("m-new", "m-old"))["errors"]
    assert result.verdict == "fail", result
    unknown = analysed(gateway, wanted, names=("m-new", "m-old"))["errors"]
    assert unknown.verdict != "pass", unknown


def test_without_prometheus_the_prober_is_enough(gateway):
    results = analysed(gateway, spec(gateway, None))
    assert results["errors"].verdict == "pass", results
    assert results["errors"].source == "prober"


def test_who_answers_the_public_is_counted_from_the_first_request_on(gateway):
    measurement = Measurement("models")
    since = datetime.now(UTC)
    wanted = spec(gateway, None)

    def answers():
        needs = Needs(answered=since)
        found = measurement.measure(wanted, needs, Observation(VIEW), HOSTS).answered
        return found and sum(found.by_revision.values()) >= 20 and found

    assert set(until(answers).by_revision) == {"m-00001", "m-00002"}
    measurement.measure(wanted, Needs(), Observation(VIEW), HOSTS)
    measurement.close()
    assert {head["host"] for head in gateway.stable.asked} == {HOSTS.public}


def test_preflight_without_anything_to_ask_still_answers(gateway):
    wanted = spec(gateway, None, prober=None, gates=[])
    seen = Measurement("models").measure(wanted, Needs(preflight=True), Observation(VIEW), HOSTS)
    assert [check.passed for check in seen.preflight] == [True]
    empty = spec(gateway, None, verification={})
    seen = Measurement("models").measure(empty, Needs(preflight=True), Observation(VIEW), HOSTS)
    assert False in [check.passed for check in seen.preflight]
    assert probe_bodies(empty) == ()


def test_levels_are_made_for_every_test_of_the_rollout(gateway):
    tests = family(spec(gateway, "http://p"))
    assert (tests.tests, tests.places) == (5, 5 + 1 + 2)


def test_a_preset_fills_in_what_is_not_given():
    knative = Metrics.model_validate({"prometheusUrl": "http://p", "preset": "knative"})
    assert knative.requests == PRESETS["knative"]["requests"]
    assert knative.score == knative.rejected == ""
    own = Metrics.model_validate({"prometheusUrl": "http://p", "codeLabel": "status", "score": ""})
    assert (own.code_label, own.score, own.latency) == ("status", "", "dwcp_request_seconds")
    assert Metrics.model_validate(own.model_dump(by_alias=True)) == own
