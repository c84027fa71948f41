"""Rollouts of registered versions; an operator elsewhere carries them out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def roll_out(
    registered: Mapping[str, Mapping[str, Any]], namespace: str, runtime: str
) -> list[str]:
    """Create or update the ModelRollout of every version, and wait for nothing.

    An object that exists keeps what its owner set; only the target is changed.

    Args:
        registered: model -> uri, lineage; a service has its model's name with dashes.
        namespace: of the services.
        runtime: ServingRuntime; empty keeps the service's own.

    Raises:
        ClusterError: no cluster, no such kind of object, or not allowed.
        RolloutError: the namespace has no policy, so that a rollout would have no gates.
    """
    from dwcp_ml.rollout.cluster import Cluster, connect
    from dwcp_ml.rollout.steer import start

    connect()
    cluster = Cluster(namespace)
    asked = []
    for name, entry in registered.items():
        service = name.replace("_", "-")
        start(cluster, service, entry["uri"], runtime=runtime or None, lineage=entry["lineage"])
        asked.append(f"{service} {entry['uri']}")
    return asked
