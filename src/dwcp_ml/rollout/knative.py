"""KServe's Knative mode: ``canaryTrafficPercent`` splits between two Knative revisions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from dwcp_ml.errors import RolloutError
from dwcp_ml.rollout import pods
from dwcp_ml.rollout.actions import Change, Create, Deploy, Finish, SetPercent
from dwcp_ml.rollout.adapter import Hosts, condition, fingerprint, stopped
from dwcp_ml.rollout.cluster import (
    INFERENCE_SERVICE,
    KNATIVE_REVISION,
    KNATIVE_SERVICE,
    Cluster,
    Object,
    RaceLostError,
)
from dwcp_ml.rollout.observation import RevisionView, ServiceView

MODEL, PERCENT = "/spec/predictor/model", "/spec/predictor/canaryTrafficPercent"
TAG_ROUTING = "serving.kserve.io/enable-tag-routing"
SETTLED = ("Ready", "ConfigurationsReady", "RoutesReady")


class KnativeAdapter:
    """Drives one InferenceService in Knative mode.

    Args:
        cluster: the namespace's API.
        name: of the InferenceService.
        template: spec to create it from where there is none; None where it must be there.
    """

    mode = "Knative"

    def __init__(
        self, cluster: Cluster, name: str, template: Mapping[str, Any] | None = None
    ) -> None:
        """Read and change ``name`` through ``cluster``."""
        self._cluster, self._name, self._template = cluster, name, template
        self._url = ""

    def view(self) -> ServiceView | None:
        """See ``Adapter.view``."""
        service = self._cluster.get(INFERENCE_SERVICE, self._name)
        if service is None:
            return None
        knative = self._cluster.get(KNATIVE_SERVICE, f"{self._name}-predictor")
        self._url = (knative or {}).get("status", {}).get("url", "") or self._url
        selector = f"serving.knative.dev/service={self._name}-predictor"
        revisions = self._cluster.all(KNATIVE_REVISION, selector) if knative else []
        found = self._cluster.pods(selector) if knative else []
        return service_view(service, knative, revisions, found)

    def apply(self, change: Change) -> None:
        """See ``Adapter.apply``."""
        if isinstance(change, Finish):
            return  # the percent stays at 100: removing the field changes nothing
        if isinstance(change, Create):
            self._create(change.model)
            return
        operations: list[Object] = []
        if isinstance(change, Deploy):
            operations.append({"op": "replace", "path": MODEL, "value": dict(change.model)})
        percent = change.percent if isinstance(change, SetPercent) else 0
        operations.append({"op": "add", "path": PERCENT, "value": percent})
        self._cluster.patch(INFERENCE_SERVICE, self._name, change.resource_version, operations)

    def hosts(self) -> Hosts:
        """The public host and KServe's tag hosts; the annotation for ``latest-`` must be there."""
        host = urlsplit(self._url).hostname or ""
        return Hosts(host, f"latest-{host}", f"prev-{host}")

    def _create(self, model: Mapping[str, Any]) -> None:
        if self._template is None:
            raise RolloutError(
                f"there is no InferenceService {self._name} and spec.template is not given"
            )
        predictor = {**self._template.get("predictor", {}), "model": dict(model)}
        body = {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": {
                "name": self._name,
                "namespace": self._cluster.namespace,
                # Added later, the annotation would make a revision of its own.
                "annotations": {TAG_ROUTING: "true"},
            },
            "spec": {**self._template, "predictor": predictor},
        }
        try:
            self._cluster.create(INFERENCE_SERVICE, body)
        except RaceLostError:
            return  # it is there already: the next look sees it


def service_view(
    service: Object, knative: Object | None, revisions: list[Object], found: list[Any]
) -> ServiceView:
    """What the objects say together; pure."""
    status = service.get("status") or {}
    part = (status.get("components") or {}).get("predictor") or {}
    predictor = service["spec"].get("predictor", {})
    inner = (knative or {}).get("status") or {}
    views = {view.name: view for view in (_revision(r, found) for r in revisions)}
    unsettled = _unsettled(service, knative) or _other_model(predictor, inner, views)
    return ServiceView(
        resource_version=service["metadata"]["resourceVersion"],
        model=predictor.get("model", {}),
        fingerprint=fingerprint(service),
        percent=predictor.get("canaryTrafficPercent"),
        rolled_out=part.get("latestRolledoutRevision"),
        previous=part.get("previousRolledoutRevision"),
        latest_created=inner.get("latestCreatedRevisionName"),
        latest_ready=inner.get("latestReadyRevisionName"),
        traffic=_traffic(inner.get("traffic") or []),
        settled=not unsettled,
        unsettled_why=unsettled,
        revisions=views,
        stopped=stopped(service),
        incarnation=(knative or {}).get("metadata", {}).get("uid", ""),
    )


def _traffic(entries: list[Object]) -> dict[str, int]:
    traffic: dict[str, int] = {}
    for entry in entries:
        name = entry.get("revisionName", "")
        traffic[name] = traffic.get(name, 0) + int(entry.get("percent") or 0)
    return traffic


def _unsettled(service: Object, knative: Object | None) -> str:
    """Why a look cannot be trusted yet, '' where it can (KServe's own Ready lags and flickers)."""
    if refusal := _reconcile_failure(service):
        return f"KServe cannot act on the service: {refusal}"
    if knative is None:
        return "the Knative service is not there yet"
    status = knative.get("status") or {}
    if status.get("observedGeneration") != knative["metadata"].get("generation"):
        return "Knative has not seen the newest generation"
    for kind in SETTLED:
        if condition(status, kind) != "True":
            return f"Knative's {kind} is {condition(status, kind)}"
    part = ((service.get("status") or {}).get("components") or {}).get("predictor") or {}
    if _traffic(part.get("traffic") or []) != _traffic(status.get("traffic") or []):
        return "the InferenceService repeats an older split than Knative's"
    wanted = service["spec"].get("predictor", {}).get("canaryTrafficPercent")
    if not _asks(knative, wanted):
        return f"KServe has not passed on {wanted} %"
    transition = ((service.get("status") or {}).get("modelStatus") or {}).get("transitionStatus")
    if transition not in (None, "UpToDate"):
        return f"KServe's transition is {transition}"
    return ""


def _reconcile_failure(service: Object) -> str:
    """What KServe says when the API server refuses what it makes of a service."""
    for entry in (service.get("status") or {}).get("conditions") or []:
        if entry.get("type") == "PredictorReady" and entry.get("reason") == "ReconcileFailed":
            return " ".join(str(entry.get("message", "")).split())[:300]
    return ""


def _other_model(predictor: Object, inner: Object, views: Mapping[str, RevisionView]) -> str:
    """Why the newest revision is not made of the model as it stands, '' where it is."""
    wanted = predictor.get("model", {}).get("storageUri")
    newest = views.get(inner.get("latestCreatedRevisionName", ""))
    if newest is None or newest.storage_uri in (None, wanted):
        return ""
    return f"the newest revision {newest.name} still holds {newest.storage_uri}"


def _asks(knative: Object, percent: int | None) -> bool:
    """Whether Knative's spec sends the newest revision ``percent`` (None: everything)."""
    asked = sum(
        int(entry.get("percent") or 0)
        for entry in (knative.get("spec") or {}).get("traffic") or []
        if entry.get("latestRevision")
    )
    stable = any(
        not entry.get("latestRevision")
        for entry in (knative.get("spec") or {}).get("traffic") or []
    )
    # A first version gets everything, whatever the field says.
    return asked == (100 if percent is None else percent) or (asked == 100 and not stable)


def _revision(revision: Object, found: list[Any]) -> RevisionView:
    name = revision["metadata"]["name"]
    mine = [p for p in found if p.metadata.labels.get("serving.knative.dev/revision") == name]
    ready = condition(revision.get("status") or {}, "Ready") == "True"
    why = None if ready else (pods.failure(mine) or _refusal(revision))
    return RevisionView(name, ready, pods.ready(mine), why, _uri(revision))


def _refusal(revision: Object) -> str | None:
    """What Knative says of a revision whose pods could not even be made (quota, admission)."""
    for entry in (revision.get("status") or {}).get("conditions") or []:
        if entry.get("type") in ("ResourcesAvailable", "ContainerHealthy", "Ready"):
            text = entry.get("message")
            if entry.get("status") == "False" and text:
                return str(text)[:300]
    return None


def _uri(revision: Object) -> str | None:
    notes = revision["metadata"].get("annotations") or {}
    uri = notes.get("internal.serving.kserve.io/storage-initializer-sourceuri")
    return str(uri) if uri else None
