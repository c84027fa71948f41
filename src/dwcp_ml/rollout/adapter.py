"""What the loop asks of a way of splitting traffic; one module per way."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from dwcp_ml.rollout.actions import Change
from dwcp_ml.rollout.observation import ServiceView


@dataclass(frozen=True)
class Hosts:
    """How either side is reached and told apart.

    Attributes:
        public: Host header that reaches the split through the gateway.
        canary: ... the canary alone.
        stable: ... stable alone.
        labels: revision -> its name in metrics and answers, where that is another one.
    """

    public: str
    canary: str
    stable: str
    labels: Mapping[str, str] = field(default_factory=dict)


class Adapter(Protocol):
    """Reads one service and changes how its traffic is split."""

    mode: str

    def view(self) -> ServiceView | None:
        """What stands in the cluster, None where there is no InferenceService.

        Raises:
            UnreachableError: the API server could not be asked.
        """
        ...

    def apply(self, change: Change) -> None:
        """Make one change; safe to repeat.

        Raises:
            RaceLostError: the service changed since it was observed.
            RefusedError: the API server said no.
            UnreachableError: the API server could not be asked.
        """
        ...

    def hosts(self) -> Hosts:
        """Host headers for the prober."""
        ...


def digest(value: Any) -> str:
    """Short digest of JSON, the same for the same content."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


IGNORED_ANNOTATIONS = frozenset(
    {"kubectl.kubernetes.io/last-applied-configuration", "serving.kserve.io/stop"}
)


def fingerprint(service: Mapping[str, Any]) -> str:
    """Digest of everything on an InferenceService, but model and percent, that makes a revision."""
    spec = {**service["spec"]}
    predictor = {
        key: value
        for key, value in spec.pop("predictor", {}).items()
        if key not in ("model", "canaryTrafficPercent")
    }
    meta = service["metadata"]
    notes = {
        key: value
        for key, value in (meta.get("annotations") or {}).items()
        if key not in IGNORED_ANNOTATIONS
    }
    return digest([spec, predictor, meta.get("labels") or {}, notes])


def condition(status: Mapping[str, Any], kind: str) -> str:
    """The value of a condition: True, False, Unknown, or Unknown where it is absent."""
    for entry in status.get("conditions") or []:
        if entry.get("type") == kind:
            return str(entry.get("status", "Unknown"))
    return "Unknown"


STOP = "serving.kserve.io/stop"


def stopped(service: Mapping[str, Any]) -> bool:
    """Somebody stopped the service."""
    notes = service["metadata"].get("annotations") or {}
    return str(notes.get(STOP, "")).lower() == "true"
