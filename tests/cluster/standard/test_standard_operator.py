"""The operator dies between the moves that end a rollout: the next one takes it up."""

from __future__ import annotations

import standard_cluster as sc
from standard_cluster import rc


def promoting(name):
    return rc.phase(name) == "Promoting"


def taken_over(name):
    """The stable service holds the target and the canary serves."""
    pair = [rc.get("isvc", one) for one in (name, f"{name}-canary")]
    uris = {one["spec"]["predictor"]["model"]["storageUri"] for one in pair if one}
    return None not in pair and len(uris) == 1


def handed_over(name):
    """The route is back on the stable service, the canary is still there or just gone."""
    seen = rc.status(name)
    return bool(seen.get("finishing")) and list(sc.backends(name)) == [f"{name}-predictor"]


def test_killed_between_the_moves_of_the_end(place, operators, fresh):
    uri = place.store.put(sc.folder(), "v1.1", value=1.0)
    active = operators()
    with sc.Load(place.gateway, fresh) as load:
        load.busy()
        rc.apply(rc.rollout(fresh, uri, place.gateway, place.prometheus, **sc.quick()))
        killed = []
        for moment in (promoting, taken_over, handed_over):
            rc.until(
                lambda m=moment: m(fresh) or rc.phase(fresh) == "Succeeded", 240, moment.__name__
            )
            if rc.phase(fresh) == "Succeeded":
                break
            active.kill()
            killed.append(moment.__name__)
            rc.time.sleep(1)
            active = operators()
        found = rc.ended(fresh)
        rc.time.sleep(2)
    active.stop()
    print(killed, len(load.answers))
    assert found["phase"] == "Succeeded", found
    assert killed[:2] == ["promoting", "taken_over"]
    assert load.failed() == []
    assert sc.tidy(fresh, uri) == ""


def test_aborted_while_stable_takes_the_target_over(place, operators, fresh):
    """The old model runs nowhere any more: it is brought back dark, as after success."""
    old, uri = rc.model(fresh), place.store.put(sc.folder(), "v1.1", value=1.0)
    active = operators()
    with sc.Load(place.gateway, fresh) as load:
        load.busy()
        rc.apply(rc.rollout(fresh, uri, place.gateway, place.prometheus, **sc.quick()))
        rc.until(lambda: taken_over(fresh), 180, "stable takes over")
        rc.order(fresh, "abort")
        found = rc.ended(fresh)
        rc.time.sleep(2)
    active.stop()
    assert found["phase"] == "RolledBack", found
    assert load.failed() == []
    assert sc.tidy(fresh, old) == ""
