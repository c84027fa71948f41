"""The pieces that every phase is written with: a look, a result, a move to another phase."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from dwcp_ml.rollout.actions import Action, Change, Event
from dwcp_ml.rollout.observation import Observation, ServiceView
from dwcp_ml.rollout.spec import RolloutSpec
from dwcp_ml.rollout.state import (
    HISTORY_LENGTH,
    WHY_LENGTH,
    AbortStep,
    Phase,
    RolloutState,
    Transition,
)

OPERATOR = "operator"
Result = tuple[tuple[Action, ...], RolloutState]
Topic = Literal["started", "step", "promoted", "rolled-back", "halted"]

TOPICS: dict[Phase, Topic] = {
    Phase.PROGRESSING: "step",
    Phase.PROMOTING: "step",
    Phase.SUCCEEDED: "promoted",
    Phase.ROLLED_BACK: "rolled-back",
    Phase.HALTED: "halted",
}
WARNINGS = frozenset({Phase.ABORTING, Phase.ROLLED_BACK, Phase.HALTED})


@dataclass(frozen=True)
class Look:
    """What was asked for, what was seen, and when."""

    spec: RolloutSpec
    seen: Observation
    now: datetime

    @property
    def view(self) -> ServiceView:
        """The service; only where it is there."""
        if self.seen.view is None:
            raise LookupError("no InferenceService in this look")
        return self.seen.view


def clip(text: str) -> str:
    """A sentence of bounded length."""
    return text if len(text) <= WHY_LENGTH else text[: WHY_LENGTH - 1] + "…"


def noted(
    state: RolloutState, at: datetime, to: str, why: str, by: str = OPERATOR
) -> tuple[Transition, ...]:
    """The history with one more line."""
    line = Transition(at, state.phase.value, to, by, clip(why))
    return (*state.history, line)[-HISTORY_LENGTH:]


def hold(state: RolloutState, why: str | None = None, change: Change | None = None) -> Result:
    """Stay in the phase, with a sentence and at most one change of the cluster."""
    kept = state if why is None else replace(state, why=clip(why))
    return (() if change is None else (change,)), kept


def go(
    look: Look,
    state: RolloutState,
    phase: Phase,
    why: str,
    *,
    by: str = OPERATOR,
    change: Change | None = None,
    topic: Topic | None = None,
    **fields: Any,
) -> Result:
    """Enter a phase (or the next step of it): fresh clocks, a line of history, an event."""
    entered = replace(
        state,
        phase=phase,
        phase_since=look.now,
        why=clip(why),
        applied_first=None,
        applied=False,
        unsettled_since=None,
        analysis_since=None,
        last_look=None,
        looks=0,
        abort_step=None,
        stuck=False,
        history=noted(state, look.now, phase.value, why, by),
    )
    entered = replace(entered, **fields)
    kind: Literal["Normal", "Warning"] = "Warning" if phase in WARNINGS else "Normal"
    event = Event(kind, phase.value, clip(why), topic or TOPICS.get(phase))
    return ((event,) if change is None else (event, change)), entered


def abort(look: Look, state: RolloutState, why: str, by: str = OPERATOR) -> Result:
    """Start the way back; a first version has none and halts."""
    if not state.stable_model:
        return go(look, state, Phase.HALTED, f"{why}; there is no older model to go back to", by=by)
    return go(
        look, state, Phase.ABORTING, why, by=by, abort_step=AbortStep.ZERO, percent=0, restored=None
    )


def late(look: Look, state: RolloutState, limit: timedelta) -> bool:
    """Whether the phase has lasted longer than ``limit``."""
    return state.phase_since is not None and look.now - state.phase_since > limit
