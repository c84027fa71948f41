"""The operator itself dies, is doubled, or meets a failing API server: no gate is skipped."""

from __future__ import annotations

import time

import outcomes
import pytest
import rollout_cluster as rc
from rollout_load import Load
from rollout_process import Operator
from rollout_proxy import api_server, kubeconfig_of

BOUNDARIES = ("Preflight", "Dark", "Verifying", "Progressing", "Promoting", "Watching")
BACK = ("Zero", "Restore", "Full")


@pytest.fixture
def operators(place):
    """Makes operators; whatever is left of them ends with the test."""
    made = []

    def make(kubeconfig=None):
        made.append(Operator(place.work, kubeconfig))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def started(place, name, **changes):
    uri = place.store.put(name, "v1.1", value=1.0)
    rc.apply(rc.rollout(name, uri, place.gateway, place.prometheus, **changes))


def no_gate_skipped(found, steps=3):
    """Every step was entered in order, and left only because its gates had passed."""
    walked = [n for n in found["history"] if n["source"] == n["to"] == "Progressing"]
    left = [n["why"] for n in walked] + [
        n["why"] for n in found["history"] if n["to"] == "Promoting"
    ]
    return len(left) == steps and all("all gates passed" in why for why in left)


def test_killed_at_every_boundary(place, operators, fresh):
    process, killed = operators(), []
    with Load(place.gateway, fresh) as load:
        started(place, fresh)
        for boundary in BOUNDARIES:
            later = BOUNDARIES[BOUNDARIES.index(boundary) :]
            rc.until(lambda b=later: rc.phase(fresh) in b, 300, boundary)
            if rc.phase(fresh) == boundary:
                process.kill()
                killed.append(boundary)
                process = operators()
        found = rc.ended(fresh, 400)
    note = "killed in " + ", ".join(killed)
    expected = "Succeeded, no gate skipped"
    outcomes.record("operator killed -9 in every phase", expected, found, load, note=note)
    assert found["phase"] == "Succeeded", found
    assert no_gate_skipped(found), found["history"]
    assert load.failed() == []


def test_killed_on_the_way_back(place, operators, fresh):
    process, killed = operators(), []
    bad = rc.revision(fresh, 2)
    with Load(place.gateway, fresh) as load:
        started(place, fresh)
        rc.at_step(fresh, 10)
        rc.order(fresh, "abort")
        for step in BACK:
            later = BACK[BACK.index(step) :]
            seen = {}

            def reached(later=later, seen=seen):
                seen.update(rc.status(fresh))
                return seen.get("abortStep") in later or seen.get("phase") == "RolledBack"

            rc.until(reached, 240, step)
            if seen.get("abortStep") == step and seen["phase"] == "Aborting":
                process.kill()
                killed.append(step)
                process = operators()
        found = rc.ended(fresh, 300)
        at_end = time.time()
        time.sleep(3)
    note = "killed in " + ", ".join(killed)
    outcomes.record("operator killed -9 on the way back", "RolledBack", found, load, note=note)
    assert found["phase"] == "RolledBack", found
    assert load.share(bad, at_end)[0] == 0
    assert load.failed() == []
    assert rc.model(fresh).endswith("/v1.0/")


def test_two_operators(place, operators, fresh):
    both = operators(), operators()
    with Load(place.gateway, fresh) as load:
        started(place, fresh)
        rc.until(lambda: rc.phase(fresh) == "Progressing", 240, "Progressing")
        active = [one for one in both if one.active()]
        assert len(active) == 1
        active[0].kill()
        found = rc.ended(fresh, 400)
    expected = "Succeeded, no gate skipped"
    outcomes.record("two operators, the active one killed -9", expected, found, load)
    assert found["phase"] == "Succeeded", found
    assert no_gate_skipped(found), found["history"]
    assert load.failed() == []


@pytest.fixture
def proxied(tmp_path):
    """The API server through a proxy, which fails no request yet."""
    import os
    from pathlib import Path

    own = Path(os.environ["KUBECONFIG"].split(":")[0])
    with api_server(own, tmp_path, percent=0) as proxy:
        yield proxy, kubeconfig_of(proxy, tmp_path)


def test_api_server_errors(place, operators, proxied, fresh):
    proxy, kubeconfig = proxied
    process = operators(kubeconfig)
    proxy.percent = 20
    with Load(place.gateway, fresh) as load:
        started(place, fresh)
        found = rc.ended(fresh, 500)
    proxy.percent = 0
    faults = ", ".join(f"{count} x {kind}" for kind, count in proxy.faults.items())
    note = f"of {proxy.asked} requests: {faults}"
    expected = "Succeeded, no gate skipped"
    outcomes.record("20 % of API requests fail", expected, found, load, note=note)
    assert process.process.poll() is None
    assert found["phase"] == "Succeeded", found
    assert no_gate_skipped(found), found["history"]
    assert all(proxy.faults.values())
    assert load.failed() == []


def test_api_server_errors_on_the_way_back(place, operators, proxied, fresh):
    # An operator that cannot renew its Lease ends, and is started again as Kubernetes would.
    proxy, kubeconfig = proxied
    active = [operators(kubeconfig)]

    def over():
        if active[-1].process.poll() is not None:
            active.append(operators(kubeconfig))
        return rc.phase(fresh) == "RolledBack"

    bad = rc.revision(fresh, 2)
    with Load(place.gateway, fresh) as load:
        started(place, fresh)
        rc.at_step(fresh, 10)
        fresh.witness.forced = True  # the 10 % may stay until a request comes through
        proxy.percent = 40
        rc.order(fresh, "abort")
        rc.until(over, 300, f"{fresh} in RolledBack")
        found = rc.ended(fresh, 30)
        at_end = time.time()
        time.sleep(3)
    proxy.percent = 0
    note = f"{sum(proxy.faults.values())} faults, operator started {len(active)} times"
    expected = "RolledBack"
    outcomes.record("40 % of API requests fail on the way back", expected, found, load, note=note)
    assert found["phase"] == "RolledBack", found
    assert load.share(bad, at_end)[0] == 0
    assert load.failed() == []


def test_api_server_gone(place, operators, proxied, fresh):
    # Longer than the Lease lasts: the operator ends, and is started again as Kubernetes would.
    proxy, kubeconfig = proxied
    process = operators(kubeconfig)
    with Load(place.gateway, fresh) as load:
        started(place, fresh)
        rc.at_step(fresh, 10)
        proxy.stop()
        process.process.wait(60)
        proxy.start()
        operators(kubeconfig)
        found = rc.ended(fresh, 400)
    expected = "the operator ends; Succeeded by its successor"
    outcomes.record("API server gone for the operator at 10 %", expected, found, load)
    assert found["phase"] == "Succeeded", found
    assert no_gate_skipped(found), found["history"]
    assert load.failed() == []


def test_kserve_controller_down(place, operators, fresh):
    operators()
    words = ["-n", "kserve", "scale", "deployment", "kserve-controller-manager"]
    with Load(place.gateway, fresh) as load:
        started(place, fresh)
        rc.until(lambda: rc.status(fresh).get("percent") == 1, 240, "1 %")
        try:
            rc.kubectl(*words, "--replicas=0")
            time.sleep(25)
        finally:
            rc.kubectl(*words, "--replicas=1")
        found = rc.ended(fresh, 400)
    outcomes.record("KServe's controller down for 25 s", "Succeeded or RolledBack", found, load)
    assert found["phase"] in ("Succeeded", "RolledBack"), found
    assert load.failed() == []
