"""Changes that somebody else made under a rollout: start the analysis again, or go back."""

from __future__ import annotations

from dataclasses import replace

from dwcp_ml.rollout.actions import SetPercent
from dwcp_ml.rollout.observation import ServiceView
from dwcp_ml.rollout.state import Phase, RolloutState
from dwcp_ml.rollout.step import Look, Result, abort, go
from dwcp_ml.rollout.target import is_target

LIVE = frozenset({Phase.PROMOTING, Phase.WATCHING})  # the canary may count as rolled out


def astray(view: ServiceView, state: RolloutState) -> str:
    """Why revision names mean nothing any more; empty where they do."""
    if view.stopped:
        return "somebody stopped the service"
    if renumbered(view, state):
        return "somebody stopped or deleted the service and started it again"
    return ""


def renumbered(view: ServiceView, state: RolloutState) -> bool:
    """Whether the service's revisions are numbered afresh."""
    return bool(view.incarnation and state.incarnation) and view.incarnation != state.incarnation


def misplaced(view: ServiceView, state: RolloutState) -> str:
    """Why 0 % would not give everything to stable any more; empty where it would."""
    out = view.rolled_out
    if out == state.stable or (out == state.canary and state.phase in LIVE):
        return ""
    if out == state.canary and view.previous == state.stable:
        return ""  # somebody promoted it by hand: with our percent, KServe goes back to stable
    return f"{out} counts as rolled out instead of {state.stable}"


def disturbed(look: Look, state: RolloutState) -> Result | None:
    """What to do about somebody else's change; None where there is none."""
    view = look.view
    if why := astray(view, state):
        return abort(look, state, why)
    if not is_target(view.model, look.spec.target):
        uri = view.model.get("storageUri")
        return abort(look, state, f"somebody changed the model of the service to {uri}")
    if view.latest_created not in (None, state.canary, state.stable):
        why = f"somebody else's change made revision {view.latest_created}"
        return _restart(look, state, why)
    if view.fingerprint != state.fingerprint:
        return _restart(look, state, "somebody changed what revisions are made of")
    if state.stable is not None and (why := misplaced(view, state)):
        return abort(look, state, why)
    return None


def _restart(look: Look, state: RolloutState, why: str) -> Result:
    """Back to 0 % and to a dark canary, with the revision there is now."""
    view = look.view
    if state.restarts >= look.spec.strategy.max_restarts:
        return abort(look, state, f"{why}, once more than strategy.maxRestarts allows")
    again = replace(
        state,
        restarts=state.restarts + 1,
        gates=(),
        fingerprint=view.fingerprint,
        promote_by=None,  # what was promoted by hand was another revision
        baseline_since=None,  # what serves as stable may be another one too
    )
    if state.stable is None:
        return go(look, again, Phase.DARK, why, canary=None)
    # At 0 % everything goes to what counts as rolled out; to the one before where that is newest.
    newest = view.latest_created
    base = view.previous if view.rolled_out == newest else view.rolled_out
    if base is None or base not in (state.stable, state.canary):
        return abort(look, state, f"{why}, and {base} would serve at 0 %")
    zero = None if view.percent == 0 else SetPercent(0, view.resource_version)
    return go(
        look,
        again,
        Phase.DARK,
        f"{why}; the analysis starts again",
        change=zero,
        percent=0,
        stable=base,
        canary=None if newest == base else newest,
    )


def tampered(look: Look, state: RolloutState) -> Result:
    """Somebody set another percent: put ours back, and begin the step again."""
    view = look.view
    why = f"somebody set {view.percent} % instead of {state.percent} %"
    if state.restarts >= look.spec.strategy.max_restarts:
        return abort(look, state, f"{why}, once more than strategy.maxRestarts allows")
    return go(
        look,
        state,
        Phase.DARK if state.phase is Phase.VERIFYING else state.phase,
        f"{why}; it is put back and the analysis starts again",
        change=SetPercent(state.percent, view.resource_version),
        restarts=state.restarts + 1,
        gates=(),
    )
