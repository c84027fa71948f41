"""Versions that must not come through: each is rolled back, and users hardly meet it."""

from __future__ import annotations

import outcomes
import pytest
import rollout_cluster as rc


def rolled_back(place, name, uri, fault, exposed_percent=3.0, **changes):
    """Roll ``uri`` out under load; it must end rolled back, with v1 serving everything."""
    bad = f"{name}-predictor-00002"
    with rc.Load(place.gateway, name) as load:
        rc.until(lambda: len(load.answers) > 50, 30, "load")
        rc.apply(rc.rollout(name, uri, place.gateway, place.prometheus, **changes))
        found = rc.ended(name)
        at_end = rc.time.time()
        rc.time.sleep(3)
    outcomes.record(fault, "RolledBack", found, load, bad)
    assert found["phase"] == "RolledBack", found
    assert load.share(bad, at_end) == (0, load.share(bad, at_end)[1])
    met, total = load.share(bad)
    assert met <= exposed_percent / 100 * total
    assert [a for a in load.failed() if a[2] != bad] == []
    model = rc.get("isvc", name)["spec"]["predictor"]["model"]
    assert model["storageUri"].endswith("/v1.0/")
    return found


BAD = {
    "crash loop": {"crash": True},
    "never ready": {"ready": False},
    "500s at 1 percent": {"value": 1.0, "error_percent": 20},
    "3x slower": {"value": 1.0, "delay_ms": 60},
    "NaN scores": {"nan": True},
    "other scores": {"value": 1.6},
}


@pytest.mark.parametrize("fault", BAD)
def test_bad(place, operator, fresh, fault):
    uri = place.store.put(fresh, "v1.1", **BAD[fault])
    rolled_back(place, fresh, uri, fault)


def test_missing_model(place, operator, fresh):
    uri = f"s3://models/rollout/{fresh}/v9.9/"
    found = rolled_back(place, fresh, uri, "missing model", exposed_percent=0)
    assert "v9.9" in found["why"] or "storage-initializer" in found["why"], found["why"]


def test_truncated_model(place, operator, fresh):
    key = f"rollout/{fresh}/v1.1/behaviour.json"
    place.store.client.put_object(Bucket="models", Key=key, Body=b'{"value": 1')
    rolled_back(place, fresh, f"s3://models/{key.rsplit('/', 1)[0]}/", "truncated model", 0)


def test_image_pull_error(place, operator, fresh):
    rc.apply(rc.runtime("rollout-no-image", "localhost:5000/no-such-image:1"))
    uri = place.store.put(fresh, "v1.1", value=1.0)
    target = {"storageUri": uri, "runtime": "rollout-no-image"}
    rolled_back(place, fresh, uri, "image pull error", 0, target=target)


def test_quota_too_small(place, operator, fresh):
    # No pod can ask for 100 CPUs here: it is never scheduled.
    big = rc.runtime("rollout-too-big", rc.image(place.work))
    big["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "100"}}
    rc.apply(big)
    uri = place.store.put(fresh, "v1.1", value=1.0)
    target = {"storageUri": uri, "runtime": "rollout-too-big"}
    rolled_back(place, fresh, uri, "no room for the pod", 0, target=target)


def test_no_traffic_and_no_prober_never_promotes(place, operator, fresh):
    uri = place.store.put(fresh, "v1.1", value=1.0)
    body = rc.rollout(fresh, uri, place.gateway, place.prometheus)
    body["spec"].pop("prober")
    body["spec"]["strategy"]["stepDeadline"] = "25s"
    rc.apply(body)
    found = rc.ended(fresh)
    outcomes.record("no traffic", "RolledBack or Halted", found, None)
    assert found["phase"] in ("RolledBack", "Halted")
    assert rc.split(fresh).get(f"{fresh}-predictor-00002", 0) == 0


def test_prometheus_gone_for_good_never_promotes(place, operator, fresh):
    uri = place.store.put(fresh, "v1.1", value=1.0)
    gates = [{**gate, "source": "prometheus"} for gate in rc.GATES]
    with rc.Load(place.gateway, fresh) as load:
        rc.apply(rc.rollout(fresh, uri, place.gateway, "http://127.0.0.1:9", gates=gates))
        found = rc.ended(fresh)
    outcomes.record("Prometheus down for good", "Halted, untouched", found, load)
    assert found["phase"] in ("Halted", "RolledBack")
    assert load.failed() == []
    assert load.by_revision().keys() == {f"{fresh}-predictor-00001"}
