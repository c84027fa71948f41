"""Progressing, Promoting and Watching: more traffic only after the gates have passed with less."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from dwcp_ml.rollout.actions import Finish, SetPercent
from dwcp_ml.rollout.applied import confirmed, not_in_place
from dwcp_ml.rollout.disturbance import disturbed, tampered
from dwcp_ml.rollout.judge import failures, looked, sentence
from dwcp_ml.rollout.state import Phase, RolloutState
from dwcp_ml.rollout.step import OPERATOR, Look, Result, abort, go, hold, late


def next_step(look: Look, state: RolloutState, why: str) -> Result:
    """Enter the first step above the present percent, or promote where there is none."""
    steps = look.spec.strategy.steps
    for index, percent in enumerate(steps):
        if percent > state.percent:
            told = f"{why}; step {index + 1} of {len(steps)}: {percent} %"
            return go(look, state, Phase.PROGRESSING, told, step=index, percent=percent, gates=())
    return enter_promotion(look, state, why)


def enter_promotion(look: Look, state: RolloutState, why: str) -> Result:
    """All traffic for the canary; remember the minutes in which stable was last to be seen.

    Those of all steps: the last one alone may be too short for what is scraped twice a minute.
    """
    since = state.baseline_since or look.now - look.spec.strategy.step_duration
    return go(
        look,
        state,
        Phase.PROMOTING,
        f"{why}; all traffic for {state.canary}",
        by=state.promote_by or OPERATOR,
        percent=100,
        gates=(),
        baseline_since=since,
        baseline_until=look.now,
    )


def progressing(look: Look, state: RolloutState) -> Result:
    """Bring a step in place, look at it until all gates have passed, enter the next."""
    if found := disturbed(look, state):
        return found
    state, verdict = looked(look, state)
    if verdict == "fail":
        return abort(look, state, f"at {state.percent} %: {failures(state.gates)}")
    view = look.view
    if view.percent != state.percent:
        return tampered(look, state) if state.applied else _put(look, state)
    if not state.applied:
        return _apply(look, state)
    why = not_in_place(view, state.canary or "", state.stable, state.percent)
    if why:
        return _unsettled(look, state, why)
    state = replace(state, unsettled_since=None)
    if state.promote_by:
        return enter_promotion(look, state, f"promoted by hand at {state.percent} %")
    plan = look.spec.strategy
    lasted = _lasted(look, state)
    said = f"{state.percent} %: {sentence(look.spec.gates, state.gates)}"
    if look.spec.paused:
        return hold(state, f"paused at {said}")
    if verdict == "pass" and lasted >= plan.step_duration:
        return next_step(look, state, f"all gates passed at {state.percent} %")
    if lasted > plan.step_deadline:
        return abort(look, state, f"no verdict in time at {said}")
    return hold(state, said)


def _lasted(look: Look, state: RolloutState) -> timedelta:
    return look.now - (state.analysis_since or look.now)


def _put(look: Look, state: RolloutState) -> Result:
    """Patch the percent; upwards only where the newest ready revision is the canary."""
    view = look.view
    if late(look, state, look.spec.strategy.apply_deadline):
        return abort(look, state, f"{state.percent} % could not be set in time ({state.why})")
    present = 100 if view.percent is None else view.percent
    if state.percent > present and not view.latest_created == view.latest_ready == state.canary:
        return hold(state, f"{state.canary} is not the newest ready revision")
    return hold(
        state, f"setting {state.percent} %", SetPercent(state.percent, view.resource_version)
    )


def _apply(look: Look, state: RolloutState) -> Result:
    """Wait until the step is seen in place twice; the analysis begins then."""
    why = not_in_place(look.view, state.canary or "", state.stable, state.percent)
    state, done = confirmed(look, state, why)
    if done:
        baseline = state.baseline_since or look.now
        applied = replace(state, applied=True, analysis_since=look.now, baseline_since=baseline)
        return hold(applied, f"{state.percent} % is in place; the gates are watched")
    if late(look, state, look.spec.strategy.apply_deadline):
        return abort(look, state, f"{state.percent} % was not in place in time: {state.why}")
    return hold(state)


def _unsettled(look: Look, state: RolloutState, why: str) -> Result:
    """A step that was in place is not any more; a flicker passes, a lasting fault does not."""
    since = state.unsettled_since or look.now
    if look.now - since > look.spec.strategy.apply_deadline:
        return abort(look, state, f"{state.percent} % is not in place any more: {why}")
    return hold(replace(state, unsettled_since=since), why)


def promoting(look: Look, state: RolloutState) -> Result:
    """Bring 100 % in place."""
    if found := disturbed(look, state):
        return found
    view = look.view
    if view.percent != 100:
        return _put(look, state)
    why = not_in_place(view, state.canary or "", state.stable, 100)
    state, done = confirmed(look, state, why)
    if done:
        why = f"{state.canary} has all traffic and is watched"
        return go(look, state, Phase.WATCHING, why, applied=True, analysis_since=look.now)
    if late(look, state, look.spec.strategy.apply_deadline):
        return abort(look, state, f"100 % was not in place in time: {state.why}")
    return hold(state)


def watching(look: Look, state: RolloutState) -> Result:
    """Guard the promoted canary; it ends well only with all gates passed after the window."""
    if found := disturbed(look, state):
        return found
    state, verdict = looked(look, state)
    if verdict == "fail" and not _slow_for_a_while(look, state):
        return abort(look, state, f"after promotion: {failures(state.gates)}")
    view = look.view
    if view.percent not in (None, 100):
        return abort(look, state, f"somebody set {view.percent} % after promotion")
    if state.finishing:
        return _finish(look, state)
    why = not_in_place(view, state.canary or "", state.stable, 100)
    if why:
        return _unsettled(look, state, why)
    state = replace(state, unsettled_since=None)
    plan = look.spec.strategy
    lasted, said = _lasted(look, state), sentence(look.spec.gates, state.gates)
    if look.spec.paused:
        return hold(state, f"paused while watching: {said}")
    if not plan.watch_window or (verdict == "pass" and lasted >= plan.watch_window):
        return _finish(look, state)
    if lasted > plan.watch_window + plan.step_deadline:
        return abort(look, state, f"no verdict in time after promotion: {said}")
    return hold(state, f"watching: {said}")


def _slow_for_a_while(look: Look, state: RolloutState) -> bool:
    """Nothing but latency fails, and the watch window is not over.

    Stable's latency is of earlier minutes: what slows everything down, for a while, would look like
    the canary's fault. It has been compared side by side up to the last step.
    """
    latency = {gate.name for gate in look.spec.gates if gate.kind == "latency"}
    failing = {result.gate for result in state.gates if result.verdict == "fail"}
    return failing <= latency and _lasted(look, state) < look.spec.strategy.watch_window


def _finish(look: Look, state: RolloutState) -> Result:
    """Nothing to tidy where the split promotes by itself; else until stable has the target too."""
    view = look.view
    if view.rolled_out == state.canary:
        return go(look, state, Phase.SUCCEEDED, f"{state.canary} passed all gates and is promoted")
    change = Finish(view.resource_version)
    if not state.finishing:
        why = "all gates passed; the stable side takes the target over"
        return go(look, state, Phase.WATCHING, why, change=change, applied=True, finishing=True)
    if late(look, state, look.spec.strategy.ready_deadline):
        why = f"the stable side did not take the target over; {state.canary} serves on"
        return go(look, state, Phase.HALTED, why)
    return hold(state, None, change)
