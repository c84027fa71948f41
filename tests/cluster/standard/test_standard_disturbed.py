"""Somebody else's hand on the pair, its route or its runtime: noticed, and a safe end."""

from __future__ import annotations

import json

import pytest
import standard_cluster as sc
from standard_cluster import rc


def started(place, name):
    uri = place.store.put(sc.folder(), "v1.1", value=1.0)
    rc.apply(rc.rollout(name, uri, place.gateway, place.prometheus, **sc.quick()))
    return uri


def weights(name, stable, canary, *more):
    found = [(f"{name}-predictor", stable), (f"{name}-canary-predictor", canary), *more]
    value = [{"kind": "Service", "name": n, "port": 80, "weight": w} for n, w in found]
    change = [{"op": "replace", "path": "/spec/rules/0/backendRefs", "value": value}]
    words = ["patch", "httproute", name, "--type=json", "-p", json.dumps(change)]
    rc.kubectl("-n", sc.NAMESPACE, *words)


def set_80(name):
    weights(name, 20, 80)


def third_backend(name):
    weights(name, 60, 10, (f"{name}-predictor-nobody", 30))


@pytest.mark.parametrize("edit", [set_80, third_backend])
def test_weights_edited(place, operator, fresh, edit):
    with sc.Load(place.gateway, fresh) as load:
        load.busy()
        uri = started(place, fresh)
        rc.at_step(fresh, 10)
        edit(fresh)
        rc.until(lambda: sc.backends(fresh).get(f"{fresh}-canary-predictor") == 10, 6, "put back")
        found = rc.ended(fresh)
    assert found["phase"] == "Succeeded", found
    assert found["restarts"] == 1
    assert any("somebody set" in line["why"] for line in found["history"]), found
    assert sc.tidy(fresh, uri) == ""
    if edit is set_80:
        assert load.failed() == []


def test_canary_edited(place, operator, fresh):
    old = rc.model(fresh)
    with sc.Load(place.gateway, fresh) as load:
        load.busy()
        started(place, fresh)
        rc.at_step(fresh, 10)
        other = place.store.put(sc.folder(), "v3.0", value=1.0)
        changed = {"spec": {"predictor": {"model": {"storageUri": other}}}}
        rc.patch("isvc", f"{fresh}-canary", changed)
        found = rc.ended(fresh)
    assert found["phase"] == "RolledBack", found
    assert "v3.0" in found["why"]
    assert load.failed() == []
    assert sc.tidy(fresh, old) == ""


def test_canary_deleted(place, operator, fresh):
    old = rc.model(fresh)
    with sc.Load(place.gateway, fresh) as load:
        load.busy()
        started(place, fresh)
        rc.at_step(fresh, 10)
        rc.kubectl("-n", sc.NAMESPACE, "delete", "isvc", f"{fresh}-canary", "--wait=false")
        found = rc.ended(fresh)
    print(f"{len(load.failed())} of {len(load.answers)} failed")
    assert found["phase"] == "RolledBack", found
    assert sc.tidy(fresh, old) == ""


def test_stable_relabelled(place, operator, fresh):
    with sc.Load(place.gateway, fresh) as load:
        load.busy()
        started(place, fresh)
        rc.at_step(fresh, 10)
        rc.patch("isvc", fresh, {"metadata": {"labels": {"team": "b"}}})
        found = rc.ended(fresh)
    print(found["why"])
    assert found["phase"] == "RolledBack", found
    assert load.failed() == []


def test_runtime_edited(place, operator, fresh):
    runtime = sc.runtime(rc.image(place.work))
    with sc.Load(place.gateway, fresh) as load:
        load.busy()
        started(place, fresh)
        rc.at_step(fresh, 10)
        runtime["spec"]["containers"][0]["env"].append(
            {"name": "EDITED", "value": str(rc.time.time())}
        )
        rc.apply(runtime)
        found = rc.ended(fresh)
    print(found["why"])
    assert found["phase"] == "RolledBack", found
    assert load.failed() == []


def test_route_deleted(place, operator, fresh):
    """Nothing can be decided without it; it goes on when it is back."""
    uri = started(place, fresh)
    rc.at_step(fresh, 10)
    rc.kubectl("-n", sc.NAMESPACE, "delete", "httproute", fresh)
    rc.until(lambda: "which is not there" in rc.status(fresh)["why"], 30, "the reason")
    rc.apply(sc.routes(fresh)[0])
    found = rc.ended(fresh)
    assert found["phase"] in ("Succeeded", "RolledBack"), found
    assert sc.backends(fresh) == {f"{fresh}-predictor": 100}
    assert rc.get("isvc", f"{fresh}-canary") is None, uri
