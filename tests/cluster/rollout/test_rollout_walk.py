"""The whole walk, 0 to 100 %, under load; and how soon a bad version is found on it."""

from __future__ import annotations

import math
import time

import numpy as np
import outcomes
import rollout_cluster as rc
from rollout_load import Load

STEPS = [1, 5, 10, 25, 50]
RATE = 50


def in_place(witness, load, canary):
    """One row a step: what users got while it was in place."""
    rows = []
    for percent, (since, until) in sorted(witness.spans().items()):
        inside = load.between(since, until)
        met = sum(one.revision == canary for one in inside)
        taken = [one.taken * 1000 for one in inside]
        rows.append(
            {
                "percent": percent,
                "seconds": until - since,
                "requests": len(inside),
                "failed": sum(one.status != 200 for one in inside),
                "canary": met,
                "share": met / max(len(inside), 1),
                "p50_ms": float(np.quantile(taken, 0.5)),
                "p99_ms": float(np.quantile(taken, 0.99)),
            }
        )
    return rows


def test_a_good_version_walks_to_100_percent_without_a_failed_request(place, operator, fresh):
    uri = place.store.put(fresh, "v1.1", value=1.0)
    strategy = {"steps": STEPS, "stepDuration": "20s", "watchWindow": "20s"}
    strategy |= {"stepDeadline": "90s"}
    canary = rc.revision(fresh, 2)
    with Load(place.gateway, fresh, RATE) as load:
        load.busy(100)
        began = time.time()
        rc.apply(rc.rollout(fresh, uri, place.gateway, place.prometheus, strategy=strategy))
        found = rc.ended(fresh, 500)
        seconds = time.time() - began
    rows = in_place(fresh.witness, load, canary)
    total, failed = len(load.answers), len(load.failed())
    outcomes.keep("walk", rows=rows, rate=RATE, requests=total, failed=failed, seconds=seconds)
    assert found["phase"] == "Succeeded", found
    assert load.failed() == []
    assert [row["percent"] for row in rows] == [0, *STEPS, 100]
    for row in rows:
        share, n = row["percent"] / 100, row["requests"]
        # Five standard deviations, and a request or two that were under way at either end.
        assert abs(row["canary"] - share * n) <= 5 * math.sqrt(share * (1 - share) * n) + 2, row
    assert rc.split(fresh) == {canary: 100}
    selector = f"serving.knative.dev/service={fresh}-predictor"
    made = rc.get("revisions.serving.knative.dev", "-l", selector)["items"]
    assert len(made) == 2  # the rollout makes no revision of its own


def test_a_bad_version_is_found_within_one_analysis_interval(place, operator, fresh):
    interval_s = 30
    uri = place.store.put(fresh, "v1.1", value=1.0, error_percent=5)
    bad = rc.revision(fresh, 2)
    body = rc.rollout(fresh, uri, place.gateway, place.prometheus)
    # The defaults of strategy and prober.
    body["spec"]["strategy"] = {}
    body["spec"]["prober"].pop("ratePerS")
    body["spec"]["gates"] = [
        {"name": "errors", "kind": "error-ratio", "limit": 0.01},
        {"name": "p99", "kind": "latency", "limit": 10},
        {"name": "scores", "kind": "score-distribution", "limit": 0.15},
    ]
    with Load(place.gateway, fresh, RATE) as load:
        load.busy(100)
        rc.apply(body)
        found = rc.ended(fresh, 400)
        time.sleep(3)
    met = [one.at for one in load.answers if one.revision == bad]
    exposed = load.between(met[0], met[-1]) if met else []
    outcomes.keep(
        "detection",
        fault="5 % errors",
        interval_s=interval_s,
        seconds=met[-1] - met[0] if met else 0.0,
        met=len(met),
        requests=len(exposed),
        share=len(met) / max(len(exposed), 1),
        percent=1,
        why=outcomes.cause(found),
    )
    assert found["phase"] == "RolledBack", found
    assert met[-1] - met[0] <= interval_s + 30
    # One request in a hundred, within five standard deviations of a fair draw.
    share, n = 0.01, len(exposed)
    assert len(met) <= share * n + 5 * math.sqrt(share * (1 - share) * n)
