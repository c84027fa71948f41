"""KServe's Standard mode: two InferenceServices behind weights of our own.

KServe 0.20 writes no weights for a canary in this mode. So the canary is a second
InferenceService, NAME-canary, and an HTTPRoute called NAME splits between the two. The route
remembers, in two annotations, the percent asked for and, while the stable side takes the canary's
model over, the revision that it ran before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from dwcp_ml.errors import RolloutError
from dwcp_ml.rollout.actions import Change, Create, Deploy, Finish
from dwcp_ml.rollout.adapter import Hosts, digest
from dwcp_ml.rollout.cluster import (
    DEPLOYMENT,
    HTTP_ROUTE,
    INFERENCE_SERVICE,
    Cluster,
    Kind,
    Object,
    RaceLostError,
)
from dwcp_ml.rollout.observation import ServiceView
from dwcp_ml.rollout.standard_view import (
    PERCENT,
    ROLLED_OUT,
    Side,
    away,
    finishing,
    notes_of,
    pair_view,
    route_unsettled,
    undrivable,
    versions,
)

MODE = {"serving.kserve.io/deploymentMode": "Standard"}
# Without it KServe makes a route of its own, called as ours is.
NO_ROUTE = {"networking.kserve.io/visibility": "cluster-local"}
SERVING_RUNTIME = Kind("serving.kserve.io", "v1alpha1", "servingruntimes")


class StandardAdapter:
    """Drives the pair of one service in Standard mode.

    Args:
        cluster: the namespace's API.
        name: of the stable InferenceService and of the HTTPRoute.
        template: spec to create it from where there is none.
    """

    mode = "Standard"

    def __init__(
        self, cluster: Cluster, name: str, template: Mapping[str, Any] | None = None
    ) -> None:
        """Read and change ``name`` through ``cluster``."""
        self._cluster, self._name, self._template = cluster, name, template
        self._other = f"{name}-canary"
        self._hosts = Hosts("", "", "")

    def view(self) -> ServiceView | None:
        """See ``Adapter.view``."""
        stable = self._side(self._name)
        if stable is None:
            return None
        route = self._route()
        canary = self._side(self._other)
        self._hosts = Hosts(
            public=next(iter(route["spec"].get("hostnames") or []), ""),
            canary=_host((canary or stable).service),
            stable=_host(stable.service),
            labels={side.revision: side.label for side in (stable, canary) if side is not None},
        )
        return pair_view(stable, canary, route)

    def hosts(self) -> Hosts:
        """Host of the route, and those that KServe gives either InferenceService."""
        return self._hosts

    def apply(self, change: Change) -> None:
        """See ``Adapter.apply``."""
        if isinstance(change, Create):
            self._first(change.model)
            return
        stable, canary, route = self._observed(change.resource_version)
        if isinstance(change, Deploy):
            self._deploy(stable, canary, route, change.model)
        elif isinstance(change, Finish):
            self._finish(stable, canary, route)
        else:
            self._split(route, change.percent, canary)

    def _observed(self, expected: str) -> tuple[Side, Side | None, Object]:
        stable, canary, route = self._side(self._name), self._side(self._other), self._route()
        if stable is None or versions(stable, canary, route) != expected:
            raise RaceLostError("one of the pair or its route changed since it was observed")
        return stable, canary, route

    def _first(self, model: Mapping[str, Any]) -> None:
        if self._template is None:
            raise RolloutError(
                f"there is no InferenceService {self._name} and spec.template is not given"
            )
        self._route()
        self._create(self._name, self._template, model, NO_ROUTE, MODE)

    def _deploy(
        self, stable: Side, canary: Side | None, route: Object, model: Mapping[str, Any]
    ) -> None:
        """Put a model on the canary side; the stable model back is the canary side away.

        One move a call, as in ``_finish``; the next look asks for the next one.
        """
        if notes_of(route).get(PERCENT) != "0" or away(stable, route):
            self._split(route, 0, canary)
        elif model == stable.model:
            self._cluster.delete(INFERENCE_SERVICE, self._other)
        elif canary is None:
            meta = stable.service["metadata"]
            labels, notes = meta.get("labels") or {}, meta.get("annotations") or {}
            self._create(self._other, stable.service["spec"], model, labels, notes)
        elif not canary.leaving:
            self._put(canary, model)

    def _finish(self, stable: Side, canary: Side | None, route: Object) -> None:
        """Move the canary's model onto the stable side while the canary side serves."""
        if canary is None:
            return
        if not finishing(stable, canary):
            if notes_of(route).get(ROLLED_OUT) != stable.revision:
                self._patch_route(route, None, {ROLLED_OUT: stable.revision})
            else:
                self._put(stable, canary.model)
        elif stable.unsettled:
            return
        elif away(stable, route):
            self._patch_route(route, [_backend(self._name, 100)], {})
        elif not route_unsettled(route):
            self._cluster.delete(INFERENCE_SERVICE, self._other)

    def _split(self, route: Object, percent: int, canary: Side | None) -> None:
        backends = [_backend(self._name, 100 - percent)]
        if canary is None:
            backends = [_backend(self._name, 100)]
        elif percent:
            backends.append(_backend(self._other, percent))
        self._patch_route(route, backends, {PERCENT: str(percent)})

    def _patch_route(
        self, route: Object, backends: list[Object] | None, notes: Mapping[str, str]
    ) -> None:
        changes: list[Object] = [
            {"op": "add", "path": "/metadata/annotations", "value": {**notes_of(route), **notes}}
        ]
        if backends is not None:
            where = "/spec/rules/0/backendRefs"
            changes.append({"op": "add", "path": where, "value": backends})
        version = route["metadata"]["resourceVersion"]
        self._cluster.patch(HTTP_ROUTE, self._name, version, changes)

    def _put(self, side: Side, model: Mapping[str, Any]) -> None:
        version = side.service["metadata"]["resourceVersion"]
        change = {"op": "replace", "path": "/spec/predictor/model", "value": dict(model)}
        self._cluster.patch(INFERENCE_SERVICE, side.name, version, [change])

    def _create(
        self,
        name: str,
        spec: Mapping[str, Any],
        model: Mapping[str, Any],
        labels: Mapping[str, str],
        notes: Mapping[str, str],
    ) -> None:
        kept = {k: v for k, v in notes.items() if "kubectl.kubernetes.io" not in k}
        body = {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": {
                "name": name,
                "namespace": self._cluster.namespace,
                "labels": dict(labels),
                "annotations": kept,
            },
            "spec": {**spec, "predictor": {**spec.get("predictor", {}), "model": dict(model)}},
        }
        try:
            self._cluster.create(INFERENCE_SERVICE, body)
        except RaceLostError:
            return  # it is there already: the next look sees it

    def _side(self, name: str) -> Side | None:
        service = self._cluster.get(INFERENCE_SERVICE, name)
        if service is None:
            return None
        selector = f"serving.kserve.io/inferenceservice={name}"
        deployment = self._cluster.get(DEPLOYMENT, f"{name}-predictor")
        return Side(service, deployment, self._cluster.pods(selector), self._runtime(service))

    def _runtime(self, service: Object) -> str:
        """What the pods are made of besides: an edit of it makes other ones, as of the service."""
        given = service["spec"]["predictor"].get("model", {}).get("runtime")
        name = given or (service.get("status") or {}).get("servingRuntimeName")
        found = self._cluster.get(SERVING_RUNTIME, name) if name else None
        return digest(found["spec"]) if found is not None else ""

    def _route(self) -> Object:
        route = self._cluster.get(HTTP_ROUTE, self._name)
        if route is None:
            raise RolloutError(
                f"Standard mode splits by an HTTPRoute called {self._name}, which is not there; "
                "manifests/overlays/standard shows one"
            )
        if why := undrivable(route):
            raise RolloutError(why)
        return route


def _backend(name: str, weight: int) -> Object:
    return {"kind": "Service", "name": f"{name}-predictor", "port": 80, "weight": weight}


def _host(service: Object) -> str:
    return urlsplit((service.get("status") or {}).get("url") or "").hostname or ""
