"""The state machine of a rollout: pure, without clock or I/O.

The loop measures what ``needs`` names, calls ``decide``, sends the events, saves the state, then
makes the one change. Everything is decided from the world as it was seen: a change that was lost
in a crash or a race is asked for again, and a phase is left only when the world shows it done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from dwcp_ml.rollout.actions import Action, Event
from dwcp_ml.rollout.dark import dark, verifying
from dwcp_ml.rollout.needs import needs
from dwcp_ml.rollout.observation import Observation
from dwcp_ml.rollout.orders import UNTOUCHED, edited, obeyed
from dwcp_ml.rollout.spec import RolloutSpec
from dwcp_ml.rollout.start import pending, preflight
from dwcp_ml.rollout.state import TERMINAL, Phase, RolloutState
from dwcp_ml.rollout.step import Look, Result, abort, clip, go, hold, late, noted
from dwcp_ml.rollout.steps import progressing, promoting, watching
from dwcp_ml.rollout.target import target_digest
from dwcp_ml.rollout.way_back import aborting

__all__ = ["decide", "needs"]

HANDLERS: dict[Phase, Callable[[Look, RolloutState], Result]] = {
    Phase.PENDING: pending,
    Phase.PREFLIGHT: preflight,
    Phase.DARK: dark,
    Phase.VERIFYING: verifying,
    Phase.PROGRESSING: progressing,
    Phase.PROMOTING: promoting,
    Phase.WATCHING: watching,
    Phase.ABORTING: aborting,
}
NEED_SERVICE = frozenset({Phase.VERIFYING, Phase.PROGRESSING, Phase.PROMOTING, Phase.WATCHING})
MOVES = 4  # phases passed through in one look, at most


def decide(
    spec: RolloutSpec, state: RolloutState, observation: Observation, now: datetime
) -> tuple[tuple[Action, ...], RolloutState]:
    """What to do now, and what to remember.

    Args:
        spec: what a person asks for, as it stands now.
        state: as it was saved.
        observation: one look, with the measurements that ``needs`` asked for.
        now: aware time of the look.

    Returns:
        Events and at most one change of the cluster, and the state to save before it is made.
    """
    look = Look(spec, observation, now)
    if state.phase_since is None:
        state = replace(state, phase_since=now)
    actions, state = obeyed(look, state)
    if observation.unreachable is not None or observation.undrivable is not None:
        more, state = _unseen(look, state)
        return (*actions, *more), state
    state = _paused(look, state)
    change = edited(look, state)
    if change is not None:
        actions, state = (*actions, *change[0]), change[1]
    for _ in range(MOVES):
        before = (state.phase, state.step, state.abort_step)
        more, state = _handled(look, state)
        actions = (*actions, *more)
        moved = (state.phase, state.step, state.abort_step) != before
        if not moved or any(not isinstance(action, Event) for action in more):
            break
        # What was measured belongs to the phase that is left.
        look = Look(spec, Observation(observation.view), now)
    return actions, _with_refusal(state, observation.refused)


def _handled(look: Look, state: RolloutState) -> Result:
    if state.phase in TERMINAL:
        return (), state
    gone = look.seen.view is None
    if gone and (state.phase in NEED_SERVICE or (state.phase is Phase.DARK and state.stable_model)):
        return abort(look, state, "somebody deleted the InferenceService")
    return HANDLERS[state.phase](look, state)


def _paused(look: Look, state: RolloutState) -> RolloutState:
    """Note when a pause begins; when it ends, start the clocks of the step again."""
    if state.phase in TERMINAL or look.spec.paused == (state.paused is not None):
        return state
    here = state.phase.value
    if look.spec.paused:
        history = noted(state, look.now, here, "paused")
        return replace(state, paused=look.now, history=history)
    state = replace(state, paused=None, history=noted(state, look.now, here, "resumed"))
    if state.phase is Phase.ABORTING:
        return state
    since = look.now if state.applied else None
    return replace(
        state, phase_since=look.now, analysis_since=since, last_look=None, looks=0, gates=()
    )


def _unseen(look: Look, state: RolloutState) -> Result:
    """Nothing can be done; a way back that is blocked calls a person once."""
    if state.phase in TERMINAL:
        return (), state
    why = look.seen.undrivable or f"the API server cannot be asked: {look.seen.unreachable}"
    if look.seen.undrivable and state.phase in UNTOUCHED:
        digest = target_digest(look.spec.target)
        told = f"{why}; nothing was touched"
        return go(look, state, Phase.HALTED, told, target_digest=digest)
    blocked = state.phase is Phase.ABORTING and not state.stuck
    if blocked and late(look, state, look.spec.strategy.apply_deadline):
        event = Event("Warning", "Stuck", clip(f"rollback is blocked: {why}"), "halted")
        return (event,), replace(state, stuck=True, why=clip(why))
    return hold(state, why)


def _with_refusal(state: RolloutState, refused: str | None) -> RolloutState:
    if refused is None or state.phase in TERMINAL or refused in state.why:
        return state
    return replace(state, why=clip(f"{state.why} (the API server refused the change: {refused})"))
