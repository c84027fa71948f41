"""Every overlay is taken by the real API server, KServe's and Knative's webhooks included."""

from __future__ import annotations

import pytest
from live_cluster import MANIFESTS, NAMESPACE, SYSTEM, kubectl

OVERLAYS = sorted(folder.name for folder in (MANIFESTS / "overlays").iterdir())
pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def elsewhere(cluster):
    """Namespaces in which nothing stands, so that every object is a new one."""
    names = {NAMESPACE: "dry-run-models", SYSTEM: "dry-run-system"}
    for name in names.values():
        kubectl("create", "namespace", name)
    yield names
    for name in names.values():
        kubectl("delete", "namespace", name, "--wait=false")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_api_server_takes_it(overlay, elsewhere):
    text = kubectl("kustomize", str(MANIFESTS / "overlays" / overlay)).stdout
    for name, other in elsewhere.items():
        text = text.replace(name, other)
    kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text)
