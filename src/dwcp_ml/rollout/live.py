"""Which services and revisions serve a version now, from the pods that loaded it."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dwcp_ml.rollout.pods import ready

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SERVICE, REVISION = "serving.kserve.io/inferenceservice", "serving.knative.dev/revision"


@dataclass(frozen=True)
class Live:
    """A revision of a service that serves a version with so many ready pods."""

    service: str
    revision: str
    pods: int

    def __str__(self) -> str:
        """For example "toy, revision toy-predictor-00002, 1 ready pod"."""
        pods = "1 ready pod" if self.pods == 1 else f"{self.pods} ready pods"
        return f"{self.service}, revision {self.revision}, {pods}"


def live(pods: Sequence[Any], model: str, version: str) -> list[Live]:
    """Revisions whose ready pods loaded MODEL/VERSION, by name.

    Args:
        pods: of InferenceServices.
        model: its name in the registry.
        version: such as "v1.1".
    """
    place = re.compile(rf"(^|/){re.escape(model)}/{re.escape(version)}(/|$)")
    found: Counter[tuple[str, str]] = Counter()
    for pod in pods:
        if ready([pod]) and any(place.search(word) for word in _words(pod)):
            labels = pod.metadata.labels or {}
            found[labels[SERVICE], labels.get(REVISION) or _replica_set(pod)] += 1
    return [Live(*key, pods=count) for key, count in sorted(found.items())]


def _words(pod: Any) -> Iterator[str]:
    """Arguments of what loads a model, and of what serves it."""
    for container in [*(pod.spec.init_containers or []), *pod.spec.containers]:
        yield from [*(container.args or []), *(container.command or [])]


def _replica_set(pod: Any) -> str:
    """What a revision is where Knative makes none."""
    owners = pod.metadata.owner_references or []
    return next((owner.name for owner in owners if owner.kind == "ReplicaSet"), pod.metadata.name)
