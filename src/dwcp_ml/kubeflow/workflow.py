"""From inside a run: what its Argo workflow says about the containers that failed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
FAILED = ("Failed", "Error")


def failed_containers(workflow: str) -> list[str]:
    """TASK: MESSAGE of every container that failed; empty outside a cluster, or if not allowed."""
    from kubernetes import client, config
    from urllib3.exceptions import HTTPError

    try:
        config.load_incluster_config()
        found = client.CustomObjectsApi().get_namespaced_custom_object(
            "argoproj.io", "v1alpha1", NAMESPACE.read_text().strip(), "workflows", workflow
        )
    except (config.ConfigException, client.ApiException, HTTPError, OSError):
        return []
    return messages(found)


def messages(workflow: dict[str, Any]) -> list[str]:
    """TASK: MESSAGE of every failed pod of a workflow object."""
    nodes: dict[str, dict[str, Any]] = (workflow.get("status") or {}).get("nodes") or {}
    owners = {child: node for node in nodes.values() for child in node.get("children", [])}
    failed = [
        f"{_task(name, nodes, owners)}: {' '.join((node.get('message') or 'failed').split())}"
        for name, node in nodes.items()
        if node["type"] == "Pod" and node["phase"] in FAILED
    ]
    return sorted(failed)


def _task(name: str, nodes: dict[str, Any], owners: dict[str, Any]) -> str:
    """The nearest node above that carries a task's name."""
    node = nodes[name]
    while node["displayName"].startswith("executor") and node["id"] in owners:
        node = owners[node["id"]]
    return str(node["displayName"])
