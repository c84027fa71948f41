"""The state survives the way through a ModelRollout's status; conditions tell it to kubectl."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from driver import BEGIN, Driver, a_spec, served
from hypothesis import given, settings
from hypothesis import strategies as st

from dwcp_ml.errors import RolloutError
from dwcp_ml.rollout.state import (
    HISTORY_LENGTH,
    WHY_LENGTH,
    AbortStep,
    GateResult,
    Phase,
    RolloutState,
    Transition,
)
from dwcp_ml.rollout.status import conditions, read_state, write_state

SPEC = a_spec()
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
TIMES = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))
FLOATS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
MODELS = st.dictionaries(
    TEXT,
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**31), 2**31) | TEXT,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)
GATES = st.builds(
    GateResult,
    gate=TEXT,
    verdict=st.sampled_from(["pass", "fail", "inconclusive"]),
    why=TEXT,
    canary_samples=st.integers(0, 10**9),
    stable_samples=st.integers(0, 10**9),
    effect=FLOATS,
    p_value=FLOATS,
    limit=FLOATS,
    source=TEXT,
)
STATES = st.builds(
    RolloutState,
    phase=st.sampled_from(Phase),
    phase_since=st.none() | TIMES,
    why=TEXT,
    step=st.integers(0, 20),
    percent=st.integers(0, 100),
    stable=st.none() | TEXT,
    stable_model=MODELS,
    canary=st.none() | TEXT,
    applied_first=st.none() | TIMES,
    applied=st.booleans(),
    analysis_since=st.none() | TIMES,
    looks=st.integers(0, 1000),
    abort_step=st.none() | st.sampled_from(AbortStep),
    paused=st.none() | TIMES,
    promote_by=st.none() | TEXT,
    gates=st.lists(GATES, max_size=3).map(tuple),
    history=st.lists(st.builds(Transition, TIMES, TEXT, TEXT, TEXT, TEXT), max_size=3).map(tuple),
)


@settings(max_examples=150, deadline=None)
@given(STATES)
def test_a_state_comes_back_as_it_was_written(state):
    assert read_state(json.loads(json.dumps(write_state(state, SPEC)))) == state


def test_an_empty_status_is_a_new_rollout():
    assert read_state({}) == RolloutState()


def test_a_status_of_a_later_version_is_read_without_what_is_unknown():
    line = {"at": "2026-01-01T00:00:00Z", "source": "a", "to": "b", "by": "c", "why": "d", "e": 1}
    status = {"phase": "Dark", "somethingNew": {"a": 1}, "history": [line], "conditions": []}
    state = read_state(status)
    assert state.phase is Phase.DARK
    assert state.history[0].by == "c"


@pytest.mark.parametrize("status", [{"phase": "Levitating"}, {"percent": "much"}, {"history": 3}])
def test_a_status_that_cannot_be_read_is_refused_and_not_taken_for_a_new_rollout(status):
    with pytest.raises(RolloutError, match="status"):
        read_state(status)


def test_times_are_rfc_3339_in_camel_case():
    status = write_state(RolloutState(phase_since=BEGIN), SPEC)
    assert status["phaseSince"] == "2026-01-01T00:00:00Z"
    assert "appliedFirst" not in status


def test_a_status_is_bounded():
    line = Transition(BEGIN, "a", "b", "c", "x" * 5000)
    gate = GateResult("g", "fail", "y" * 5000)
    state = RolloutState(why="z" * 5000, history=(line,) * 500, gates=(gate,) * 500)
    status = write_state(state, SPEC)
    assert len(status["history"]) == HISTORY_LENGTH
    assert len(status["why"]) == WHY_LENGTH
    assert len(json.dumps(status)) < 400_000


def test_people_read_traffic_steps_and_target():
    driver = Driver(served())
    driver.until(Phase.PROGRESSING)
    driver.rounds(2)
    assert (driver.saved["traffic"], driver.saved["steps"]) == (5, "1/2")
    assert driver.saved["target"] == SPEC.target.storage_uri


@pytest.mark.parametrize(
    ("phase", "kind"),
    [
        (Phase.SUCCEEDED, "Promoted"),
        (Phase.ROLLED_BACK, "RolledBack"),
        (Phase.HALTED, "Halted"),
        (Phase.WATCHING, "Progressing"),
    ],
)
def test_each_end_has_its_condition(phase, kind):
    told = conditions(RolloutState(phase=phase, phase_since=BEGIN, why="so"), SPEC)
    ends = {"Promoted", "RolledBack", "Halted", "Progressing"}
    assert {c["type"] for c in told if c["status"] == "True"} & ends == {kind}
    assert all(c["message"] == "so" and c["reason"] == phase.value for c in told)


def test_a_condition_keeps_the_time_since_when_it_has_its_value():
    first = RolloutState(phase=Phase.DARK, phase_since=BEGIN)
    before = conditions(first, SPEC)
    later = RolloutState(phase=Phase.SUCCEEDED, phase_since=BEGIN + timedelta(hours=1))
    after = {c["type"]: c["lastTransitionTime"] for c in conditions(later, SPEC, before)}
    assert after["Halted"] == "2026-01-01T00:00:00Z"
    assert after["Promoted"] == "2026-01-01T01:00:00Z"


def test_a_pause_is_a_condition():
    paused = SPEC.model_copy(update={"paused": True})
    told = conditions(RolloutState(phase=Phase.PROGRESSING, phase_since=BEGIN), paused)
    values = {c["type"]: c["status"] for c in told}
    assert values["Paused"] == "True"
    assert values["Progressing"] == "False"
