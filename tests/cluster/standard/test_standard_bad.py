"""Bad versions in Standard mode go back to stable, and users hardly meet them."""

from __future__ import annotations

import standard_cluster as sc
from standard_cluster import rc


def test_500s_at_1_percent(place, operator, fresh):
    old = rc.model(fresh)
    uri = place.store.put(sc.folder(), "v1.1", value=1.0, error_percent=30)
    with sc.Load(place.gateway, fresh) as load:
        load.busy()
        rc.apply(rc.rollout(fresh, uri, place.gateway, place.prometheus))
        found = rc.ended(fresh)
        rc.time.sleep(2)
    met, failed = load.by_side(fresh)["canary"], load.failed()
    print(f"{len(load.answers)} requests, {met} to the canary, {len(failed)} failed")
    assert found["phase"] == "RolledBack", found
    assert "errors" in found["why"]
    assert 0 < met <= 0.03 * len(load.answers)
    assert len(failed) <= 0.01 * len(load.answers)
    assert not [one for one in failed if one.status != 500]
    assert sc.tidy(fresh, old) == ""


def test_never_ready(place, operator, fresh):
    old = rc.model(fresh)
    uri = place.store.put(sc.folder(), "v1.1", value=1.0, ready=False)
    with sc.Load(place.gateway, fresh) as load:
        load.busy()
        clocks = {"readyDeadline": "20s"}
        rc.apply(rc.rollout(fresh, uri, place.gateway, place.prometheus, strategy=clocks))
        found = rc.ended(fresh)
        rc.time.sleep(2)
    print(found["why"])
    assert found["phase"] == "RolledBack", found
    assert load.by_side(fresh)["canary"] == 0
    assert load.failed() == []
    assert sc.tidy(fresh, old) == ""


def test_undo_after_success_and_then_the_next_version(place, operator, fresh):
    old, uri = rc.model(fresh), place.store.put(sc.folder(), "v1.1", value=1.0)
    with sc.Load(place.gateway, fresh) as load:
        load.busy()
        rc.apply(rc.rollout(fresh, uri, place.gateway, place.prometheus, **sc.quick()))
        assert rc.ended(fresh)["phase"] == "Succeeded"
        assert sc.tidy(fresh, uri) == ""
        rc.order(fresh, "undo")
        rc.at(fresh, "Aborting")
        found = rc.ended(fresh)
        assert found["phase"] == "RolledBack", found
        assert sc.tidy(fresh, old) == ""
        uri = place.store.put(sc.folder(), "v1.2", value=1.0)
        rc.apply(rc.rollout(fresh, uri, place.gateway, place.prometheus, **sc.quick()))
        rc.at(fresh, "Preflight", "Dark", "Verifying", "Progressing")
        found = rc.ended(fresh)
    assert found["phase"] == "Succeeded", found
    assert sc.tidy(fresh, uri) == ""
    assert load.failed() == []
