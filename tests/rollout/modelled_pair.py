"""The API server, KServe in Standard mode and a gateway as far as the adapter meets them.

As seen on a real cluster (KServe 0.20, Contour): a Deployment replaces its pods one by one and
keeps the old ones until the new ones are ready; a gateway splits as it saw the route last.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from driver import OLD

from dwcp_ml.rollout.cluster import (
    DEPLOYMENT,
    HTTP_ROUTE,
    INFERENCE_SERVICE,
    Kind,
    Object,
    RaceLostError,
)
from dwcp_ml.rollout.standard_view import URI


def service(name: str, model: Object, **meta: Any) -> Object:
    """An InferenceService as KServe leaves it."""
    return {
        "metadata": {"name": name, "uid": name, "generation": 1, **meta},
        "spec": {"predictor": {"model": dict(model), "minReplicas": 1}},
        "status": {"url": f"http://{name}-models.example.com"},
    }


def deployment(name: str, uri: str, updated: int = 1, available: int = 1, total: int = 1) -> Object:
    """A Deployment of one replica."""
    return {
        "metadata": {"name": f"{name}-predictor", "generation": 1},
        "spec": {"replicas": 1, "template": {"metadata": {"annotations": {URI: uri}}}},
        "status": {
            "observedGeneration": 1,
            "updatedReplicas": updated,
            "availableReplicas": available,
            "replicas": total,
        },
    }


def pod(made_by: str, at: int = 0, *, ready: bool = True, leaving: bool = False) -> Any:
    """A pod of the ReplicaSet with that hash."""
    status = SimpleNamespace(
        conditions=[SimpleNamespace(type="Ready", status=str(ready), message="")],
        init_container_statuses=[],
        container_statuses=[],
    )
    meta = SimpleNamespace(
        name=f"pod-{made_by}",
        labels={"pod-template-hash": made_by},
        creation_timestamp=datetime.fromtimestamp(at, UTC),
        deletion_timestamp=datetime.fromtimestamp(at, UTC) if leaving else None,
    )
    return SimpleNamespace(metadata=meta, status=status)


def route(*backends: tuple[str, int], generation: int = 1, seen: int = 1, **notes: str) -> Object:
    """A route that the gateway has seen at generation ``seen``."""
    conditions = [
        {"type": kind, "status": "True", "observedGeneration": seen}
        for kind in ("Accepted", "ResolvedRefs")
    ]
    refs = [{"name": name, "weight": weight} for name, weight in backends]
    return {
        "metadata": {
            "name": "m",
            "uid": "route",
            "generation": generation,
            "resourceVersion": "1",
            "annotations": {f"dwcp.io/{key.replace('_', '-')}": v for key, v in notes.items()},
        },
        "spec": {"hostnames": ["m.example.com"], "rules": [{"backendRefs": refs}]},
        "status": {"parents": [{"conditions": conditions}]},
    }


@dataclass
class Pair:
    """A cluster with one service in Standard mode; implements what the adapter uses of Cluster.

    ``bad`` never gets ready. ``kserve``, ``kubelet`` and ``gateway`` act when they are called.
    """

    bad: str = ""
    namespace: str = "models"
    objects: dict[tuple[str, str], Object] = field(default_factory=dict)
    serving: dict[str, list[str]] = field(default_factory=dict)  # side -> storageUri by pod
    split: dict[str, int] = field(default_factory=dict)  # weight by backend, as the gateway does
    version: int = 10

    def __post_init__(self) -> None:
        self._keep(INFERENCE_SERVICE, service("m", OLD))
        self._keep(HTTP_ROUTE, route(("m-predictor", 1)))
        for _ in range(3):
            self.settle()

    # What the adapter asks ---------------------------------------------------------------------

    def get(self, kind: Kind, name: str) -> Object | None:
        return copy.deepcopy(self.objects.get((kind.plural, name)))

    def create(self, kind: Kind, body: Object) -> Object:
        name = body["metadata"]["name"]
        if (kind.plural, name) in self.objects:
            raise RaceLostError
        meta = {**body["metadata"], "uid": f"{name}-{self.version}", "generation": 1}
        self._keep(kind, {**body, "metadata": meta})
        return body

    def patch(self, kind: Kind, name: str, resource_version: str, changes: list[Object]) -> None:
        body = self.objects.get((kind.plural, name))
        if body is None or body["metadata"]["resourceVersion"] != resource_version:
            raise RaceLostError
        new = copy.deepcopy(body)
        for change in changes:
            *path, last = [int(p) if p.isdecimal() else p for p in change["path"][1:].split("/")]
            place: Any = new
            for part in path:
                place = place[part]
            place[last] = copy.deepcopy(change["value"])
        new["metadata"]["generation"] += new["spec"] != body["spec"]
        self._keep(kind, new)

    def delete(self, kind: Kind, name: str) -> None:
        body = self.objects.get((kind.plural, name))
        if body is not None:
            body["metadata"]["deletionTimestamp"] = "now"

    def pods(self, selector: str) -> list[Any]:
        name = selector.split("=")[1]
        return [pod(uri, at) for at, uri in enumerate(self.serving.get(name, []))]

    # What the controllers do -------------------------------------------------------------------

    def settle(self) -> None:
        """Everybody acts once."""
        self.kserve()
        self.kubelet()
        self.gateway()

    def kserve(self) -> None:
        for (kind, name), body in list(self.objects.items()):
            if kind != INFERENCE_SERVICE.plural:
                continue
            made = (DEPLOYMENT.plural, f"{name}-predictor")
            if "deletionTimestamp" in body["metadata"]:
                self.objects.pop((kind, name))
                self.objects.pop(made, None)
                self.serving.pop(name, None)
                continue
            uri = body["spec"]["predictor"]["model"]["storageUri"]
            found = self.objects.get(made)
            if found is None:
                self._keep(DEPLOYMENT, deployment(name, uri, 0, 0, 0))
            elif found["spec"]["template"]["metadata"]["annotations"][URI] != uri:
                found["spec"]["template"]["metadata"]["annotations"][URI] = uri
                found["metadata"]["generation"] += 1
            host = f"http://{name}-models.example.com"
            body["status"] = {"url": host}

    def kubelet(self) -> None:
        """Deployments move one pod on: a new one is ready, or an old one goes."""
        for (kind, name), body in self.objects.items():
            if kind != DEPLOYMENT.plural:
                continue
            side = name.removesuffix("-predictor")
            uri = body["spec"]["template"]["metadata"]["annotations"][URI]
            there = self.serving.setdefault(side, [])
            if uri not in there:
                there += [uri] if uri != self.bad else []
            else:
                self.serving[side] = there = [uri]
            body["status"] = {
                "observedGeneration": body["metadata"]["generation"],
                "updatedReplicas": int(uri in there),
                "availableReplicas": len(there),
                "replicas": len(there),
            }

    def gateway(self) -> None:
        """It takes the weights over, and says so."""
        body = self.objects.get((HTTP_ROUTE.plural, "m"))
        if body is None:
            return
        refs = body["spec"]["rules"][0]["backendRefs"]
        self.split = {ref["name"]: ref.get("weight", 1) for ref in refs}
        known = all(
            (INFERENCE_SERVICE.plural, self._side(name)) in self.objects for name in self.split
        )
        generation = body["metadata"]["generation"]
        body["status"]["parents"][0]["conditions"] = [
            {"type": kind, "status": str(value), "observedGeneration": generation}
            for kind, value in (("Accepted", True), ("ResolvedRefs", known))
        ]

    # What users get ----------------------------------------------------------------------------

    def share(self, uri: str) -> float:
        """Greatest percent of the requests that pods of a model answer just now."""
        total = sum(self.split.values())
        reached = [w for n, w in self.split.items() if uri in self.serving.get(self._side(n), [])]
        return 100 * sum(reached) / total

    def lost(self) -> list[str]:
        """Backends that get requests and have no pod."""
        return [n for n, w in self.split.items() if w and not self.serving.get(self._side(n))]

    def _side(self, backend: str) -> str:
        return backend.removesuffix("-predictor")

    def _keep(self, kind: Kind, body: Object) -> None:
        self.version += 1
        body["metadata"]["resourceVersion"] = str(self.version)
        self.objects[kind.plural, body["metadata"]["name"]] = body
