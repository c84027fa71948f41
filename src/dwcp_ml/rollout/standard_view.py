"""What a pair of InferenceServices and the route before them say together; nothing is changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dwcp_ml.rollout import pods
from dwcp_ml.rollout.adapter import condition, digest, fingerprint, stopped
from dwcp_ml.rollout.cluster import Object
from dwcp_ml.rollout.observation import RevisionView, ServiceView

PERCENT, ROLLED_OUT = "dwcp.io/canary-percent", "dwcp.io/rolled-out"
URI = "internal.serving.kserve.io/storage-initializer-sourceuri"


@dataclass(frozen=True)
class Side:
    """One InferenceService of the pair and the Deployment that KServe made of it."""

    service: Object
    deployment: Object | None
    pods: list[Any]

    @property
    def name(self) -> str:
        """Name of the InferenceService."""
        return str(self.service["metadata"]["name"])

    @property
    def model(self) -> Mapping[str, Any]:
        """``predictor.model``."""
        model: Mapping[str, Any] = self.service["spec"]["predictor"].get("model", {})
        return model

    @property
    def unsettled(self) -> str:
        """Why it does not run what its spec says yet, '' where it does."""
        if self.deployment is None:
            return f"{self.name} has no Deployment yet"
        meta, status = self.deployment["metadata"], self.deployment.get("status") or {}
        spec = self.deployment["spec"]
        wanted = spec.get("replicas", 1)
        template = spec["template"]["metadata"].get("annotations") or {}
        if template.get(URI) != self.model.get("storageUri"):
            return f"{self.name}'s Deployment still holds {template.get(URI)}"
        if status.get("observedGeneration") != meta.get("generation"):
            return f"{self.name}'s Deployment is being looked at"
        counts = [
            status.get(key, 0) for key in ("updatedReplicas", "availableReplicas", "replicas")
        ]
        if counts != [wanted] * 3 or not wanted:
            return f"{self.name} has {counts[1]} of {wanted} replicas"
        return ""

    @property
    def label(self) -> str:
        """What pods of this side call their revision in metrics and answers."""
        hashes = {p.metadata.labels.get("pod-template-hash", "") for p in self.pods}
        return f"{self.name}-predictor-{max(hashes, default='')}"


def pair_view(stable: Side, canary: Side | None, route: Object) -> ServiceView:
    """What the pair and its route say together; pure."""
    newest = canary or stable
    names = (revision_name(stable), revision_name(newest))
    asked = notes_of(route).get(PERCENT)
    unsettled = newest.unsettled or route_unsettled(route)
    return ServiceView(
        resource_version=versions(stable, canary, route),
        model=newest.model,
        fingerprint=fingerprint(stable.service),
        percent=None if asked is None else int(asked),
        rolled_out=notes_of(route).get(ROLLED_OUT) or names[0],
        previous=None,
        latest_created=names[1],
        latest_ready=names[0] if newest.unsettled else names[1],
        traffic=_traffic(stable, newest, route),
        settled=not unsettled,
        unsettled_why=unsettled,
        revisions={revision_name(side): _revision(side) for side in (stable, newest)},
        stopped=stopped(stable.service),
        incarnation=str(stable.service["metadata"].get("uid", "")),
        self_promoting=False,
    )


def revision_name(side: Side) -> str:
    """One name for the same model and settings, whichever side runs them."""
    base = side.name.removesuffix("-canary")
    return f"{base}-{digest([side.model, fingerprint(side.service)])[:8]}"


def versions(stable: Side, canary: Side | None, route: Object) -> str:
    """The three resourceVersions together; specs only, for statuses change all the time."""
    parts = [stable.service, route, *([canary.service] if canary else [])]
    return ":".join(f"{p['metadata']['uid'][:8]}.{p['metadata']['generation']}" for p in parts)


def _revision(side: Side) -> RevisionView:
    ready = not side.unsettled
    why = None if ready else pods.failure(side.pods)
    uri = side.model.get("storageUri")
    return RevisionView(revision_name(side), ready, pods.ready(side.pods), why, uri)


def _traffic(stable: Side, newest: Side, route: Object) -> dict[str, int]:
    traffic: dict[str, int] = {}
    for backend in route["spec"]["rules"][0].get("backendRefs", []):
        side = stable if backend["name"] == f"{stable.name}-predictor" else newest
        name = revision_name(side)
        traffic[name] = traffic.get(name, 0) + int(backend.get("weight", 1))
    total = sum(traffic.values()) or 1
    return {name: round(100 * weight / total) for name, weight in traffic.items()}


def route_unsettled(route: Object) -> str:
    """Why the gateway does not split as the route says yet, '' where it does."""
    parents = (route.get("status") or {}).get("parents") or []
    if not parents:
        return "no gateway has taken the route"
    for parent in parents:
        for kind in ("Accepted", "ResolvedRefs"):
            if condition(parent, kind) != "True":
                return f"the gateway says {kind} {condition(parent, kind)}"
        seen = {c.get("observedGeneration") for c in parent.get("conditions") or []}
        if seen != {route["metadata"]["generation"]}:
            return "the gateway has not seen the newest weights"
    return ""


def notes_of(route: Object) -> dict[str, str]:
    """Annotations of the route."""
    notes: dict[str, str] = route["metadata"].get("annotations") or {}
    return notes
