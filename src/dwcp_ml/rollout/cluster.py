"""The few requests to the API server that a rollout makes, with errors told apart.

A lost race is no error to a person: the loop looks again and decides anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dwcp_ml.errors import ClusterError

Object = dict[str, Any]


class RaceLostError(ClusterError):
    """The object changed since it was read; nothing was written."""


class UnreachableError(ClusterError):
    """The API server did not answer, was overloaded, or failed; ask again later."""


class RefusedError(ClusterError):
    """The API server said no: an admission policy, a quota, missing rights or an invalid object."""


@dataclass(frozen=True)
class Kind:
    """A namespaced resource by group, version and plural."""

    group: str
    version: str
    plural: str


INFERENCE_SERVICE = Kind("serving.kserve.io", "v1beta1", "inferenceservices")
KNATIVE_SERVICE = Kind("serving.knative.dev", "v1", "services")
KNATIVE_REVISION = Kind("serving.knative.dev", "v1", "revisions")
DEPLOYMENT = Kind("apps", "v1", "deployments")
HTTP_ROUTE = Kind("gateway.networking.k8s.io", "v1", "httproutes")
MODEL_ROLLOUT = Kind("dwcp.io", "v1alpha1", "modelrollouts")


@contextmanager
def told_apart() -> Iterator[None]:
    """Turn the client's exceptions into race lost, refused or unreachable."""
    import urllib3
    from kubernetes.client import ApiException

    try:
        yield
    except ApiException as error:
        text = reason(error)
        if error.status == 409 or (error.status == 422 and "the server rejected our" in text):
            raise RaceLostError(text) from error
        if error.status in (429, 0, None) or error.status >= 500:
            raise UnreachableError(text) from error
        raise RefusedError(text) from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise UnreachableError(f"the API server cannot be reached: {error}") from error


@contextmanager
def raced() -> Iterator[None]:
    """The same for a write to what was read: if it is gone now, the race is lost."""
    try:
        with told_apart():
            yield
    except RefusedError as error:
        if getattr(error.__cause__, "status", None) == 404:
            raise RaceLostError(str(error)) from error
        raise


def reason(error: Any) -> str:
    """The message of a Status object in an ApiException, or its plain reason."""
    import json

    try:
        message = json.loads(error.body)["message"]
    except (TypeError, ValueError, KeyError):
        return f"{error.status} {error.reason}"
    return str(message)


class Cluster:
    """Reads and writes objects of one namespace.

    Args:
        namespace: of the rollout and its InferenceService.
        timeout_s: of every request, so that a hanging API server is noticed.
    """

    def __init__(self, namespace: str, timeout_s: float = 10) -> None:
        """Use the credentials that ``connect`` loaded."""
        from kubernetes import client

        self.namespace = namespace
        self._objects = client.CustomObjectsApi()
        self._core = client.CoreV1Api()
        self._timeout = timeout_s

    def get(self, kind: Kind, name: str) -> Object | None:
        """One object, None where there is none."""
        try:
            with told_apart():
                found: Object = self._objects.get_namespaced_custom_object(
                    kind.group,
                    kind.version,
                    self.namespace,
                    kind.plural,
                    name,
                    _request_timeout=self._timeout,
                )
        except RefusedError as error:
            if getattr(error.__cause__, "status", None) == 404:
                return None
            raise
        return found

    def all(self, kind: Kind, selector: str = "") -> list[Object]:
        """All objects that a label selector matches."""
        with told_apart():
            found = self._objects.list_namespaced_custom_object(
                kind.group,
                kind.version,
                self.namespace,
                kind.plural,
                label_selector=selector,
                _request_timeout=self._timeout,
            )
        items: list[Object] = found["items"]
        return items

    def create(self, kind: Kind, body: Mapping[str, Any]) -> Object:
        """Create an object; RaceLostError where it is there already."""
        with told_apart():
            made: Object = self._objects.create_namespaced_custom_object(
                kind.group,
                kind.version,
                self.namespace,
                kind.plural,
                dict(body),
                _request_timeout=self._timeout,
            )
        return made

    def patch(self, kind: Kind, name: str, resource_version: str, changes: list[Object]) -> None:
        """Apply JSON patch operations if the object is still the one that was read.

        Raises:
            RaceLostError: it is another one, or gone.
        """
        test = {"op": "test", "path": "/metadata/resourceVersion", "value": resource_version}
        place = (
            f"/apis/{kind.group}/{kind.version}/namespaces/{self.namespace}/{kind.plural}/{name}"
        )
        with raced():
            # The generated method for custom objects sends a list as a merge patch.
            self._objects.api_client.call_api(
                place,
                "PATCH",
                header_params={
                    "Accept": "application/json",
                    "Content-Type": "application/json-patch+json",
                },
                body=[test, *changes],
                auth_settings=["BearerToken"],
                response_type="object",
                _request_timeout=self._timeout,
            )

    def replace_status(self, kind: Kind, body: Mapping[str, Any]) -> Object:
        """Write the status of an object that still has its resourceVersion."""
        with raced():
            written: Object = self._objects.replace_namespaced_custom_object_status(
                kind.group,
                kind.version,
                self.namespace,
                kind.plural,
                body["metadata"]["name"],
                dict(body),
                _request_timeout=self._timeout,
            )
        return written

    def delete(self, kind: Kind, name: str) -> None:
        """Delete an object; nothing happens where there is none."""
        try:
            with told_apart():
                self._objects.delete_namespaced_custom_object(
                    kind.group,
                    kind.version,
                    self.namespace,
                    kind.plural,
                    name,
                    _request_timeout=self._timeout,
                )
        except RefusedError as error:
            if getattr(error.__cause__, "status", None) != 404:
                raise

    def config(self, name: str) -> Mapping[str, str] | None:
        """Data of a ConfigMap, None where there is none."""
        try:
            with told_apart():
                found = self._core.read_namespaced_config_map(
                    name, self.namespace, _request_timeout=self._timeout
                )
        except RefusedError as error:
            if getattr(error.__cause__, "status", None) == 404:
                return None
            raise
        data: dict[str, str] = found.data or {}
        return data

    def pods(self, selector: str) -> list[Any]:
        """Pods that a label selector matches."""
        with told_apart():
            found = self._core.list_namespaced_pod(
                self.namespace, label_selector=selector, _request_timeout=self._timeout
            )
        items: list[Any] = found.items
        return items

    def event(self, about: Mapping[str, Any], kind: str, why: str, message: str) -> None:
        """Write a Kubernetes event about an object; one that cannot be written is dropped."""
        from contextlib import suppress
        from datetime import UTC, datetime

        from kubernetes import client

        now = datetime.now(UTC)
        meta = about["metadata"]
        body = client.CoreV1Event(
            metadata=client.V1ObjectMeta(
                generate_name=f"{meta['name']}.", namespace=self.namespace
            ),
            involved_object=client.V1ObjectReference(
                api_version=about["apiVersion"],
                kind=about["kind"],
                name=meta["name"],
                namespace=self.namespace,
                uid=meta.get("uid"),
                resource_version=meta.get("resourceVersion"),
            ),
            type=kind,
            reason=why,
            message=message[:1000],
            source=client.V1EventSource(component="dwcp-rollout"),
            first_timestamp=now,
            last_timestamp=now,
            count=1,
        )
        with suppress(UnreachableError, RefusedError, RaceLostError), told_apart():
            self._core.create_namespaced_event(self.namespace, body, _request_timeout=self._timeout)


def connect() -> None:
    """Load the credentials of the pod, or of KUBECONFIG.

    Raises:
        ClusterError: there are none, or the kubeconfig is broken.
    """
    from kubernetes import config

    try:
        config.load_incluster_config()
    except config.ConfigException:
        try:
            config.load_kube_config()
        except (config.ConfigException, OSError) as error:
            raise ClusterError(
                f"no cluster: neither a pod's credentials nor a usable KUBECONFIG ({error})"
            ) from error


def present_namespace() -> str:
    """The namespace of the kubectl context, or of the pod, or ``default``."""
    from pathlib import Path

    from kubernetes import config

    try:
        _, active = config.list_kube_config_contexts()
        return str(active["context"].get("namespace") or "default")
    except (config.ConfigException, OSError):
        inside = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
        return inside.read_text("utf-8").strip() if inside.exists() else "default"
