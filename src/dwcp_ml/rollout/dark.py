"""Dark and Verifying: the target runs at 0 % and is asked before anybody else asks it."""

from __future__ import annotations

from dataclasses import replace

from dwcp_ml.rollout.actions import Create, Deploy, SetPercent
from dwcp_ml.rollout.applied import confirmed, not_in_place
from dwcp_ml.rollout.disturbance import astray, disturbed, misplaced, tampered
from dwcp_ml.rollout.observation import ServiceView
from dwcp_ml.rollout.start import open_question, said
from dwcp_ml.rollout.state import Phase, RolloutState
from dwcp_ml.rollout.step import Look, Result, abort, go, hold, late
from dwcp_ml.rollout.steps import enter_promotion, next_step
from dwcp_ml.rollout.target import because, failure, is_ready, is_target, merged


def dark(look: Look, state: RolloutState) -> Result:
    """Deploy the target at 0 % and wait until it is ready and the split is in place."""
    if not state.stable_model:
        return _dark_first(look, state)
    view = look.view
    if why := astray(view, state):
        return abort(look, state, why)
    if not is_target(view.model, look.spec.target):
        return _deploy(look, state)
    state = _follow(view, state)
    if why := misplaced(view, state):
        return abort(look, state, why)
    if late(look, state, look.spec.strategy.ready_deadline):
        why = failure(view, state.canary) or f" ({state.why})"
        return abort(look, state, f"the target was not ready in time{why}")
    if view.percent != 0:
        return hold(state, "to 0 %", SetPercent(0, view.resource_version))
    if state.canary is None:
        why = f"waiting for the target's revision{because(view)}"
        return hold(replace(state, applied_first=None), why)
    state, done = confirmed(look, state, not_in_place(view, state.canary, state.stable, 0))
    if not done:
        return hold(state)
    why = f"{state.canary} is ready at 0 % and asked before it gets traffic"
    return go(look, state, Phase.VERIFYING, why)


def _follow(view: ServiceView, state: RolloutState) -> RolloutState:
    """Take the newest revision as the canary; without traffic, a change starts nothing anew."""
    newest = None if view.latest_created == state.stable else view.latest_created
    if newest == state.canary and view.fingerprint == state.fingerprint:
        return state
    return replace(state, canary=newest, fingerprint=view.fingerprint, applied_first=None)


def _deploy(look: Look, state: RolloutState) -> Result:
    view = look.view
    if state.canary is not None:
        return abort(look, state, "somebody changed the model while the target was starting")
    same = view.rolled_out == state.stable and view.fingerprint == state.fingerprint
    if view.model != state.stable_model or not same:
        return _anew(look, state, "somebody changed the service before the target was deployed")
    if late(look, state, look.spec.strategy.ready_deadline):
        return abort(look, state, f"the target could not be deployed in time ({state.why})")
    if not is_ready(view, state.stable):
        return hold(state, f"{state.stable} is not ready{failure(view, state.stable)}")
    if look.spec.paused:
        return hold(state, "paused before the target is deployed")
    model = merged(view.model, look.spec.target)
    return hold(state, "deploying the target at 0 %", Deploy(model, view.resource_version))


def _anew(look: Look, state: RolloutState, why: str) -> Result:
    """Nothing of ours is in place: find out again what is served, a bounded number of times."""
    count = state.restarts + 1
    if count > look.spec.strategy.max_restarts:
        return go(look, state, Phase.HALTED, f"{why}, again and again; nothing was touched")
    blank = replace(state, stable=None, stable_model={}, canary=None, promote_by=None)
    return go(look, blank, Phase.PREFLIGHT, why, restarts=count)


def _dark_first(look: Look, state: RolloutState) -> Result:
    """A first version: there is no split to be had, only readiness and verification."""
    view = look.seen.view
    if late(look, state, look.spec.strategy.ready_deadline):
        why = "" if view is None else failure(view, view.latest_created)
        return abort(look, state, f"the first version was not ready in time{why}")
    if view is None:
        if state.canary is not None or look.spec.template is None:
            return abort(look, state, "the InferenceService is gone")
        model = look.spec.template.get("predictor", {}).get("model", {})
        return hold(state, "creating the service", Create(merged(model, look.spec.target)))
    if not is_target(view.model, look.spec.target):
        if state.canary is not None:
            return abort(look, state, "somebody changed the model of the first version")
        if view.rolled_out is not None:
            return _anew(look, state, "somebody made the service before the rollout did")
        model = merged(view.model, look.spec.target)
        return hold(state, "deploying the first version", Deploy(model, view.resource_version))
    return _first_ready(look, state, view)


def _first_ready(look: Look, state: RolloutState, view: ServiceView) -> Result:
    newest = view.latest_created
    if newest is None or view.stopped:
        return hold(state, "waiting for the first revision")
    if newest != state.canary or view.incarnation != state.incarnation:
        state = replace(
            state,
            canary=newest,
            fingerprint=view.fingerprint,
            incarnation=view.incarnation,
            applied_first=None,
        )
    if view.rolled_out == newest and view.percent not in (None, 100):
        return hold(state, "to 100 %", SetPercent(100, view.resource_version))
    state, done = confirmed(look, state, not_in_place(view, newest, None, 100))
    if not done:
        return hold(state)
    return go(look, state, Phase.VERIFYING, f"{newest} is ready, has all traffic and is asked")


def verifying(look: Look, state: RolloutState) -> Result:
    """Golden answers and replayed requests decide whether it may get traffic at all."""
    if found := disturbed(look, state):
        return found
    view, checks = look.view, look.seen.verification
    if checks is not None:
        state = replace(state, last_look=look.now)
    if failed := said(checks, False):
        return abort(look, state, f"verification failed: {failed}")
    if state.stable is not None and view.percent != 0:
        return tampered(look, state)
    asked = look.spec.verification
    why = not_in_place(view, state.canary or "", state.stable, state.percent) or open_question(
        checks, none_is_fine=not asked.golden and not asked.replay
    )
    if not why and (not look.spec.paused or state.promote_by):
        return _verified(look, state)
    if look.spec.paused:
        return hold(state, why or "paused after verification")
    if late(look, state, look.spec.strategy.ready_deadline):
        return abort(look, state, f"verification could not be finished: {why}")
    return hold(state, why if checks is not None else None)


def _verified(look: Look, state: RolloutState) -> Result:
    if state.stable is None:
        why = (
            f"{state.canary} is the first version: it had all traffic from the start, "
            "its verification passed, and there was nothing to compare it with"
        )
        return go(look, state, Phase.SUCCEEDED, why)
    if state.promote_by:
        return enter_promotion(look, state, "verification passed; promoted by hand")
    return next_step(look, state, "verification passed")
