"""The state as the ``status`` of a ModelRollout, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from dwcp_ml.errors import RolloutError
from dwcp_ml.rollout.conditions import conditions
from dwcp_ml.rollout.spec import RolloutSpec
from dwcp_ml.rollout.state import HISTORY_LENGTH, RolloutState
from dwcp_ml.rollout.step import clip

__all__ = ["conditions", "read_state", "write_state"]

GATES_LENGTH = 50


@cache
def _adapter() -> TypeAdapter[RolloutState]:
    return TypeAdapter(RolloutState)


def write_state(state: RolloutState, spec: RolloutSpec) -> dict[str, Any]:
    """The status: camelCase, RFC 3339 times, nothing that is None, of bounded length.

    It must replace the old status as a whole: a merge would keep what has become None.
    ``traffic``, ``steps`` and ``target`` are for people to read and are not read back.
    """
    bounded = replace(
        state,
        why=clip(state.why),
        gates=tuple(replace(gate, why=clip(gate.why)) for gate in state.gates[:GATES_LENGTH]),
        history=tuple(replace(line, why=clip(line.why)) for line in state.history)[
            -HISTORY_LENGTH:
        ],
    )
    status: dict[str, Any] = _adapter().dump_python(
        bounded, mode="json", by_alias=True, exclude_none=True
    )
    steps = spec.strategy.steps
    passed = sum(percent <= state.percent for percent in steps)
    return {
        **status,
        "stableModel": state.stable_model,
        "traffic": state.percent,
        "steps": f"{passed}/{len(steps)}",
        "target": spec.target.version or spec.target.storage_uri,
    }


def read_state(status: Mapping[str, Any]) -> RolloutState:
    """The state; what is absent has its default, what is unknown is left alone.

    Raises:
        RolloutError: a value is not of its kind. To start anew instead could skip a gate.
    """
    try:
        return _adapter().validate_python(dict(status), by_alias=True, strict=False)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise RolloutError(f"status.{place} cannot be read: {first['msg']}") from error
