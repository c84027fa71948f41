"""A real Prometheus that scrapes two real revisions: what is measured, and what is refused."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from two_revisions import BODY, HOSTS, Gateway, prometheus, serving, until

from dwcp_ml.rollout.analysis.evidence import BlockQuantiles, Judged, Missing
from dwcp_ml.rollout.analysis.judge import judge
from dwcp_ml.rollout.evidence_prometheus import PrometheusEvidence
from dwcp_ml.rollout.observation import Window
from dwcp_ml.rollout.prometheus import Prometheus, selector
from dwcp_ml.rollout.series import UnusableError
from dwcp_ml.rollout.spec import Gate, Metrics

ERRORS = Gate(name="errors", kind="error-ratio", limit=0.01)
REJECTED = Gate(name="rejected", kind="rejected-ratio", limit=0.01)
LATENCY = Gate(name="p50", kind="latency", limit=1.5, quantile=0.5)
SCORES = Gate(name="scores", kind="score-distribution", limit=0.3)
BAD_BODY = {"inputs": [{"name": "x", "shape": [1], "datatype": "INT8", "data": [1]}]}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    gateway = Gateway()
    with serving(gateway, gateway.port):
        with prometheus(tmp_path_factory.mktemp("p") / "data", gateway) as (url, _):
            yield gateway, url


@pytest.fixture
def fresh(world):
    """The same two revisions, healed."""
    gateway, url = world
    for side in (gateway.canary, gateway.stable):
        side.fail, side.refuse, side.slow_s, side.constant, side.scrapes = 0, False, 0, None, True
    scraped(gateway, url, evidence(url))  # a series that was stale comes back with its next scrape
    return gateway, url


def evidence(url, **given):
    metrics = Metrics(prometheus_url=url, **{"stale_after": "5s", **given})
    return PrometheusEvidence(Prometheus(url), metrics, "models")


def ask(gateway, host, count, body=BODY):
    with httpx.Client() as client:
        for _ in range(count):
            client.post(f"{gateway.url}/v2/models/m/infer", json=body, headers={"host": host})


def scraped(gateway, url, source):
    """Wait until Prometheus holds what the revisions count now."""
    for side in (gateway.canary, gateway.stable):
        there = sum(
            metric.value
            for family in side.registry.collect()
            for metric in family.samples
            if metric.name == "dwcp_requests_total"
        )
        query = f'sum(dwcp_requests_total{{revision="{side.name}"}})'
        until(lambda q=query, t=there: held(source, q) == t)


def held(source, query):
    """What Prometheus has now; None while it has nothing."""
    try:
        return source.prometheus.scalar(query, now(), 60)
    except UnusableError:
        return None


def now():
    return datetime.now(UTC)


def window(gateway, since, **given):
    return Window(since, now(), gateway.canary.name, gateway.stable.name, 1, 30, **given)


def measured(gateway, url, gates, traffic, **given):
    """Evidence of the window in which ``traffic`` ran."""
    with_names = evidence(url, **given)
    scraped(gateway, url, with_names)
    since = now()
    until(lambda: (now() - since).total_seconds() > 0.3)
    traffic()
    scraped(gateway, url, with_names)
    seen = window(gateway, since)
    return [with_names.of(gate, seen) for gate in gates]


def test_counts_are_exact_and_malformed_requests_count_for_nobody(fresh):
    gateway, url = fresh

    def traffic():
        gateway.canary.fail = 1
        ask(gateway, HOSTS.canary, 7)
        gateway.canary.fail = 0
        ask(gateway, HOSTS.canary, 13)
        ask(gateway, HOSTS.canary, 30, BAD_BODY)
        ask(gateway, HOSTS.stable, 40)

    (canary, stable), (refused, accepted) = measured(gateway, url, [ERRORS, REJECTED], traffic)
    assert (canary.events, canary.total) == (7, 20)
    assert (stable.events, stable.total) == (0, 40)
    assert (refused.events, refused.total) == (30, 50)
    assert (accepted.events, accepted.total) == (0, 40)


def test_without_a_counter_of_rejections_those_are_the_4xx(fresh):
    gateway, url = fresh
    found = measured(
        gateway, url, [REJECTED], lambda: ask(gateway, HOSTS.canary, 9, BAD_BODY), rejected=""
    )
    assert (found[0][0].events, found[0][0].total) == (9, 9)


def test_a_restarted_process_loses_no_counts_made_after_it(fresh):
    gateway, url = fresh

    def traffic():
        ask(gateway, HOSTS.canary, 5)
        scraped(gateway, url, evidence(url))
        gateway.canary.restart()
        ask(gateway, HOSTS.canary, 3)

    ((canary, _),) = measured(gateway, url, [ERRORS], traffic)
    assert canary.total == 8


def test_latency_and_scores_come_from_the_histograms(fresh):
    gateway, url = fresh

    def traffic():
        for _ in range(10):
            ask(gateway, HOSTS.canary, 30)
            ask(gateway, HOSTS.stable, 30)

    blocks, (canary, stable) = measured(gateway, url, [LATENCY, SCORES], traffic)
    assert isinstance(blocks, BlockQuantiles)
    assert (blocks.canary_n, blocks.stable_n) == (300, 300)
    assert ((blocks.canary_s > 0.002) & (blocks.canary_s < 0.008)).all()
    assert (canary.total, stable.total) == (300, 300)
    assert judge(SCORES, {"prometheus": (canary, stable)}, 1e-4).verdict == "pass"


def test_a_canary_that_answered_nan_fails_its_score_gate(world):
    gateway, url = world

    def traffic():
        gateway.canary.constant = float("nan")
        ask(gateway, HOSTS.canary, 5)
        gateway.canary.constant = None
        ask(gateway, HOSTS.stable, 5)

    try:
        (found,) = measured(gateway, url, [SCORES], traffic)
        assert judge(SCORES, {"prometheus": found}, 1e-4).verdict == "fail"
    finally:
        gateway.canary.restart()  # a sum stays NaN as long as its process


def test_preflight_proves_every_query_on_stable(fresh):
    gateway, url = fresh
    source = evidence(url, stale_after="120s")
    ask(gateway, HOSTS.stable, 3)
    for gate in (ERRORS, REJECTED, LATENCY, SCORES):
        check = source.preflight(gate, gateway.stable.name, now())
        assert check.passed is True, check
    assert source.preflight(ERRORS, None, now()).passed is True


@pytest.mark.parametrize(
    ("names", "why"),
    [
        ({"requests": "dwcp_request_total"}, "did you mean 'dwcp_requests_total'"),
        ({"revision_label": "rev"}, "its labels differ"),
        ({"matchers": {"namespace": "other"}}, "its labels differ"),
        ({"code_label": "status"}, "has '' for a status in label 'status'"),
        ({"requests": "dwcp requests"}, "is not the name of a metric"),
    ],
)
def test_preflight_says_what_is_wrong_with_a_name(fresh, names, why):
    gateway, url = fresh
    check = evidence(url, stale_after="120s", **names).preflight(ERRORS, gateway.stable.name, now())
    assert check.passed is False
    assert why in check.why


def test_a_revision_that_is_not_scraped_any_more_is_stale(fresh):
    gateway, url = fresh
    source = evidence(url, stale_after="1s")
    since = now()
    gateway.canary.scrapes = False
    until(lambda: (now() - since).total_seconds() > 2.5)
    found = source.of(ERRORS, window(gateway, since))
    gateway.canary.scrapes = True
    assert isinstance(found, Missing)
    assert "stale" in found.why or "no series" in found.why


def test_a_window_that_prometheus_saw_only_in_part_is_refused(fresh):
    gateway, url = fresh
    found = evidence(url).of(ERRORS, window(gateway, now() - timedelta(hours=1)))
    assert isinstance(found, Missing)
    assert "covers only" in found.why


@pytest.mark.parametrize(
    ("query", "verdict"),
    [
        ('sum(dwcp_requests_total{revision="{{revision}}"}) * 0', "pass"),
        ("vector(2)", "fail"),
        ("vector(NaN)", "inconclusive"),
        ("dwcp_requests_total", "inconclusive"),
        ("nothing_of_that_name", "inconclusive"),
        ("sum(", "inconclusive"),
        ("1", "pass"),
    ],
)
def test_a_query_is_judged_by_its_one_number(fresh, query, verdict):
    gateway, url = fresh
    gate = Gate(name="own", kind="metric", limit=1, query=query)
    found = evidence(url).of(gate, window(gateway, now() - timedelta(seconds=1)))
    assert judge(gate, {"prometheus": found}, 1e-4).verdict == verdict, found
    assert isinstance(found, Judged | Missing)


def test_a_revision_collected_by_two_jobs_is_refused(tmp_path):
    gateway = Gateway()
    with serving(gateway, gateway.port):
        with prometheus(tmp_path / "data", gateway, twice=True) as (url, _):
            until(lambda: evidence(url).prometheus.scalar("count(up == 1)", now(), 60) == 4)
            since = now()
            until(lambda: (now() - since).total_seconds() > 1)
            found = evidence(url).of(ERRORS, window(gateway, since))
    assert isinstance(found, Missing)
    assert "collected twice" in found.why


def test_a_prometheus_that_is_gone_is_inconclusive_and_may_come_back(tmp_path, gateway):
    with prometheus(tmp_path / "data", gateway) as (url, process):
        source = evidence(url)
        process.kill()
        process.wait()
        found = source.of(ERRORS, window(gateway, now() - timedelta(seconds=1)))
        check = source.preflight(ERRORS, gateway.stable.name, now())
    assert isinstance(found, Missing)
    assert "cannot be reached" in found.why
    assert check.passed is None


@pytest.mark.parametrize("said", [b"<html>no</html>", b"[]", b'{"status":"success"}'])
def test_a_server_that_is_no_prometheus_is_refused(said):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": said})

    port = Gateway().port
    with serving(app, port), Prometheus(f"http://127.0.0.1:{port}") as source:
        with pytest.raises(UnusableError):
            source.raw("x", now() - timedelta(seconds=5), now())


def test_selectors_keep_their_own_matchers_and_escape_values():
    assert selector("a", "_sum", b="c") == 'a_sum{b="c"}'
    assert selector('a{x="1",}', "", b='"\\') == 'a{x="1",b="\\"\\\\"}'
    with pytest.raises(UnusableError):
        selector("a-b")
