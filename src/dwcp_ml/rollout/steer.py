"""What a person does to a rollout: start, pause, resume, promote, abort, undo.

Each is one write to the ModelRollout's spec that names who did it; the operator does the rest.
"""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dwcp_ml.errors import RolloutError
from dwcp_ml.rollout.cluster import INFERENCE_SERVICE, MODEL_ROLLOUT, told_apart
from dwcp_ml.rollout.policy import CONFIG_MAP, policy
from dwcp_ml.rollout.reading import read_spec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dwcp_ml.rollout.cluster import Cluster, Object

VERSION = re.compile(r"v\d+\.\d+")


def whoami() -> str:
    """The user name that the API server knows us by."""
    from kubernetes import client

    with told_apart():
        review = client.AuthenticationV1Api().create_self_subject_review(
            client.V1SelfSubjectReview()
        )
    name: str = review.status.user_info.username
    return name


def start(
    cluster: Cluster,
    service: str,
    to: str,
    *,
    runtime: str | None = None,
    base: Mapping[str, Any] | None = None,
    lineage: Mapping[str, str] | None = None,
    ungated: bool = False,
) -> Object:
    """Create the ModelRollout of a service, or give it another target.

    Strategy, gates and sources are those of ``base``, else of the service's last rollout, else of
    the namespace's policy.

    Args:
        cluster: of the service's namespace.
        service: InferenceService; the ModelRollout has its name.
        to: a version like v1.1, put in the place of the present one in the service's storageUri,
            or a whole storageUri.
        runtime: ServingRuntime of the target; None keeps the present one.
        base: part of a spec; None: see above.
        lineage: digests of data, code and model, for the record.
        ungated: let a rollout begin that nothing would stop.

    Raises:
        RolloutError: no gates, a spec that is none, no service where ``to`` is a bare version, or
            one whose storageUri names no version to replace.
        ClusterError: the API server cannot be reached, or refuses.
    """
    present = cluster.get(MODEL_ROLLOUT, service)
    uri = to if "://" in to else replaced_version(_uri(cluster, service), to)
    target: Object = {"storageUri": uri, "version": _version(uri), "lineage": dict(lineage or {})}
    if runtime:
        target["runtime"] = runtime
    if base is None:
        base = _kept(present["spec"], uri) if present else policy(cluster, service)
    spec = {**base, "inferenceService": service, "target": target, "paused": False}
    spec.pop("command", None)
    if not spec.get("gates") and not ungated:
        raise RolloutError(
            f"the rollout of {service} has no gates, so nothing would stop a bad version: put them "
            f"into ConfigMap {CONFIG_MAP} of namespace {cluster.namespace}, or into a file (-f)"
        )
    body = {
        "apiVersion": f"{MODEL_ROLLOUT.group}/{MODEL_ROLLOUT.version}",
        "kind": "ModelRollout",
        "metadata": {"name": service, "namespace": cluster.namespace},
        "spec": spec,
    }
    read_spec(body)
    if present is None:
        return cluster.create(MODEL_ROLLOUT, body)
    change = {"op": "replace", "path": "/spec", "value": spec}
    cluster.patch(MODEL_ROLLOUT, service, present["metadata"]["resourceVersion"], [change])
    return body


def command(cluster: Cluster, name: str, what: str) -> None:
    """Order an abort, a promotion, an undo or a retry.

    Raises:
        RolloutError: there is no such rollout.
    """
    order = {
        "name": what,
        "id": uuid.uuid4().hex,
        "by": whoami(),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    _edit(cluster, name, [{"op": "add", "path": "/spec/command", "value": order}])


def pause(cluster: Cluster, name: str, paused: bool) -> None:
    """Hold the split where it is, or go on.

    Raises:
        RolloutError: there is no such rollout.
    """
    _edit(cluster, name, [{"op": "add", "path": "/spec/paused", "value": paused}])


def found(cluster: Cluster, name: str) -> Object:
    """The ModelRollout.

    Raises:
        RolloutError: there is none of that name.
    """
    body = cluster.get(MODEL_ROLLOUT, name)
    if body is None:
        raise RolloutError(
            f"there is no ModelRollout {name} in namespace {cluster.namespace}; "
            f"'kubectl dwcp rollout start {name} --to VERSION' makes one"
        )
    return body


def replaced_version(uri: str, version: str) -> str:
    """``uri`` with its last vX.Y replaced by ``version``.

    Raises:
        RolloutError: ``version`` is not vX.Y, or ``uri`` holds none.
    """
    if VERSION.fullmatch(version) is None:
        raise RolloutError(f"'{version}' is neither a version like v1.1 nor a storageUri")
    places = list(VERSION.finditer(uri))
    if not places:
        raise RolloutError(f"the storageUri {uri} names no version vX.Y; give a whole storageUri")
    last = places[-1]
    return uri[: last.start()] + version + uri[last.end() :]


def _kept(spec: Object, uri: str) -> Object:
    """The last rollout's spec; golden answers belong to the version that gave them."""
    same = spec["target"]["storageUri"] == uri
    asked = {k: v for k, v in (spec.get("verification") or {}).items() if same or k != "golden"}
    return {**spec, "verification": asked}


def _version(uri: str) -> str | None:
    places = VERSION.findall(uri)
    return places[-1] if places else None


def _uri(cluster: Cluster, service: str) -> str:
    isvc = cluster.get(INFERENCE_SERVICE, service)
    if isvc is None:
        raise RolloutError(
            f"there is no InferenceService {service} in namespace {cluster.namespace}"
        )
    uri = isvc["spec"].get("predictor", {}).get("model", {}).get("storageUri")
    if not uri:
        raise RolloutError(f"InferenceService {service} has no predictor.model.storageUri")
    return str(uri)


def _edit(cluster: Cluster, name: str, changes: list[Object]) -> None:
    body = found(cluster, name)
    cluster.patch(MODEL_ROLLOUT, name, body["metadata"]["resourceVersion"], changes)
