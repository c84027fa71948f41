"""A good version while somebody else changes things: a safe end, and no request fails."""

from __future__ import annotations

import outcomes
import rollout_cluster as rc
from rollout_load import Load


def started(place, name, version="v1.1", **changes):
    uri = place.store.put(name, version, value=1.0)
    rc.apply(rc.rollout(name, uri, place.gateway, place.prometheus, **changes))
    return uri


def test_label_edited(place, operator, fresh):
    with Load(place.gateway, fresh) as load:
        started(place, fresh)
        rc.at_step(fresh, 10)
        rc.patch("isvc", fresh, {"metadata": {"labels": {"team": "b"}}})
        found = rc.ended(fresh)
    outcomes.record("label edited at 10 %", "analysis restarted, Succeeded", found, load)
    assert found["phase"] == "Succeeded", found
    assert found["restarts"] >= 1
    assert load.failed() == []


def test_min_replicas_edited(place, operator, fresh):
    with Load(place.gateway, fresh) as load:
        started(place, fresh)
        rc.at_step(fresh, 1)
        rc.patch("isvc", fresh, {"spec": {"predictor": {"minReplicas": 2}}})
        found = rc.ended(fresh)
    outcomes.record("minReplicas edited at 1 %", "analysis restarted, Succeeded", found, load)
    assert found["phase"] == "Succeeded", found
    assert load.failed() == []


def test_runtime_edited(place, operator, fresh):
    name = f"runtime-{fresh}"[:50]
    runtime = rc.runtime(name, rc.image(place.work))
    rc.apply(runtime)
    uri = place.store.put(fresh, "v1.1", value=1.0)
    with Load(place.gateway, fresh) as load:
        target = {"storageUri": uri, "runtime": name}
        body = rc.rollout(fresh, uri, place.gateway, place.prometheus, target=target)
        body["spec"]["strategy"]["stepDuration"] = "30s"
        rc.apply(body)
        rc.at_step(fresh, 10)
        runtime["spec"]["containers"][0]["env"] = [{"name": "EDITED", "value": "1"}]
        rc.apply(runtime)
        found = rc.ended(fresh, 400)
    outcomes.record("ServingRuntime edited at 10 %", "restarted or RolledBack", found, load)
    assert found["phase"] in ("Succeeded", "RolledBack"), found
    assert load.failed() == []


def test_model_edited(place, operator, fresh):
    other = place.store.put(fresh, "v3.0", value=1.0)
    with Load(place.gateway, fresh) as load:
        started(place, fresh)
        rc.at_step(fresh, 10)
        fresh.witness.forced = True  # KServe gives it the 10 % before anybody can look
        rc.patch("isvc", fresh, {"spec": {"predictor": {"model": {"storageUri": other}}}})
        found = rc.ended(fresh)
    outcomes.record("model edited by somebody at 10 %", "RolledBack", found, load)
    assert found["phase"] == "RolledBack", found
    assert load.failed() == []
    assert rc.model(fresh).endswith("/v1.0/")


def test_percent_edited(place, operator, fresh):
    with Load(place.gateway, fresh) as load:
        started(place, fresh)
        rc.at_step(fresh, 1)
        fresh.witness.forced = True
        rc.patch("isvc", fresh, {"spec": {"predictor": {"canaryTrafficPercent": 80}}})
        found = rc.ended(fresh)
    outcomes.record("percent set to 80 at 1 %", "put back, Succeeded or RolledBack", found, load)
    assert found["phase"] in ("RolledBack", "Succeeded"), found
    assert load.failed() == []


def test_stopped(place, operator, fresh):
    started(place, fresh)
    rc.at_step(fresh, 10)
    fresh.witness.forced = True
    rc.patch("isvc", fresh, {"metadata": {"annotations": {"serving.kserve.io/stop": "true"}}})
    rc.at(fresh, "Aborting", "RolledBack", "Halted")
    rc.patch("isvc", fresh, {"metadata": {"annotations": {"serving.kserve.io/stop": None}}})
    found = rc.ended(fresh)
    outcomes.record("stopped and started at 10 %", "RolledBack or Halted", found, None)
    assert found["phase"] in ("RolledBack", "Halted"), found
    assert rc.model(fresh).endswith("/v1.0/")


def test_deleted(place, operator, fresh):
    started(place, fresh)
    rc.at_step(fresh, 10)
    rc.kubectl("-n", rc.NAMESPACE, "delete", "isvc", fresh, "--wait=false")
    found = rc.ended(fresh)
    outcomes.record("InferenceService deleted at 10 %", "Halted", found, None)
    assert found["phase"] == "Halted", found


def test_deleted_and_restored(place, operator, fresh):
    before = rc.get("isvc", fresh)
    meta = {k: v for k, v in before["metadata"].items() if k in ("name", "namespace")}
    notes = {"serving.kserve.io/enable-tag-routing": "true"}
    started(place, fresh)
    rc.at_step(fresh, 10)
    fresh.witness.forced = True
    rc.kubectl("-n", rc.NAMESPACE, "delete", "isvc", fresh)
    rc.apply({**before, "metadata": {**meta, "annotations": notes}, "status": {}})
    found = rc.ended(fresh)
    expected = "RolledBack or Halted, the old model serves"
    outcomes.record("InferenceService deleted and restored at 10 %", expected, found, None)
    assert found["phase"] in ("RolledBack", "Halted"), found
    assert rc.model(fresh).endswith("/v1.0/")
    with Load(place.gateway, fresh) as load:
        load.busy()
    assert load.failed() == []


def test_predictor_pod_killed(place, operator, fresh):
    with Load(place.gateway, fresh) as load:
        started(place, fresh, strategy={"stepDuration": "20s"})
        rc.at_step(fresh, 10)
        revision = rc.status(fresh)["canary"]
        selector = f"serving.knative.dev/revision={revision}"
        rc.kubectl("-n", rc.NAMESPACE, "delete", "pod", "-l", selector, "--wait=false")
        found = rc.ended(fresh)
    outcomes.record("canary's pod killed at 10 %", "Succeeded or RolledBack", found, load)
    assert found["phase"] in ("Succeeded", "RolledBack"), found
