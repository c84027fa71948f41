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
UNSEEN = "unknown"  # who gets what while the gateway has not taken the weights over


@dataclass(frozen=True)
class Side:
    """One InferenceService of the pair and the Deployment that KServe made of it.

    Attributes:
        service: the InferenceService.
        deployment: None where there is none.
        pods: of either ReplicaSet of it.
        runtime: digest of its ServingRuntime, '' where that is not of this namespace.
    """

    service: Object
    deployment: Object | None
    pods: list[Any]
    runtime: str = ""

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
    def revision(self) -> str:
        """One name for the same model and settings, whichever side runs them."""
        base = self.name.removesuffix("-canary")
        made_of = [self.model, fingerprint(self.service), self.runtime]
        return f"{base}-{digest(made_of)[:8]}"

    @property
    def leaving(self) -> bool:
        """It is being deleted."""
        return "deletionTimestamp" in self.service["metadata"]

    @property
    def serves(self) -> bool:
        """A pod answers, and the Deployment is made of the model (older pods may answer too)."""
        return self._other_model == "" and self._counts[1] > 0

    @property
    def unsettled(self) -> str:
        """Why it does not run what its spec says, and nothing else, yet; '' where it does."""
        # observedGeneration is the Deployment's here: a runtime's name alone is seen in this only.
        status = self.service.get("status") or {}
        runs = status.get("servingRuntimeName") or status.get("clusterServingRuntimeName")
        if runs and self.model.get("runtime", runs) != runs:
            return f"KServe still runs {self.name} with {runs}"
        if self._other_model or self.deployment is None:
            return self._other_model
        meta, status = self.deployment["metadata"], self.deployment.get("status") or {}
        if status.get("observedGeneration") != meta.get("generation"):
            return f"{self.name}'s Deployment is being looked at"
        wanted = self.deployment["spec"].get("replicas", 1)
        if self._counts != [wanted] * 3 or not wanted:
            return f"{self.name} has {self._counts[1]} of {wanted} replicas"
        return ""

    @property
    def label(self) -> str:
        """What the newest pods of this side call their revision in metrics and answers."""
        staying = [pod for pod in self.pods if pod.metadata.deletion_timestamp is None]
        newest = max(staying, key=lambda pod: pod.metadata.creation_timestamp, default=None)
        made_by = "" if newest is None else newest.metadata.labels.get("pod-template-hash", "")
        return f"{self.name}-predictor-{made_by}"

    @property
    def _other_model(self) -> str:
        if self.deployment is None:
            return f"{self.name} has no Deployment yet"
        held = self.deployment["spec"]["template"]["metadata"].get("annotations") or {}
        if held.get(URI) != self.model.get("storageUri"):
            return f"{self.name}'s Deployment still holds {held.get(URI)}"
        return ""

    @property
    def _counts(self) -> list[int]:
        status = (self.deployment or {}).get("status") or {}
        return [status.get(key, 0) for key in ("updatedReplicas", "availableReplicas", "replicas")]


def pair_view(stable: Side, canary: Side | None, route: Object) -> ServiceView:
    """What the pair and its route say together; pure."""
    newest = canary or stable
    dangling = canary is None and away(stable, route) > 0
    # A route to a service that is gone cannot settle before its weights are set anew.
    unsettled = newest.unsettled or ("" if dangling else route_unsettled(route))
    return ServiceView(
        resource_version=versions(stable, canary, route),
        model=newest.model,
        fingerprint=fingerprint(stable.service),
        percent=_percent(stable, canary, route),
        rolled_out=_rolled_out(stable, canary, route),
        previous=None,
        latest_created=newest.revision,
        latest_ready=newest.revision if newest.serves else stable.revision,
        traffic=_traffic(stable, canary, route),
        settled=not unsettled,
        unsettled_why=unsettled,
        revisions={side.revision: _revision(side) for side in (stable, newest)},
        stopped=stopped(stable.service),
        incarnation=str(stable.service["metadata"].get("uid", "")),
        self_promoting=False,
    )


def finishing(stable: Side, canary: Side | None) -> bool:
    """Stable has taken the canary's model over, and the canary still serves."""
    return canary is not None and stable.model == canary.model


def _rolled_out(stable: Side, canary: Side | None, route: Object) -> str:
    """Stable's revision; the one that it ran before until the canary is gone."""
    before = notes_of(route).get(ROLLED_OUT) if finishing(stable, canary) else None
    return before or stable.revision


def _percent(stable: Side, canary: Side | None, route: Object) -> int | None:
    """The share in the route, for its weights may be edited; the one asked for where it is moot."""
    if canary is not None and not finishing(stable, canary):
        return away(stable, route)
    if canary is None and away(stable, route):
        return 0  # whatever it was, it has to be set anew
    asked = notes_of(route).get(PERCENT, "")
    return int(asked) if asked.isdecimal() else None


def versions(stable: Side, canary: Side | None, route: Object) -> str:
    """The three resourceVersions together; specs only, for statuses change all the time."""
    parts = [stable.service, route, *([canary.service] if canary else [])]
    return ":".join(f"{p['metadata']['uid'][:8]}.{p['metadata']['generation']}" for p in parts)


def _revision(side: Side) -> RevisionView:
    why = None if side.serves else pods.failure(side.pods)
    uri = side.model.get("storageUri")
    return RevisionView(side.revision, side.serves, pods.ready(side.pods), why, uri)


def _traffic(stable: Side, canary: Side | None, route: Object) -> dict[str, int]:
    """Percent by revision, or by backend where that is none of the pair's."""
    if not _seen(route):
        return {UNSEEN: 100}
    names = {f"{side.name}-predictor": side.revision for side in (stable, canary) if side}
    traffic: dict[str, int] = {}
    for backend, share in shares(route).items():
        name = names.get(backend, backend)
        traffic[name] = traffic.get(name, 0) + share
    return traffic


def shares(route: Object) -> dict[str, int]:
    """Percent by backend, rounded; what is not nothing is 1 % at least."""
    weights: dict[str, int] = {}
    for backend in route["spec"]["rules"][0].get("backendRefs") or []:
        name = backend["name"]
        weights[name] = weights.get(name, 0) + int(backend.get("weight", 1))
    total = sum(weights.values()) or 1
    return {
        name: max(round(100 * weight / total), 1) if weight else 0
        for name, weight in weights.items()
    }


def away(stable: Side, route: Object) -> int:
    """Percent of the requests that stable does not get."""
    backend = f"{stable.name}-predictor"
    return min(sum(share for name, share in shares(route).items() if name != backend), 100)


def _seen(route: Object) -> bool:
    """Whether every gateway has looked at the newest weights."""
    generation = route["metadata"]["generation"]
    parents = (route.get("status") or {}).get("parents") or []
    seen = [
        {c.get("observedGeneration") for c in parent.get("conditions") or []} for parent in parents
    ]
    return bool(parents) and all(one == {generation} for one in seen)


def route_unsettled(route: Object) -> str:
    """Why the gateway does not split as the route says yet, '' where it does."""
    parents = (route.get("status") or {}).get("parents") or []
    if not parents:
        return "no gateway has taken the route"
    for parent in parents:
        for kind in ("Accepted", "ResolvedRefs"):
            if condition(parent, kind) != "True":
                return f"the gateway says {kind} {condition(parent, kind)}"
    return "" if _seen(route) else "the gateway has not seen the newest weights"


def undrivable(route: Object) -> str:
    """Why the weights of a route are not ours to move, '' where they are."""
    meta = route["metadata"]
    if any(owner.get("controller") for owner in meta.get("ownerReferences") or []):
        return (
            f"HTTPRoute {meta['name']} is KServe's own, which puts back whatever is changed: "
            "label the InferenceService networking.kserve.io/visibility=cluster-local"
        )
    count = len(route["spec"].get("rules") or [])
    return "" if count == 1 else f"HTTPRoute {meta['name']} has {count} rules instead of one"


def notes_of(route: Object) -> dict[str, str]:
    """Annotations of the route."""
    notes: dict[str, str] = route["metadata"].get("annotations") or {}
    return notes
