"""What people order, and where a rollout begins and ends."""

from __future__ import annotations

import pytest
from controllers import Cluster
from driver import NEW, OLD, OLDEST, OTHER, QUICK, Driver, a_spec, served
from ends import CANARY, RESTORED, STABLE, assert_halted, assert_rolled_back, at_step

from dwcp_ml.rollout.actions import Deploy, SetPercent
from dwcp_ml.rollout.spec import Target
from dwcp_ml.rollout.state import AbortStep, Phase


@pytest.fixture
def rollout() -> Driver:
    return Driver(served())


def test_a_target_that_is_served_already_patches_nothing():
    rollout = Driver(served(), a_spec(target=Target(storage_uri=OLD["storageUri"])))
    assert rollout.until().phase is Phase.SUCCEEDED
    assert rollout.changes == []


def test_pause_holds_the_split_and_resume_begins_a_new_analysis(rollout):
    at_step(rollout, 5)
    rollout.spec = rollout.spec.model_copy(update={"paused": True})
    rollout.rounds(60)
    assert rollout.cluster.flow() == {STABLE: 95, CANARY: 5}
    began = rollout.state.analysis_since
    rollout.spec = rollout.spec.model_copy(update={"paused": False})
    rollout.round()
    assert rollout.state.analysis_since > began
    assert rollout.until().phase is Phase.SUCCEEDED


def test_a_failing_gate_aborts_a_paused_rollout(rollout):
    at_step(rollout, 5)
    rollout.spec = rollout.spec.model_copy(update={"paused": True})
    rollout.rounds(3)
    rollout.gate = lambda window: "fail"
    assert_rolled_back(rollout, "figures")


def test_abort_by_hand_is_recorded_with_who(rollout):
    at_step(rollout, 5)
    rollout.order("abort")
    assert_rolled_back(rollout, "abort by ann")
    assert [line.by for line in rollout.state.history if line.by != "operator"] == ["ann"]


def test_abort_before_anything_was_changed_patches_nothing(rollout):
    rollout.until(Phase.PREFLIGHT)
    rollout.order("abort")
    assert rollout.until().phase is Phase.ROLLED_BACK
    assert rollout.changes == []


@pytest.mark.parametrize("rounds", range(1, 14))
def test_abort_at_any_moment_of_the_dark_phase_is_safe(rollout, rounds):
    rollout.rounds(rounds)
    rollout.order("abort")
    assert_rolled_back(rollout, "abort by ann")
    assert all("m-00001" not in flow for at, flow in rollout.cluster.flows if at > 16)


def test_promote_by_hand_skips_steps_but_not_the_verification(rollout):
    rollout.until(Phase.DARK)
    rollout.order("promote")
    rollout.verified = None
    rollout.rounds(12)
    assert rollout.state.phase is Phase.VERIFYING
    rollout.verified = True
    assert rollout.until().phase is Phase.SUCCEEDED
    assert [c.percent for c in rollout.changes if isinstance(c, SetPercent)] == [100]


def test_promote_by_hand_does_not_outrun_a_failing_gate(rollout):
    at_step(rollout, 5)
    rollout.gate = lambda window: "fail"
    rollout.rounds(2)
    rollout.order("promote")
    assert_rolled_back(rollout, "figures")


def test_undo_keeps_the_canary_serving_until_the_old_model_is_seen_to_load(rollout):
    rollout.until()
    before = rollout.cluster.now
    rollout.order("undo")
    rollout.round()
    assert rollout.state.phase is Phase.ABORTING
    assert_rolled_back(rollout, "undo by ann")
    shares = [flow for at, flow in rollout.cluster.flows if at >= before]
    assert shares == [{RESTORED: 100}]


def test_undo_to_a_model_that_does_not_load_halts_and_nothing_is_lost(rollout):
    rollout.until()
    rollout.cluster.broken.add(OLD["storageUri"])
    rollout.order("undo")
    rollout.round()
    assert_halted(rollout, "waiting for the old model", {CANARY: 100})


def test_undo_of_a_service_that_was_changed_since_is_refused(rollout):
    rollout.until()
    rollout.cluster.patch(OTHER)
    rollout.cluster.run(10)
    rollout.order("undo")
    count = len(rollout.changes)
    rollout.rounds(3)
    assert rollout.state.phase is Phase.SUCCEEDED
    assert rollout.events[-1].reason == "CommandRefused"
    assert len(rollout.changes) == count


@pytest.mark.parametrize("name", ["retry", "promote", "abort"])
def test_orders_that_make_no_sense_after_success_are_refused(rollout, name):
    rollout.until()
    rollout.order(name)
    rollout.rounds(2)
    assert rollout.state.phase is Phase.SUCCEEDED
    assert rollout.events[-1].reason == "CommandRefused"


def test_retry_after_a_rollback_can_succeed_and_gives_the_first_canary_nothing(rollout):
    rollout.gate = lambda window: "fail"
    rollout.until()
    rollout.gate = lambda window: "pass"
    before = rollout.cluster.now
    rollout.order("retry")
    rollout.round()
    assert rollout.until().phase is Phase.SUCCEEDED
    assert all(CANARY not in flow for at, flow in rollout.cluster.flows if at > before)


def test_retry_after_a_halt_keeps_the_stable_revision_that_serves(rollout):
    rollout.cluster.quota = True
    rollout.until()
    rollout.cluster.quota = False
    rollout.order("retry")
    rollout.round()
    state = rollout.until()
    assert state.phase is Phase.SUCCEEDED
    assert state.stable == STABLE
    assert state.stable_model == OLD


def test_retry_never_takes_a_failed_canary_with_all_traffic_for_the_service(rollout):
    rollout.until(Phase.WATCHING)
    rollout.cluster.revisions[STABLE].sick = True
    rollout.refused = frozenset({Deploy})
    rollout.gate = lambda window: "fail"
    rollout.until()
    rollout.gate = lambda window: "pass"
    rollout.order("retry")
    rollout.round()
    state = rollout.until()
    assert state.phase is Phase.HALTED
    assert "without having passed" in state.why
    rollout.refused = frozenset()
    rollout.order("undo")
    rollout.round()
    assert rollout.until().phase is Phase.ROLLED_BACK
    assert not rollout.excess()


@pytest.mark.parametrize("phase", [Phase.DARK, Phase.PROGRESSING, Phase.WATCHING])
def test_an_edited_target_goes_back_and_starts_anew(rollout, phase):
    rollout.until(phase)
    rollout.spec = a_spec(target=Target(storage_uri=OTHER["storageUri"]))
    assert rollout.until(Phase.ROLLED_BACK).phase is Phase.ROLLED_BACK
    rollout.round()
    state = rollout.until()
    assert state.phase is Phase.SUCCEEDED
    assert state.stable_model == OLD
    assert rollout.cluster.isvc is not None
    assert rollout.cluster.isvc.model == OTHER


def test_a_first_version_says_that_traffic_was_unavoidable():
    rollout = Driver(Cluster())
    state = rollout.until()
    assert state.phase is Phase.SUCCEEDED
    assert "first version" in state.why
    assert len(rollout.changes) == 1
    assert rollout.cluster.isvc is not None
    assert rollout.cluster.isvc.percent is None


@pytest.mark.parametrize("broken", [True, False])
def test_a_bad_first_version_halts(broken):
    rollout = Driver(Cluster(), verified=False)
    if broken:
        rollout.cluster.broken.add(NEW["storageUri"])
    assert rollout.until().phase is Phase.HALTED
    assert "no older model" in rollout.state.why
    assert len(rollout.pages()) == 1


def test_no_service_and_no_template_halts():
    rollout = Driver(Cluster(), a_spec(template=None))
    assert rollout.until().phase is Phase.HALTED


def test_a_service_that_never_served_gets_the_target_as_its_first_version():
    cluster = Cluster()
    cluster.broken.add(OLDEST["storageUri"])
    cluster.create(OLDEST)
    cluster.run(20)
    rollout = Driver(cluster)
    assert rollout.until().phase is Phase.SUCCEEDED
    assert rollout.cluster.isvc is not None
    assert rollout.cluster.isvc.percent == 100


def test_steps_edited_under_way_change_only_the_steps_to_come(rollout):
    at_step(rollout, 5)
    steps = QUICK.model_copy(update={"steps": (1, 20)})
    rollout.spec = a_spec(strategy=steps)
    assert rollout.until().phase is Phase.SUCCEEDED
    assert [c.percent for c in rollout.changes if isinstance(c, SetPercent)] == [5, 20, 100]


def test_events_tell_each_step_and_the_end(rollout):
    rollout.until()
    topics = [event.topic for event in rollout.events if event.topic]
    assert topics == ["started", "step", "step", "step", "promoted"]


def test_the_abort_steps_come_in_order(rollout):
    at_step(rollout, 50)
    rollout.gate = lambda window: "fail"
    steps = []
    for _ in range(60):
        rollout.round()
        if rollout.state.abort_step and rollout.state.abort_step not in steps:
            steps.append(rollout.state.abort_step)
    assert steps == [AbortStep.ZERO, AbortStep.RESTORE, AbortStep.FULL]
    assert rollout.state.phase is Phase.ROLLED_BACK
