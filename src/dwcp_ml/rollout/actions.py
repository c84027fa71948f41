"""What ``decide`` wants done. Every action is idempotent and safe to repeat after a crash.

The loop sends events, saves the new state, then makes the change, in this order. A change that was
lost is asked for again by the next ``decide``, which looks at the world and not at what it said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Create:
    """Create the InferenceService: the template with this ``predictor.model`` and no percent."""

    model: Mapping[str, Any]


@dataclass(frozen=True)
class Deploy:
    """One patch with a resourceVersion test: this ``predictor.model`` and 0 % together."""

    model: Mapping[str, Any]
    resource_version: str


@dataclass(frozen=True)
class SetPercent:
    """Patch the canary's percent alone; the model in place is the one that was observed."""

    percent: int
    resource_version: str


@dataclass(frozen=True)
class Finish:
    """Leave things tidy behind 100 % (Standard mode: the target moves onto the stable service)."""

    resource_version: str


@dataclass(frozen=True)
class Event:
    """A Kubernetes event, and a webhook message where ``topic`` is subscribed.

    Sent before the new state is saved, so that a crash repeats it rather than loses it. Topic
    ``halted`` is a page: a person is needed.
    """

    kind: Literal["Normal", "Warning"]
    reason: str
    message: str
    topic: Literal["started", "step", "promoted", "rolled-back", "halted"] | None = None


Change = Create | Deploy | SetPercent | Finish
Action = Change | Event
