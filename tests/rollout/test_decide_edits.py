"""What becomes of a rollout when somebody else changes the service under it."""

from __future__ import annotations

import pytest
from controllers import Cluster
from driver import NEW, OLD, OTHER, Driver, served
from ends import CANARY, RESTORED, STABLE, assert_halted, assert_rolled_back, at_step

from dwcp_ml.rollout.state import Phase


@pytest.fixture
def rollout() -> Driver:
    return Driver(served())


@pytest.mark.parametrize("edit", ["label", "minReplicas"])
def test_an_edited_service_starts_the_analysis_again_at_0(rollout, edit):
    at_step(rollout, 5)
    rollout.cluster.patch(extras={edit: 2})
    rollout.round()
    rollout.round()
    assert rollout.cluster.isvc is not None
    assert rollout.cluster.isvc.percent == 0
    assert rollout.state.phase is Phase.DARK
    state = rollout.until()
    assert state.phase is Phase.SUCCEEDED
    assert state.canary == RESTORED
    assert state.restarts == 1
    assert max(flow.get(RESTORED, 0) for _, flow in rollout.cluster.flows[:-1]) <= 50


def test_an_edited_runtime_starts_the_analysis_again(rollout):
    at_step(rollout, 5)
    rollout.cluster.edit_runtime(7)
    state = rollout.until()
    assert state.phase is Phase.SUCCEEDED
    assert 1 <= state.restarts <= 2
    assert rollout.cluster.revisions[state.canary].template.runtime_content == 7
    assert not rollout.excess()


def test_a_failing_gate_after_a_runtime_edit_leaves_the_untouched_stable_serving(rollout):
    at_step(rollout, 5)
    rollout.spec = rollout.spec.model_copy(update={"paused": True})
    rollout.cluster.edit_runtime(7)
    rollout.rounds(40)
    assert rollout.state.canary == RESTORED
    rollout.spec = rollout.spec.model_copy(update={"paused": False})
    rollout.gate = lambda window: "fail"
    assert_halted(rollout, "not what served before", {STABLE: 100})


def test_edits_again_and_again_are_rolled_back(rollout):
    for number in range(4):
        at_step(rollout, 5)
        rollout.cluster.patch(extras={"label": number})
        rollout.rounds(2)
        if rollout.state.phase is Phase.ABORTING:
            break
    rollout.cluster.patch(extras={"label": None})
    state = rollout.until()
    assert state.phase is Phase.HALTED  # what revisions are made of is not as it was
    assert rollout.cluster.flow() == {STABLE: 100}


def test_another_model_by_hand_goes_back_to_the_old_one(rollout):
    at_step(rollout, 5)
    rollout.cluster.patch(OTHER)
    assert_rolled_back(rollout, "somebody changed the model")


@pytest.mark.parametrize("percent", [20, 0, 100, None])
def test_percent_patched_alone_is_put_back_and_analysed_again(rollout, percent):
    at_step(rollout, 5)
    before = rollout.cluster.now
    rollout.cluster.patch(percent=percent)
    rollout.rounds(6)
    assert rollout.cluster.flow() == {STABLE: 95, CANARY: 5}
    assert rollout.state.restarts == 1
    much = [at for at, flow in rollout.cluster.flows if at > before and flow.get(CANARY, 0) > 5]
    assert not much or rollout.cluster.now - much[0] < 8
    assert rollout.until().phase is Phase.SUCCEEDED


def test_percent_lowered_by_hand_after_100_is_taken_as_a_rollback(rollout):
    rollout.until(Phase.WATCHING)
    rollout.cluster.patch(percent=0)
    assert_rolled_back(rollout, "somebody set 0 %")


def test_the_old_spec_by_hand_without_a_percent_gets_back_to_0_at_once(rollout):
    at_step(rollout, 5)
    rollout.cluster.patch(OLD, percent=None)
    assert_rolled_back(rollout, "somebody changed the model")
    bad = [at for at, flow in rollout.cluster.flows if flow.get(CANARY) == 100]
    assert len(bad) <= 1


def test_stopped_and_started_again_ends_on_the_old_model(rollout):
    at_step(rollout, 5)
    rollout.cluster.patch(stop=True)
    rollout.rounds(5)
    rollout.cluster.patch(stop=False)
    assert_rolled_back(rollout, "somebody stopped the service")
    assert not any(100 in flow.values() for at, flow in rollout.cluster.flows[-3:-1])


def test_stopped_and_started_between_two_looks_ends_on_the_old_model(rollout):
    at_step(rollout, 5)
    rollout.cluster.patch(stop=True)
    rollout.cluster.run(2)
    rollout.cluster.patch(stop=False)
    rollout.cluster.run(10)
    assert rollout.excess()  # KServe itself gave it everything
    assert_rolled_back(rollout, "started it again")


def test_stopped_for_good_halts_with_the_old_model_in_the_spec(rollout):
    at_step(rollout, 5)
    rollout.cluster.patch(stop=True)
    assert_halted(rollout, "the service is stopped", {})
    assert rollout.cluster.isvc is not None
    assert rollout.cluster.isvc.model == OLD


def test_deleted_halts(rollout):
    at_step(rollout, 5)
    rollout.cluster.delete()
    assert_halted(rollout, "was deleted", {})


def test_deleted_and_made_again_with_the_target_ends_on_the_old_model(rollout):
    at_step(rollout, 5)
    rollout.cluster.delete()
    rollout.cluster.run(3)
    rollout.cluster.create(NEW, percent=10)
    assert_rolled_back(rollout, "")


def test_a_rolled_back_race_of_kserve_is_repaired_with_the_old_model():
    rollout = Driver(served())
    rollout.until(Phase.DARK)
    rollout.rounds(2)
    assert rollout.cluster.isvc is not None
    rollout.cluster.isvc.rolled_out = "m-00001"
    assert_rolled_back(rollout, "m-00001 counts as rolled out")


def test_a_service_that_is_just_starting_is_waited_for_and_kept_as_stable():
    cluster = Cluster()
    cluster.create(OLD)
    cluster.run(1)
    rollout = Driver(cluster)
    state = rollout.until()
    assert state.phase is Phase.SUCCEEDED
    assert state.stable_model == OLD


def test_somebody_elses_canary_is_not_taken_over():
    cluster = served()
    cluster.patch(OTHER, percent=10)
    cluster.run(10)
    rollout = Driver(cluster)
    assert_halted(rollout, "somebody's canary is under way", {STABLE: 90, CANARY: 10})
    assert rollout.changes == []


def test_a_service_edited_just_before_the_deploy_is_looked_at_again(rollout):
    while rollout.state.phase is not Phase.DARK:
        rollout.round(crash="undone")
    assert rollout.state.stable_model == OLD
    rollout.meddled = True
    rollout.cluster.patch(OTHER)
    state = rollout.until()
    assert state.phase is Phase.SUCCEEDED
    assert state.stable_model == OTHER
