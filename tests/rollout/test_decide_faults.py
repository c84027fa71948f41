"""What becomes of a rollout when something breaks; each fault with its expected end."""

from __future__ import annotations

from datetime import timedelta

import pytest
from driver import NEW, OLD, QUICK, Driver, a_spec, served
from ends import CANARY, STABLE, assert_halted, assert_rolled_back, at_step

from dwcp_ml.rollout.actions import Deploy, SetPercent
from dwcp_ml.rollout.spec import Gate, Metrics
from dwcp_ml.rollout.state import Phase


@pytest.fixture
def rollout() -> Driver:
    return Driver(served())


def test_a_healthy_rollout_patches_each_step_once(rollout):
    assert rollout.until().phase is Phase.SUCCEEDED
    assert rollout.phases == [
        Phase.PREFLIGHT,
        Phase.DARK,
        Phase.VERIFYING,
        Phase.PROGRESSING,
        Phase.PROMOTING,
        Phase.WATCHING,
        Phase.SUCCEEDED,
    ]
    assert isinstance(rollout.changes[0], Deploy)
    assert [c.percent for c in rollout.changes[1:] if isinstance(c, SetPercent)] == [5, 50, 100]
    assert rollout.cluster.flow() == {CANARY: 100}


def test_failing_preflight_halts_with_nothing_touched(rollout):
    rollout.ready_to_go = False
    assert_halted(rollout, "nothing was touched", {STABLE: 100})
    assert rollout.changes == []


def test_a_service_that_just_started_has_the_preflights_span_to_be_in_prometheus(rollout):
    span = timedelta(seconds=12)
    rollout.spec = a_spec(metrics=Metrics(prometheus_url="http://p", preflight_span=span))
    rollout.ready_to_go = False
    rollout.rounds(8)
    assert rollout.state.phase is Phase.PREFLIGHT
    rollout.ready_to_go = True
    assert rollout.until().phase is Phase.SUCCEEDED


def test_a_check_that_fails_for_the_preflights_span_halts(rollout):
    span = timedelta(seconds=12)
    rollout.spec = a_spec(metrics=Metrics(prometheus_url="http://p", preflight_span=span))
    rollout.ready_to_go = False
    rollout.rounds(20)
    assert rollout.state.phase is Phase.HALTED
    assert rollout.changes == []


def test_inconclusive_preflight_halts_at_the_deadline(rollout):
    rollout.ready_to_go = None
    rollout.rounds(20)
    assert rollout.state.phase is Phase.PREFLIGHT
    assert_halted(rollout, "nothing was touched", {STABLE: 100})
    assert rollout.changes == []


def test_a_canary_that_never_starts_is_rolled_back_without_traffic(rollout):
    rollout.cluster.broken.add(NEW["storageUri"])
    assert_rolled_back(rollout, "ImagePullBackOff")
    assert all(CANARY not in flow for _, flow in rollout.cluster.flows)


@pytest.mark.parametrize("said", [False, None])
def test_wrong_or_missing_golden_answers_are_rolled_back_without_traffic(rollout, said):
    rollout.verified = said
    assert_rolled_back(rollout, "verification")
    assert all(CANARY not in flow for _, flow in rollout.cluster.flows)


@pytest.mark.parametrize("percent", [5, 50, 100])
def test_a_failing_gate_takes_the_traffic_away_in_the_same_round(rollout, percent):
    rollout.gate = lambda window: "fail" if rollout.state.percent >= percent else "pass"
    rollout.until(Phase.ABORTING)
    assert rollout.changes[-1] == SetPercent(0, rollout.changes[-1].resource_version)
    assert_rolled_back(rollout, "figures")
    shares = [flow.get(CANARY, 0) for _, flow in rollout.cluster.flows]
    assert max(shares) == percent


def test_rollback_after_100_with_stable_scaled_to_zero():
    rollout = Driver(served())
    slow = QUICK.model_copy(update={"watch_window": QUICK.step_deadline * 6})
    rollout.spec = a_spec(strategy=slow)
    rollout.until(Phase.WATCHING)
    rollout.rounds(95)
    assert rollout.cluster.replicas(STABLE) == 0
    rollout.gate = lambda window: "fail"
    assert_rolled_back(rollout, "after promotion")


def test_no_data_is_rolled_back_at_the_deadline_never_promoted(rollout):
    rollout.gate = lambda window: "inconclusive"
    assert_rolled_back(rollout, "no verdict in time at 5 %")
    assert max(flow.get(CANARY, 0) for _, flow in rollout.cluster.flows) == 5


def test_a_gap_in_the_data_is_survived(rollout):
    at_step(rollout, 5)
    rollout.gate = lambda window: "inconclusive"
    rollout.rounds(8)
    rollout.gate = lambda window: "pass"
    assert rollout.until().phase is Phase.SUCCEEDED


def test_no_data_while_watching_is_rolled_back(rollout):
    rollout.gate = lambda window: "pass" if rollout.state.percent < 100 else "inconclusive"
    assert_rolled_back(rollout, "no verdict in time after promotion")


def slow_after_promotion(rollout, looks):
    """Latency fails for the first ``looks`` of the watch window."""
    left = [looks]

    def verdict(window):
        if rollout.state.phase is not Phase.WATCHING or left[0] == 0:
            return "pass"
        left[0] -= 1
        return "fail"

    rollout.gate = verdict
    gates = (Gate(name="errors", kind="latency", limit=2.0),)
    rollout.spec = a_spec(metrics=Metrics(prometheus_url="http://p"), gates=gates)


def test_a_slow_moment_after_promotion_is_not_the_canarys_fault(rollout):
    slow_after_promotion(rollout, looks=2)
    assert rollout.until().phase is Phase.SUCCEEDED


def test_a_canary_that_is_slow_for_the_whole_watch_window_is_rolled_back(rollout):
    slow_after_promotion(rollout, looks=99)
    assert_rolled_back(rollout, "after promotion")


def test_the_watch_window_compares_with_the_minutes_in_which_stable_served(rollout):
    windows = []
    rollout.gate = lambda window: windows.append(window) or "pass"
    assert rollout.until().phase is Phase.SUCCEEDED
    watched = windows[-1]
    assert watched.stable_since is not None
    assert watched.stable_until is not None
    assert watched.stable_since == windows[0].since  # of all steps, not of the last one alone
    assert watched.stable_since < watched.stable_until < watched.since


def test_unhealthy_stable_holds_the_split_and_pages(rollout):
    at_step(rollout, 5)
    rollout.cluster.revisions[STABLE].sick = True
    rollout.gate = lambda window: "fail"
    assert_halted(rollout, f"{STABLE} is not ready", {STABLE: 95, CANARY: 5})


def test_unhealthy_stable_after_100_goes_back_by_a_new_revision_of_the_old_model(rollout):
    rollout.until(Phase.WATCHING)
    rollout.cluster.revisions[STABLE].sick = True
    rollout.gate = lambda window: "fail"
    assert_rolled_back(rollout, "after promotion")


def test_old_model_gone_after_100_halts_and_pages(rollout):
    rollout.until(Phase.WATCHING)
    rollout.cluster.revisions[STABLE].sick = True
    rollout.cluster.broken.add(OLD["storageUri"])
    rollout.gate = lambda window: "fail"
    assert_halted(rollout, "waiting for the old model", {CANARY: 100})


def test_quota_halts_with_stable_serving(rollout):
    rollout.cluster.quota = True
    assert_halted(rollout, "waiting for the old model", {STABLE: 100})


def test_admission_that_refuses_the_old_model_halts_at_0_percent(rollout):
    at_step(rollout, 5)
    rollout.refused = frozenset({Deploy})
    rollout.gate = lambda window: "fail"
    assert_halted(rollout, "the old model could not be put back", {STABLE: 100})
    assert "admission webhook denied" in rollout.state.why


def test_admission_that_refuses_everything_pages_and_is_tried_on(rollout):
    at_step(rollout, 5)
    rollout.refused = frozenset({Deploy, SetPercent})
    rollout.gate = lambda window: "fail"
    rollout.rounds(40)
    assert rollout.state.phase is Phase.ABORTING
    assert rollout.state.stuck
    assert "admission webhook denied" in rollout.state.why
    assert len(rollout.pages()) == 1
    rollout.refused = frozenset()
    rollout.events.clear()
    assert_rolled_back(rollout, "figures")


def test_an_api_server_that_is_away_for_a_while_is_survived(rollout):
    at_step(rollout, 5)
    rollout.api_up = False
    rollout.rounds(15)
    assert "cannot be asked" in rollout.state.why
    rollout.api_up = True
    assert rollout.until().phase is Phase.SUCCEEDED


def test_kserve_down_before_it_acts_on_the_target_halts_and_is_safe_when_it_returns(rollout):
    rollout.until(Phase.PREFLIGHT)
    rollout.cluster.kserve_up = False
    assert_halted(rollout, "KServe has not acted", {STABLE: 100})
    rollout.cluster.kserve_up = True
    rollout.cluster.run(20)
    assert rollout.cluster.flow() == {STABLE: 100}


def test_kserve_down_at_a_step_change_is_rolled_back_when_it_returns(rollout):
    at_step(rollout, 5)
    rollout.cluster.kserve_up = False
    rollout.rounds(60)
    assert rollout.state.phase is Phase.ABORTING
    assert rollout.pages()
    rollout.cluster.kserve_up = True
    rollout.events.clear()
    assert_rolled_back(rollout, "50 % was not in place in time")


def test_answers_of_a_third_revision_hold_the_step_and_end_it(rollout):
    rollout.answers = lambda: {STABLE: 95, CANARY: 5, "m-00001": 1} if rollout.state.percent else {}
    state = rollout.until(Phase.ABORTING)
    assert "m-00001" in state.why


def test_answers_that_do_not_fit_the_split_hold_the_step(rollout):
    rollout.answers = lambda: {STABLE: 500, CANARY: 500} if rollout.state.percent == 5 else None
    rollout.until(Phase.PROGRESSING)
    rollout.rounds(10)
    assert not rollout.state.applied
    assert "which should get" in rollout.state.why
    rollout.answers = lambda: None
    assert rollout.until().phase is Phase.SUCCEEDED


def test_no_gate_counts_as_passed_when_its_result_is_missing(rollout):
    at_step(rollout, 5)
    gates = (*rollout.spec.gates, rollout.spec.gates[0].model_copy(update={"name": "second"}))
    rollout.spec = rollout.spec.model_copy(update={"gates": gates})
    assert_rolled_back(rollout, "second: no answer")
