"""What cannot be driven is refused by name, in the status, before anything is touched."""

from __future__ import annotations

import pytest
import standard_cluster as sc
from standard_cluster import rc

OWN = {"metadata": {"labels": {"networking.kserve.io/visibility": None}}}


def other_mode(name):
    return {"mode": "Knative"}


def no_route(name):
    rc.kubectl("-n", sc.NAMESPACE, "delete", "httproute", name)
    return {}


def two_rules(name):
    route = sc.routes(name)[0]
    rule = route["spec"]["rules"][0]
    route["spec"]["rules"] = [
        {**rule, "matches": [{"path": {"type": "PathPrefix", "value": "/v2"}}]},
        rule,
    ]
    rc.apply(route)
    return {}


def kserves_route(name):
    rc.kubectl("-n", sc.NAMESPACE, "delete", "httproute", name)
    rc.patch("isvc", name, OWN)
    rc.until(lambda: rc.get("httproute", name), 30, "KServe's own route")
    return {}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (other_mode, "runs in mode Standard, and spec.mode says Knative"),
        (no_route, "which is not there"),
        (two_rules, "has 2 rules instead of one"),
        (kserves_route, "is KServe's own"),
    ],
)
def test_refused(place, operator, fresh, found, said):
    changes = found(fresh)
    uri = place.store.put(sc.folder(), "v1.1", value=1.0)
    rc.apply(rc.rollout(fresh, uri, place.gateway, place.prometheus, **changes))
    status = rc.ended(fresh, 30)
    assert status["phase"] == "Halted", status
    assert said in status["why"]
    assert rc.get("isvc", f"{fresh}-canary") is None


def test_a_mode_of_other_machinery_is_refused_by_name(place, operator, fresh):
    other = "consensus-latency"
    body = sc.service(other, rc.model(fresh))
    body["metadata"]["annotations"] = {"serving.kserve.io/deploymentMode": "ModelMesh"}
    rc.apply(body)
    try:
        uri = place.store.put(sc.folder(), "v1.1", value=1.0)
        rc.apply(rc.rollout(other, uri, place.gateway, place.prometheus))
        status = rc.ended(other, 30)
    finally:
        for kind in ("modelrollout", "isvc"):
            rc.kubectl("-n", sc.NAMESPACE, "delete", kind, other, "--timeout=60s")
    assert status["phase"] == "Halted", status
    assert "runs in mode ModelMesh" in status["why"]
