"""A canary with nothing but kubectl: the overlays in the order that the README gives."""

from __future__ import annotations

import pytest
from live_cluster import NAMESPACE, ask, kubectl, traffic, until

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("deployed")]
SERVICE = "bandwidth-predictor"
STABLE, CANARY, RESTORED = (f"{SERVICE}-predictor-{number:05}" for number in (1, 2, 3))


@pytest.fixture(scope="module")
def open_guard(overlay):
    """These steps are for clusters without the operator, so without its guard."""
    label = ["label", "namespace", NAMESPACE]
    kubectl(*label, f"dwcp.io/break-glass={SERVICE}")
    step = ["apply", "--dry-run=server", "-k", str(overlay("canary-0"))]
    until(lambda: kubectl(*step, check=False).returncode == 0, 15)
    yield
    kubectl("apply", "-k", str(overlay("local")))
    kubectl(*label, "dwcp.io/break-glass-")


def apply(overlay, name, split):
    kubectl("apply", "-k", str(overlay(name)))
    until(lambda: traffic(SERVICE) == (split, True), 120)


def version(tag=""):
    return ask(SERVICE, "/v2/models/bandwidth_predictor", tag=tag).json()["versions"][0]


def test_dark_then_half_then_back_without_a_request_to_the_wrong_version(open_guard, overlay):
    apply(overlay, "canary-0", {STABLE: 100, CANARY: 0})
    until(lambda: version("latest-") == "v1.1", 30)
    assert {version() for _ in range(50)} == {"v1.0"}
    apply(overlay, "canary-50", {STABLE: 50, CANARY: 50})
    until(lambda: {version() for _ in range(20)} == {"v1.0", "v1.1"}, 30)
    apply(overlay, "canary-0", {STABLE: 100, CANARY: 0})
    until(lambda: {version() for _ in range(20)} == {"v1.0"}, 30)
    apply(overlay, "restore-0", {STABLE: 100, RESTORED: 0})
    apply(overlay, "restore-100", {RESTORED: 100})
    assert {version() for _ in range(20)} == {"v1.0"}
