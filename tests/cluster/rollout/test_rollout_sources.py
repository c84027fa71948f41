"""Measurements that are missing, late or misleading: no data never promotes."""

from __future__ import annotations

import time

import outcomes
import rollout_cluster as rc
from rollout_load import Load
from rollout_proxy import Proxy

INSISTING = [{**gate, "source": "prometheus"} for gate in rc.GATES]


def test_no_traffic_and_no_prober_never_promotes(place, operator, fresh):
    uri = place.store.put(fresh, "v1.1", value=1.0)
    body = rc.rollout(fresh, uri, place.gateway, place.prometheus)
    body["spec"].pop("prober")
    body["spec"]["strategy"]["stepDeadline"] = "25s"
    rc.apply(body)
    found = rc.ended(fresh)
    outcomes.record("no traffic and no prober", "RolledBack or Halted", found, None)
    assert found["phase"] in ("RolledBack", "Halted")
    assert rc.split(fresh).get(rc.revision(fresh, 2), 0) == 0


def test_prometheus_gone_for_good_never_promotes(place, operator, fresh):
    uri = place.store.put(fresh, "v1.1", value=1.0)
    with Load(place.gateway, fresh) as load:
        rc.apply(rc.rollout(fresh, uri, place.gateway, "http://127.0.0.1:9", gates=INSISTING))
        found = rc.ended(fresh)
    outcomes.record("Prometheus never there", "Halted, nothing touched", found, load)
    assert found["phase"] == "Halted", found
    assert load.failed() == []
    assert load.by_revision().keys() == {rc.revision(fresh, 1)}
    assert rc.model(fresh).endswith("/v1.0/")


def test_prometheus_lost_midway_never_promotes(place, operator, fresh):
    uri = place.store.put(fresh, "v1.1", value=1.0)
    bad = rc.revision(fresh, 2)
    with Proxy(place.prometheus) as proxy, Load(place.gateway, fresh) as load:
        rc.apply(rc.rollout(fresh, uri, place.gateway, proxy.url))  # the prober goes on measuring
        rc.at_step(fresh, 1)
        proxy.stop()
        found = rc.ended(fresh)
        proxy.start()
    outcomes.record("Prometheus lost for good at 1 %", "RolledBack", found, load, bad)
    assert found["phase"] == "RolledBack", found
    assert load.failed() == []
    assert load.share(bad)[0] <= 0.03 * len(load.answers)


def test_prometheus_down_for_30_s(place, operator, fresh):
    uri = place.store.put(fresh, "v1.1", value=1.0)
    with Proxy(place.prometheus) as proxy, Load(place.gateway, fresh) as load:
        body = rc.rollout(fresh, uri, place.gateway, proxy.url, gates=INSISTING)
        body["spec"]["strategy"]["stepDeadline"] = "120s"
        rc.apply(body)
        rc.at_step(fresh, 10)
        proxy.stop()
        time.sleep(30)
        during = rc.status(fresh)
        proxy.start()
        found = rc.ended(fresh)
    note = f"while it was down: {during['percent']} %, {during['phase']}"
    outcomes.record("Prometheus down for 30 s at 10 %", "Succeeded", found, load, note=note)
    assert (during["phase"], during["percent"]) == ("Progressing", 10)
    assert found["phase"] == "Succeeded", found
    assert load.failed() == []


def test_malformed_requests(place, operator, fresh):
    uri = place.store.put(fresh, "v1.1", value=1.0)
    bad = rc.request("no")
    with Load(place.gateway, fresh) as load, Load(place.gateway, fresh, 10, bad) as noise:
        rc.apply(rc.rollout(fresh, uri, place.gateway, place.prometheus))
        found = rc.ended(fresh)
    note = f"{len(noise.answers)} malformed ones beside"
    outcomes.record("malformed requests to both sides", "Succeeded", found, load, note=note)
    assert found["phase"] == "Succeeded", found
    assert {one.status for one in noise.answers} == {400}
    assert load.failed() == []
