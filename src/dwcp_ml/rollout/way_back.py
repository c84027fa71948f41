"""Aborting: 0 % first, then the old model still at 0 %, then everything on it.

Each step is read from the world, so that a crash, a lost race or a foreign edit only repeats it.
"""

from __future__ import annotations

from dataclasses import replace

from dwcp_ml.rollout.actions import Change, Deploy, Event, Finish, SetPercent
from dwcp_ml.rollout.applied import confirmed, shares
from dwcp_ml.rollout.disturbance import renumbered
from dwcp_ml.rollout.observation import ServiceView
from dwcp_ml.rollout.state import AbortStep, Phase, RolloutState
from dwcp_ml.rollout.step import Look, Result, clip, go, hold, late
from dwcp_ml.rollout.target import because, failure, is_ready, made_of


def aborting(look: Look, state: RolloutState) -> Result:
    """One round of the way back."""
    view = look.seen.view
    if view is None:
        return _wait(look, state, "the InferenceService was deleted; nothing serves")
    if renumbered(view, state):
        state = replace(
            state, stable=None, canary=None, restored=None, incarnation=view.incarnation
        )
    if view.model != state.stable_model:
        return _leave(look, state, view)
    if view.stopped:
        return _wait(look, state, "the service is stopped; its spec holds the old model")
    return _come_back(look, state, view)


def _cause(state: RolloutState) -> str:
    """Why the way back was taken."""
    here = Phase.ABORTING.value
    lines = (n.why for n in reversed(state.history) if n.to == here and n.source != here)
    return next(lines, "")


def _stay(state: RolloutState, doing: str, change: Change | None = None) -> Result:
    cause = _cause(state)
    return hold(state, doing if doing.endswith(cause) else f"{doing}; {cause}", change)


def _halt(look: Look, state: RolloutState, why: str) -> Result:
    if look.seen.refused:
        why = f"{why} (the API server refused the change: {look.seen.refused})"
    return go(look, state, Phase.HALTED, f"rollback stopped: {why}; {_cause(state)}")


def _wait(look: Look, state: RolloutState, why: str, change: Change | None = None) -> Result:
    """Hold until the deadline for a revision, then call a person."""
    if late(look, state, look.spec.strategy.ready_deadline):
        return _halt(look, state, why)
    return _stay(state, why, change)


def _leave(look: Look, state: RolloutState, view: ServiceView) -> Result:
    """The spec does not hold the old model yet: take the traffic away, then restore it."""
    if view.stopped or state.undoing:
        return _restore(look, state, view)
    if view.latest_created == view.rolled_out == state.stable is not None:
        # KServe has not made the revision yet. To undo the spec now would leave a percent below
        # 100 on a promoted revision, which gives the traffic to the one before it.
        if view.percent != 0:
            return _to_zero(look, state, view)
        why = "KServe has not acted on the target, which gets 0 % when it does"
        return _wait(look, state, f"{why}{because(view)}")
    base = _base(view, state)
    if base is None:
        return _restore(look, state, view)
    if not is_ready(view, base):
        return _unhealthy(look, state, view, base)
    if view.percent != 0:
        return _to_zero(look, state, view)
    state, done = confirmed(look, state, _not_zero(view, base))
    if done or state.abort_step is AbortStep.RESTORE:
        return _restore(look, state, view)
    if state.stuck and view.rolled_out == view.latest_created:
        return _restore(look, state, view)
    return _called(look, state, None)


def _base(view: ServiceView, state: RolloutState) -> str | None:
    """The revision that gets everything at 0 %; None where 0 % takes nothing from the canary."""
    if not view.self_promoting and view.rolled_out not in view.revisions:
        return None  # the stable side holds the target already: it has taken it over
    if view.rolled_out != view.latest_created:
        return view.rolled_out
    moves_back = view.latest_ready == view.latest_created and view.previous == state.stable
    return state.stable if moves_back and is_ready(view, state.stable) else None


def _not_zero(view: ServiceView, base: str) -> str:
    # Readiness cannot be asked for: the canary may never become ready.
    if {name for name, part in view.traffic.items() if part} != {base}:
        return f"traffic is still split: {shares(view.traffic)}"
    return "" if view.rolled_out == base else f"{view.rolled_out} still counts as rolled out"


def _unhealthy(look: Look, state: RolloutState, view: ServiceView, base: str) -> Result:
    if view.percent == 0 and not _not_zero(view, base):
        return _restore(look, state, view)  # it has everything as it is
    why = f"{base} is not ready{failure(view, base)}, so nothing is moved onto it"
    if late(look, state, look.spec.strategy.apply_deadline):
        return _halt(look, state, why)
    return _stay(replace(state, applied_first=None), why)


def _to_zero(look: Look, state: RolloutState, view: ServiceView) -> Result:
    zero = SetPercent(0, view.resource_version)
    doing = f"taking the traffic off the canary; {_cause(state)}"
    return _called(look, replace(state, applied_first=None, why=clip(doing)), zero)


def _called(look: Look, state: RolloutState, change: Change | None) -> Result:
    """Go on trying to reach 0 %, and call a person once when it takes too long."""
    actions, state = hold(state, None, change)
    if state.stuck or not late(look, state, look.spec.strategy.apply_deadline):
        return actions, state
    why = clip(f"0 % is not reached and is tried on: {state.why}")
    return (Event("Warning", "Stuck", why, "halted"), *actions), replace(state, stuck=True)


def _restore(look: Look, state: RolloutState, view: ServiceView) -> Result:
    deploy = Deploy(state.stable_model, view.resource_version)
    if state.abort_step is not AbortStep.RESTORE:
        why = "the old model is put back, at 0 %"
        return _enter(look, state, AbortStep.RESTORE, why, deploy)
    if late(look, state, look.spec.strategy.ready_deadline):
        why = f"the old model could not be put back; traffic: {shares(view.traffic)}"
        return _halt(look, state, why)
    return _stay(state, "putting the old model back, at 0 %", deploy)


def _enter(look: Look, state: RolloutState, step: AbortStep, why: str, change: Change) -> Result:
    percent = 100 if step is AbortStep.FULL else 0
    return go(look, state, Phase.ABORTING, why, change=change, abort_step=step, percent=percent)


def _come_back(look: Look, state: RolloutState, view: ServiceView) -> Result:
    """The spec holds the old model: wait for its revision, then give it everything."""
    newest = view.latest_created
    own = newest is not None and newest != state.canary
    own = own and made_of(view, newest, state.stable_model)
    if not own or view.latest_ready != newest or not is_ready(view, newest) or not view.settled:
        # A percent would go to the newest ready revision, which may be the bad one.
        harmless = {newest if own else None, view.rolled_out}
        if made_of(view, state.stable, state.stable_model):
            harmless.add(state.stable)
        if view.percent != 0 and view.latest_ready not in harmless:
            return _stay(state, "to 0 %", SetPercent(0, view.resource_version))
        state = replace(state, applied_first=None)
        return _wait(look, state, f"waiting for the old model{_waiting_for(view, own)}")
    serving = view.rolled_out == state.stable != newest and not state.undoing
    if serving and view.fingerprint != state.stable_fingerprint:
        why = (
            f"{state.stable} serves everything and the old model is back in the spec at 0 %, but "
            "what revisions are made of was changed meanwhile: it is not what served before"
        )
        return _halt(look, replace(state, restored=newest), why)
    state = replace(state, restored=newest)
    if view.percent not in (None, 100) or (view.percent is None and view.rolled_out != newest):
        return _full(look, state, view)
    return _everything(look, state, view)


def _waiting_for(view: ServiceView, own: bool) -> str:
    if own and not is_ready(view, view.latest_created):
        return f": {view.latest_created} is not ready{failure(view, view.latest_created)}"
    return because(view)


def _full(look: Look, state: RolloutState, view: ServiceView) -> Result:
    change = SetPercent(100, view.resource_version)
    if state.abort_step is not AbortStep.FULL:
        why = f"{state.restored} holds the old model and is ready: all traffic for it"
        return _enter(look, state, AbortStep.FULL, why, change)
    if late(look, state, look.spec.strategy.apply_deadline):
        return _halt(look, state, "100 % could not be set")
    return hold(state, None, change)


def _everything(look: Look, state: RolloutState, view: ServiceView) -> Result:
    newest = state.restored or ""
    why = ""
    everything = {n for n, part in view.traffic.items() if part} == {newest}
    if everything and view.rolled_out != newest and not view.self_promoting:
        doing = f"{newest} serves everything; the stable side takes it over"
        return _wait(look, state, doing, Finish(view.resource_version))
    if view.rolled_out != newest or not everything:
        why = f"traffic is still split: {shares(view.traffic)}"
    state, done = confirmed(look, state, why)
    if not done:
        return _wait(look, state, state.why)
    told = f"{newest} with the old model has all traffic; {_cause(state)}"
    return go(look, state, Phase.ROLLED_BACK, told, restored=newest, percent=0)
