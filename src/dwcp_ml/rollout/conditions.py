"""Kubernetes conditions of a rollout, as ``kubectl wait --for=condition=Promoted`` reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any

from dwcp_ml.rollout.spec import RolloutSpec
from dwcp_ml.rollout.state import TERMINAL, Phase, RolloutState


def conditions(
    state: RolloutState, spec: RolloutSpec, previous: Sequence[Mapping[str, Any]] = ()
) -> list[dict[str, Any]]:
    """One condition of each kind, always in the same order.

    Args:
        state: of the rollout.
        spec: of the rollout.
        previous: conditions as they were written last; a condition that keeps its value keeps
            the time since when it has it.
    """
    phase = state.phase
    values = {
        "Promoted": phase is Phase.SUCCEEDED,
        "Progressing": phase not in TERMINAL and not spec.paused,
        "RolledBack": phase is Phase.ROLLED_BACK,
        "Halted": phase is Phase.HALTED,
        "Paused": spec.paused and phase not in TERMINAL,
        "NeedsPerson": phase is Phase.HALTED or state.stuck,
    }
    before = {entry.get("type"): entry for entry in previous}
    return [
        _condition(state, kind, "True" if value else "False", before.get(kind) or {})
        for kind, value in values.items()
    ]


def _condition(
    state: RolloutState, kind: str, value: str, before: Mapping[str, Any]
) -> dict[str, Any]:
    changed = state.history[-1].at if state.history else state.phase_since
    since = "" if changed is None else changed.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if before.get("status") == value and before.get("lastTransitionTime"):
        since = str(before["lastTransitionTime"])
    return {
        "type": kind,
        "status": value,
        "reason": state.phase.value,
        "message": state.why,
        "lastTransitionTime": since or "1970-01-01T00:00:00Z",
    }
