"""What the rollout remembers: the ``status`` of a ModelRollout. It lives nowhere else."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

# How the state is written as a status: camelCase, and a field of a later version is left alone.
STATUS = ConfigDict(alias_generator=to_camel, extra="ignore")


class Phase(StrEnum):
    """Where a rollout stands."""

    PENDING = "Pending"
    PREFLIGHT = "Preflight"
    DARK = "Dark"
    VERIFYING = "Verifying"
    PROGRESSING = "Progressing"
    PROMOTING = "Promoting"
    WATCHING = "Watching"
    SUCCEEDED = "Succeeded"
    ABORTING = "Aborting"
    ROLLED_BACK = "RolledBack"
    HALTED = "Halted"


TERMINAL = frozenset({Phase.SUCCEEDED, Phase.ROLLED_BACK, Phase.HALTED})


class AbortStep(StrEnum):
    """The safe way back, in order; each is left only when it is seen applied."""

    ZERO = "Zero"  # canaryTrafficPercent 0
    RESTORE = "Restore"  # the old model, still at 0
    FULL = "Full"  # 100 % on the restored model


Verdict = Literal["pass", "fail", "inconclusive"]


@dataclass(frozen=True)
class GateResult:
    """Answer of one gate: the figures and the sentence that explains them."""

    __pydantic_config__: ClassVar[ConfigDict] = STATUS

    gate: str
    verdict: Verdict
    why: str
    canary_samples: int = 0
    stable_samples: int = 0
    effect: float | None = None
    p_value: float | None = None
    limit: float | None = None
    source: str = ""


@dataclass(frozen=True)
class Transition:
    """One line of the history: who moved the rollout from where to where, and why."""

    __pydantic_config__: ClassVar[ConfigDict] = STATUS

    at: datetime
    source: str
    to: str
    by: str
    why: str


@dataclass(frozen=True)
class RolloutState:
    """Everything ``decide`` knows of the past.

    Attributes:
        phase: where the rollout stands.
        phase_since: when it entered the phase (or the abort step, or the step).
        why: the sentence a person reads.
        step: index into strategy.steps while Progressing, for display.
        percent: the share that the canary should have; fixed when a step is entered, so that an
            edit of ``strategy.steps`` changes only the steps to come.
        stable: revision that gets the rest of the traffic, and all of it at 0 %.
        stable_model: ``predictor.model`` before the rollout, to restore it; empty for a first
            version.
        stable_fingerprint: of everything else that makes a revision, as it was found.
        fingerprint: the same for the canary, as accepted when its analysis began.
        incarnation: of the service; revision names mean nothing in another one.
        canary: revision of the target; None until the cluster made it.
        restored: revision made of ``stable_model`` while Aborting.
        target_digest: of spec.target, so that an edited target starts the rollout anew.
        applied_first: when the step was first seen applied, None before.
        applied: the step was seen applied twice, at least CONFIRM apart.
        unsettled_since: since when an applied step is not seen applied any more.
        analysis_since: start of the minutes that the gates compare, None before applied.
        last_look: when gates, verification or preflight were last asked.
        looks: analyses made at this step, for the correction of repeated looks.
        baseline_since: start of the minutes whose figures of stable the watch window compares with:
            when the first step was in place.
        baseline_until: their end.
        restarts: how often someone else's change made the analysis start again.
        abort_step: while Aborting.
        undoing: the way back was asked for after success: the canary keeps the traffic until the
            old model is seen to load.
        stuck: the way back is blocked while the canary has traffic, and a person was called.
        paused: since when, None while it runs.
        promote_by: who asked for 100 % without further steps.
        finishing: the watch window has passed its gates; only tidying is left.
        gates: last results.
        command_id: last command done.
        history: newest last, at most HISTORY_LENGTH.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STATUS

    phase: Phase = Phase.PENDING
    phase_since: datetime | None = None
    why: str = ""
    step: int = 0
    percent: int = 0
    stable: str | None = None
    stable_model: dict[str, Any] = field(default_factory=dict)
    stable_fingerprint: str = ""
    fingerprint: str = ""
    incarnation: str = ""
    canary: str | None = None
    restored: str | None = None
    target_digest: str = ""
    applied_first: datetime | None = None
    applied: bool = False
    unsettled_since: datetime | None = None
    analysis_since: datetime | None = None
    last_look: datetime | None = None
    looks: int = 0
    baseline_since: datetime | None = None
    baseline_until: datetime | None = None
    restarts: int = 0
    abort_step: AbortStep | None = None
    undoing: bool = False
    stuck: bool = False
    paused: datetime | None = None
    promote_by: str | None = None
    finishing: bool = False
    gates: tuple[GateResult, ...] = ()
    command_id: str | None = None
    history: tuple[Transition, ...] = ()


HISTORY_LENGTH = 100
WHY_LENGTH = 1000  # characters of a sentence that is kept
