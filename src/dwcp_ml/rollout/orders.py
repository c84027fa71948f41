"""What a person orders, done once by id and recorded with who; and an edited target."""

from __future__ import annotations

from dataclasses import replace

from dwcp_ml.rollout.actions import Event
from dwcp_ml.rollout.spec import Command
from dwcp_ml.rollout.state import TERMINAL, AbortStep, Phase, RolloutState
from dwcp_ml.rollout.step import Look, Result, abort, go, noted
from dwcp_ml.rollout.target import is_target, target_digest

UNTOUCHED = frozenset({Phase.PENDING, Phase.PREFLIGHT})
UNDER_WAY = frozenset(
    {Phase.DARK, Phase.VERIFYING, Phase.PROGRESSING, Phase.PROMOTING, Phase.WATCHING}
)


def obeyed(look: Look, state: RolloutState) -> Result:
    """Do the command of the spec, if it is a new one."""
    command = look.spec.command
    if command is None or command.id == state.command_id:
        return (), state
    if command.name == "undo" and state.phase is Phase.SUCCEEDED and look.seen.unreachable:
        return (), state  # it can only be judged with the service in sight
    known = replace(state, command_id=command.id)
    result = _ORDERS[command.name](look, known, command)
    if result is not None:
        return result
    why = f"{command.name} by {command.by} is not possible in phase {state.phase.value}"
    history = noted(known, look.now, state.phase.value, f"refused: {why}", command.by)
    return (Event("Warning", "CommandRefused", why),), replace(known, history=history)


def _abort(look: Look, state: RolloutState, command: Command) -> Result | None:
    why = f"{command.name} by {command.by}"
    if state.phase in UNTOUCHED:
        told = f"{why} before anything was changed"
        return go(look, state, Phase.ROLLED_BACK, told, by=command.by)
    if state.phase in UNDER_WAY or (state.phase is Phase.HALTED and state.stable_model):
        return abort(look, state, why, command.by)
    return None


def _promote(look: Look, state: RolloutState, command: Command) -> Result | None:
    if state.phase not in (Phase.DARK, Phase.VERIFYING, Phase.PROGRESSING) or not state.stable:
        return None
    why = f"promote by {command.by}: no further steps once this one is in place"
    history = noted(state, look.now, state.phase.value, why, command.by)
    event = Event("Normal", "PromotedByHand", why)
    return (event,), replace(state, promote_by=command.by, history=history, why=why)


def _undo(look: Look, state: RolloutState, command: Command) -> Result | None:
    if state.phase in (Phase.PROMOTING, Phase.WATCHING, Phase.HALTED):
        return _abort(look, state, command)
    view = look.seen.view
    if state.phase is not Phase.SUCCEEDED or not state.stable_model or view is None:
        return None
    ours = view.latest_created == view.rolled_out == state.canary
    if not ours or not is_target(view.model, look.spec.target):
        return None
    _, undone = abort(look, state, f"undo by {command.by}", command.by)
    event = Event("Warning", "Undo", f"undo by {command.by}")
    return (event,), replace(undone, abort_step=AbortStep.ZERO, undoing=True)


def _retry(look: Look, state: RolloutState, command: Command) -> Result | None:
    if state.phase not in (Phase.ROLLED_BACK, Phase.HALTED):
        return None
    return go(look, anew(state), Phase.PENDING, f"retry by {command.by}", by=command.by)


_ORDERS = {"abort": _abort, "promote": _promote, "undo": _undo, "retry": _retry}


def anew(state: RolloutState) -> RolloutState:
    """A fresh rollout; after a halt it keeps what it knows of the revision that serves."""
    kept = RolloutState(
        phase=state.phase,
        history=state.history,
        command_id=state.command_id,
        paused=state.paused,
    )
    if state.phase is not Phase.HALTED:
        return kept
    return replace(
        kept,
        stable=state.stable,
        stable_model=state.stable_model,
        stable_fingerprint=state.stable_fingerprint,
        incarnation=state.incarnation,
        canary=state.canary,
    )


def edited(look: Look, state: RolloutState) -> Result | None:
    """Another target than the one under way: back to a safe place, then start with it."""
    if state.target_digest in ("", target_digest(look.spec.target)):
        return None
    if state.phase in TERMINAL or state.phase in UNTOUCHED:
        why = f"new target {look.spec.target.storage_uri}"
        return go(look, anew(state), Phase.PENDING, why, target_digest="")
    if state.phase is Phase.ABORTING:
        return None
    return abort(look, state, "spec.target was edited under way")
