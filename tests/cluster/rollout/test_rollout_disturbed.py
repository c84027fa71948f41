"""A good version while somebody else changes things: a safe end, and no request fails."""

from __future__ import annotations

import json

import outcomes
import rollout_cluster as rc


def started(place, name, version="v1.1", **changes):
    uri = place.store.put(name, version, value=1.0)
    rc.apply(rc.rollout(name, uri, place.gateway, place.prometheus, **changes))
    return uri


def at(name, *phases, seconds=120):
    rc.until(lambda: rc.phase(name) in phases, seconds, f"{name} in {phases}")


def at_step(name, percent, seconds=120):
    def question():
        status = rc.status(name)
        return status.get("phase") == "Progressing" and status.get("percent") == percent

    rc.until(question, seconds, f"{name} at {percent} %")


def patch(name, body):
    rc.kubectl("-n", rc.NAMESPACE, "patch", "isvc", name, "--type=merge", "-p", json.dumps(body))


def order(name, what, number=1):
    command = {"name": what, "id": f"{what}-{number}", "by": "test", "at": "2025-01-01T00:00:00Z"}
    body = json.dumps({"spec": {"command": command}})
    rc.kubectl("-n", rc.NAMESPACE, "patch", "modelrollout", name, "--type=merge", "-p", body)


def test_label_edited(place, operator, fresh):
    with rc.Load(place.gateway, fresh) as load:
        started(place, fresh)
        at_step(fresh, 10)
        patch(fresh, {"metadata": {"labels": {"team": "b"}}})
        found = rc.ended(fresh)
    outcomes.record("label edited at 10 %", "analysis restarted, Succeeded", found, load)
    assert found["phase"] == "Succeeded", found
    assert found["restarts"] >= 1
    assert load.failed() == []


def test_min_replicas_edited(place, operator, fresh):
    with rc.Load(place.gateway, fresh) as load:
        started(place, fresh)
        at_step(fresh, 1)
        patch(fresh, {"spec": {"predictor": {"minReplicas": 2}}})
        found = rc.ended(fresh)
    outcomes.record("minReplicas edited at 1 %", "analysis restarted, Succeeded", found, load)
    assert found["phase"] == "Succeeded", found
    assert load.failed() == []


def test_runtime_edited(place, operator, fresh):
    name = f"runtime-{fresh}"[:50]
    runtime = rc.runtime(name, rc.image(place.work))
    rc.apply(runtime)
    uri = place.store.put(fresh, "v1.1", value=1.0)
    with rc.Load(place.gateway, fresh) as load:
        target = {"storageUri": uri, "runtime": name}
        body = rc.rollout(fresh, uri, place.gateway, place.prometheus, target=target)
        body["spec"]["strategy"]["stepDuration"] = "30s"
        rc.apply(body)
        at_step(fresh, 10)
        runtime["spec"]["containers"][0]["env"] = [{"name": "EDITED", "value": "1"}]
        rc.apply(runtime)
        found = rc.ended(fresh, 400)
    outcomes.record("ServingRuntime edited at 10 %", "restarted or RolledBack", found, load)
    assert found["phase"] in ("Succeeded", "RolledBack"), found
    assert load.failed() == []


def test_model_edited(place, operator, fresh):
    other = place.store.put(fresh, "v3.0", value=1.0)
    with rc.Load(place.gateway, fresh) as load:
        started(place, fresh)
        at_step(fresh, 10)
        patch(fresh, {"spec": {"predictor": {"model": {"storageUri": other}}}})
        found = rc.ended(fresh)
    outcomes.record("model edited by somebody at 10 %", "RolledBack", found, load)
    assert found["phase"] == "RolledBack", found
    assert load.failed() == []
    model = rc.get("isvc", fresh)["spec"]["predictor"]["model"]
    assert model["storageUri"].endswith("/v1.0/")


def test_percent_edited(place, operator, fresh):
    with rc.Load(place.gateway, fresh) as load:
        started(place, fresh)
        at_step(fresh, 1)
        patch(fresh, {"spec": {"predictor": {"canaryTrafficPercent": 80}}})
        found = rc.ended(fresh)
    outcomes.record("percent edited alone", "RolledBack", found, load)
    assert found["phase"] in ("RolledBack", "Succeeded"), found
    assert load.failed() == []


def test_stopped(place, operator, fresh):
    started(place, fresh)
    at_step(fresh, 10)
    patch(fresh, {"metadata": {"annotations": {"serving.kserve.io/stop": "true"}}})
    at(fresh, "Aborting", "RolledBack", "Halted")
    patch(fresh, {"metadata": {"annotations": {"serving.kserve.io/stop": None}}})
    found = rc.ended(fresh)
    outcomes.record("stopped and started at 10 %", "RolledBack or Halted", found, None)
    assert found["phase"] in ("RolledBack", "Halted"), found
    model = rc.get("isvc", fresh)["spec"]["predictor"]["model"]
    assert model["storageUri"].endswith("/v1.0/")


def test_deleted(place, operator, fresh):
    started(place, fresh)
    at_step(fresh, 10)
    rc.kubectl("-n", rc.NAMESPACE, "delete", "isvc", fresh, "--wait=false")
    found = rc.ended(fresh)
    outcomes.record("InferenceService deleted at 10 %", "Halted", found, None)
    assert found["phase"] == "Halted", found


def test_predictor_pod_killed(place, operator, fresh):
    with rc.Load(place.gateway, fresh) as load:
        started(place, fresh, strategy={"stepDuration": "20s"})
        at_step(fresh, 10)
        revision = rc.status(fresh)["canary"]
        selector = f"serving.knative.dev/revision={revision}"
        rc.kubectl("-n", rc.NAMESPACE, "delete", "pod", "-l", selector, "--wait=false")
        found = rc.ended(fresh)
    outcomes.record("canary's pod killed at 10 %", "Succeeded or RolledBack", found, load)
    assert found["phase"] in ("Succeeded", "RolledBack"), found


def test_malformed_requests(place, operator, fresh):
    bad = {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP32", "data": ["no"]}]}
    with rc.Load(place.gateway, fresh) as load, rc.Load(place.gateway, fresh, 10, bad) as noise:
        started(place, fresh)
        found = rc.ended(fresh)
    outcomes.record("malformed requests to both sides", "Succeeded", found, load)
    assert found["phase"] == "Succeeded", found
    assert {a[1] for a in noise.answers} == {400}


def test_aborted_then_another(place, operator, fresh):
    with rc.Load(place.gateway, fresh) as load:
        started(place, fresh)
        at_step(fresh, 1)
        aborted = rc.status(fresh)["canary"]
        order(fresh, "abort")
        found = rc.ended(fresh)
        assert found["phase"] == "RolledBack", found
        since = rc.time.time()
        started(place, fresh, "v1.2")
        found = rc.ended(fresh)
    outcomes.record("aborted canary, then a new one", "Succeeded, 0 to the aborted", found, load)
    assert found["phase"] == "Succeeded", found
    assert load.share(aborted, since)[0] == 0
    assert load.failed() == []


def test_rolled_back_after_100_percent(place, operator, fresh):
    with rc.Load(place.gateway, fresh) as load:
        started(place, fresh, strategy={"watchWindow": "60s", "steps": [50]})
        at(fresh, "Watching")
        order(fresh, "abort")
        found = rc.ended(fresh)
        at_end = rc.time.time()
        rc.time.sleep(3)
    outcomes.record("rollback after 100 %, warm", "RolledBack", found, load)
    assert found["phase"] == "RolledBack", found
    assert load.failed() == []
    assert load.share(f"{fresh}-predictor-00002", at_end)[0] == 0


def test_undone_after_success(place, operator, fresh):
    with rc.Load(place.gateway, fresh) as load:
        started(place, fresh, strategy={"steps": [50]})
        assert rc.ended(fresh)["phase"] == "Succeeded"
        order(fresh, "undo")
        at(fresh, "Aborting", "RolledBack")
        found = rc.ended(fresh)
    outcomes.record("undo after success", "old model serves", found, load)
    model = rc.get("isvc", fresh)["spec"]["predictor"]["model"]
    assert model["storageUri"].endswith("/v1.0/")
    assert load.failed() == []
