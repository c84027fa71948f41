"""When a split counts as in place, and what is measured when."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest
from driver import BEGIN, a_spec
from hypothesis import given, settings
from hypothesis import strategies as st
from test_decide_table import ANALYSED, CANARY, NEW, NOW, SICK, STABLE, revisions, state, view

from dwcp_ml.rollout.applied import CONFIRM, confirmed, contradiction, not_in_place
from dwcp_ml.rollout.needs import looks_allowed, needs
from dwcp_ml.rollout.observation import Answered, Needs, Observation
from dwcp_ml.rollout.spec import Prober
from dwcp_ml.rollout.state import Phase, RolloutState
from dwcp_ml.rollout.step import Look

AT_5 = view(NEW, CANARY, STABLE, 5)


def test_a_split_by_revision_names_is_in_place():
    assert not_in_place(AT_5, CANARY, STABLE, 5) == ""
    assert not_in_place(view(NEW, CANARY, CANARY, 100), CANARY, STABLE, 100) == ""


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (replace(AT_5, latest_created="m-5"), "not ready yet"),
        (replace(AT_5, latest_ready=STABLE), "not ready yet"),
        (replace(AT_5, percent=1), "asks for 1 %"),
        # The percents fit, the names do not.
        (replace(AT_5, traffic={"m-1": 95, CANARY: 5}), "still splits"),
        (replace(AT_5, traffic={STABLE: 95, "m-5": 5}), "still splits"),
        (replace(AT_5, rolled_out="m-1"), "counts as rolled out"),
        (replace(AT_5, settled=False, unsettled_why="Ready is Unknown"), "Ready is Unknown"),
        (replace(AT_5, revisions=revisions(**{CANARY: replace(SICK, name=CANARY)})), "not ready"),
    ],
)
def test_a_split_that_only_looks_right_is_not_in_place(seen, why):
    assert why in not_in_place(seen, CANARY, STABLE, 5)


def test_100_percent_needs_the_canary_rolled_out_where_that_happens_by_itself():
    seen = replace(view(NEW, CANARY, CANARY, 100), rolled_out=STABLE)
    assert "counts as rolled out" in not_in_place(seen, CANARY, STABLE, 100)
    assert not_in_place(replace(seen, self_promoting=False), CANARY, STABLE, 100) == ""


def looked(at_s: float, answers: dict[str, int] | None = None) -> Look:
    answered = None if answers is None else Answered(answers)
    seen = Observation(AT_5, answered=answered)
    return Look(a_spec(), seen, BEGIN + timedelta(seconds=at_s))


def test_a_split_is_confirmed_by_two_looks_far_enough_apart():
    once, done = confirmed(looked(0), RolloutState(), "")
    assert not done
    soon = CONFIRM.total_seconds() - 0.1
    again, done = confirmed(looked(soon), once, "")
    assert not done
    assert confirmed(looked(soon + 0.2), again, "")[1]


def test_a_look_that_does_not_see_it_starts_the_confirmation_again():
    once, _ = confirmed(looked(0), RolloutState(), "")
    lost, _ = confirmed(looked(1), once, "not settled")
    assert lost.applied_first is None
    again, done = confirmed(looked(3), lost, "")
    assert not done
    assert confirmed(looked(5), again, "")[1]


def test_answers_against_the_split_start_the_confirmation_again():
    once, _ = confirmed(looked(0), RolloutState(), "")
    against, done = confirmed(looked(3, {STABLE: 100, CANARY: 100}), once, "")
    assert not done
    assert against.applied_first == BEGIN + timedelta(seconds=3)


@pytest.mark.parametrize(
    ("answers", "split", "fits"),
    [
        ({STABLE: 395, CANARY: 5}, {STABLE: 99, CANARY: 1}, True),
        ({STABLE: 400}, {STABLE: 99, CANARY: 1}, True),
        ({STABLE: 360, CANARY: 40}, {STABLE: 99, CANARY: 1}, False),
        ({STABLE: 2000}, {STABLE: 90, CANARY: 10}, False),
        ({STABLE: 400, CANARY: 1}, {STABLE: 100, CANARY: 0}, False),
        ({CANARY: 400, STABLE: 1}, {CANARY: 100}, False),
        ({STABLE: 95, CANARY: 5, "m-1": 1}, {STABLE: 95, CANARY: 5}, False),
        ({}, {STABLE: 95, CANARY: 5}, True),
        ({CANARY: 3}, {STABLE: 99, CANARY: 1}, True),  # rare, but not rarer than the band
    ],
)
def test_answers_are_held_against_an_exact_binomial_band(answers, split, fits):
    assert (contradiction(answers, split) == "") is fits


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3000), st.integers(1, 99), st.integers(0, 10**6))
def test_a_correct_split_is_practically_never_doubted(requests, percent, seed):
    random = Random(seed)  # noqa: S311
    canary = sum(random.random() < percent / 100 for _ in range(requests))
    answers = {CANARY: canary, STABLE: requests - canary}
    assert contradiction(answers, {CANARY: percent, STABLE: 100 - percent}) == ""


def test_nothing_is_measured_in_a_terminal_phase():
    for phase in (Phase.SUCCEEDED, Phase.ROLLED_BACK, Phase.HALTED):
        assert needs(a_spec(), state(phase, 0), NOW) == Needs()


def test_gates_are_looked_at_once_an_interval_and_only_in_place():
    spec = a_spec()
    began = NOW - timedelta(seconds=5)
    here = state(Phase.PROGRESSING, 5, **ANALYSED)
    window = needs(spec, here, NOW).analyse
    assert window is not None
    assert (window.canary, window.stable, window.since) == (CANARY, STABLE, began)
    assert needs(spec, replace(here, last_look=NOW), NOW).analyse is None
    waiting = state(Phase.PROGRESSING, 5, applied_first=began)
    assert needs(spec, waiting, NOW).analyse is None
    assert needs(spec, waiting, NOW).answered == began


def test_no_look_is_counted_beyond_those_that_are_corrected_for():
    spec = a_spec()
    here = state(Phase.PROGRESSING, 5, **ANALYSED)
    window = needs(spec, replace(here, looks=10_000), NOW).analyse
    assert window is not None
    assert window.look == window.looks == looks_allowed(spec, here) == 10


def test_the_prober_runs_while_the_canary_has_traffic():
    spec = a_spec(prober=Prober(gateway="http://gateway"))
    running = {p for p in Phase if needs(spec, state(p, 5, **ANALYSED), NOW).prober}
    assert running == {Phase.PROGRESSING, Phase.PROMOTING, Phase.WATCHING}
