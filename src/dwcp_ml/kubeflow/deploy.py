"""ModelRollout objects for registered versions; an operator elsewhere carries them out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dwcp_ml.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

GROUP, VERSION, KIND, PLURAL = "dwcp.io", "v1alpha1", "ModelRollout", "modelrollouts"
CONFLICT = 409


def rollout(
    name: str, uri: str, *, version: str, lineage: Mapping[str, str], namespace: str, runtime: str
) -> dict[str, Any]:
    """The object that asks for one model's version to be rolled out.

    Args:
        name: of the model; its service carries the same name with dashes.
        uri: where the version lies.
        version: for the record.
        lineage: digests of data, code and model, for the record.
        namespace: of the service and of the object.
        runtime: name of the serving runtime; empty keeps the service's own.
    """
    service = name.replace("_", "-")
    target = {"storageUri": uri, "version": version, "lineage": dict(lineage)}
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "metadata": {"name": service, "namespace": namespace},
        "spec": {
            "inferenceService": service,
            "target": target | ({"runtime": runtime} if runtime else {}),
        },
    }


def apply_rollouts(wanted: Sequence[dict[str, Any]]) -> list[str]:
    """Create or update every object, with the pod's account or the caller's kubeconfig.

    An object that exists keeps what its owner set; only the target is changed.

    Raises:
        ClusterError: no cluster, no such kind of object, or not allowed.
    """
    from kubernetes import client
    from urllib3.exceptions import HTTPError

    api = _api()
    done = []
    for body in wanted:
        where = (GROUP, VERSION, body["metadata"]["namespace"], PLURAL)
        name = body["metadata"]["name"]
        try:
            done.append(f"{name} {_apply(api, where, name, body)}")
        except client.ApiException as error:
            raise ClusterError(
                f"{KIND} {where[2]}/{name}: the cluster answers {error.status} {error.reason}"
            ) from error
        except HTTPError as error:
            raise ClusterError(f"the cluster cannot be reached: {error}") from error
    return done


def _apply(api: Any, where: tuple[str, ...], name: str, body: dict[str, Any]) -> str:
    from kubernetes import client

    try:
        api.create_namespaced_custom_object(*where, body)
    except client.ApiException as error:
        if error.status != CONFLICT:
            raise
        change = {"spec": {"target": body["spec"]["target"]}}
        api.patch_namespaced_custom_object(*where, name, change)
        return "updated"
    return "created"


def _api() -> Any:
    from kubernetes import client, config

    try:
        config.load_incluster_config()
    except config.ConfigException:
        try:
            config.load_kube_config()
        except config.ConfigException as error:
            raise ClusterError(f"no credentials for a cluster: {error}") from error
    return client.CustomObjectsApi()
