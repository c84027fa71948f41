"""The operator itself dies, is doubled, or meets a failing API server: no gate is skipped."""

from __future__ import annotations

import json

import outcomes
import pytest
import rollout_cluster as rc

BOUNDARIES = ("Preflight", "Dark", "Verifying", "Progressing", "Promoting", "Watching")


@pytest.fixture
def operators(place):
    made = []

    def make(number):
        made.append(rc.Operator(place.work, number))
        return made[-1]

    yield make
    for one in made:
        one.kill()


def test_killed_at_every_boundary(place, operators, fresh):
    process = operators(2)
    uri = place.store.put(fresh, "v1.1", value=1.0)
    killed = []
    with rc.Load(place.gateway, fresh) as load:
        rc.apply(rc.rollout(fresh, uri, place.gateway, place.prometheus))
        for boundary in BOUNDARIES:
            later = BOUNDARIES[BOUNDARIES.index(boundary) :]
            rc.until(lambda b=later: rc.phase(fresh) in b, 180, boundary)
            if rc.phase(fresh) == boundary:
                process.kill()
                killed.append(boundary)
                process = operators(len(killed) + 2)
        found = rc.ended(fresh, 400)
    outcomes.record(
        "operator killed at " + ", ".join(killed), "Succeeded, no gate skipped", found, load
    )
    assert found["phase"] == "Succeeded", found
    walked = [line["to"] for line in found["history"]]
    assert walked.count("Progressing") == 3
    assert load.failed() == []


def test_two_operators(place, operators, fresh):
    first, second = operators(2), operators(3)
    uri = place.store.put(fresh, "v1.1", value=1.0)
    with rc.Load(place.gateway, fresh) as load:
        rc.apply(rc.rollout(fresh, uri, place.gateway, place.prometheus))
        rc.until(lambda: rc.phase(fresh) == "Progressing", 120, "Progressing")
        lease = rc.get("lease", "dwcp-rollout-operator")["spec"]["holderIdentity"]
        active = first if lease.endswith(f"_{first.process.pid}") else second
        active.kill()
        found = rc.ended(fresh, 400)
    outcomes.record("two operators, the active one killed", "Succeeded", found, load)
    assert found["phase"] == "Succeeded", found
    assert load.failed() == []


def test_kserve_controller_down(place, operators, fresh):
    operators(2)
    uri = place.store.put(fresh, "v1.1", value=1.0)
    words = ["-n", "kserve", "scale", "deployment", "kserve-controller-manager"]
    with rc.Load(place.gateway, fresh) as load:
        rc.apply(rc.rollout(fresh, uri, place.gateway, place.prometheus))
        rc.until(lambda: rc.status(fresh).get("percent") == 1, 120, "1 %")
        try:
            rc.kubectl(*words, "--replicas=0")
            rc.time.sleep(25)
        finally:
            rc.kubectl(*words, "--replicas=1")
        found = rc.ended(fresh, 400)
    outcomes.record("KServe's controller down for 25 s", "Succeeded or RolledBack", found, load)
    assert found["phase"] in ("Succeeded", "RolledBack"), found
    assert load.failed() == []


def test_unhealthy_stable_is_not_rolled_back_to(place, operators, fresh):
    operators(2)
    uri = place.store.put(fresh, "v1.1", value=1.0)
    rc.apply(
        rc.rollout(
            fresh,
            uri,
            place.gateway,
            place.prometheus,
            strategy={"steps": [50], "watchWindow": "90s"},
        )
    )
    rc.until(lambda: rc.phase(fresh) == "Watching", 180, "Watching")
    stable = f"{fresh}-predictor-00001"
    rc.kubectl("-n", rc.NAMESPACE, "delete", "revision.serving.knative.dev", stable)
    body = {"name": "abort", "id": "a", "by": "test", "at": "2025-01-01T00:00:00Z"}
    text = json.dumps({"spec": {"command": body}})
    rc.kubectl("-n", rc.NAMESPACE, "patch", "modelrollout", fresh, "--type=merge", "-p", text)
    found = rc.ended(fresh, 400)
    outcomes.record(
        "rollback with stable gone", "RolledBack by a new revision, or Halted", found, None
    )
    assert found["phase"] in ("RolledBack", "Halted"), found
    assert sum(rc.split(fresh).values()) == 100
