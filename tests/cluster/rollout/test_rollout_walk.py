"""The whole walk, 0 to 100 %, under load."""

from __future__ import annotations

import rollout_cluster as rc


def test_a_good_version_walks_to_100_percent_without_a_failed_request(place, operator, fresh):
    uri = place.store.put(fresh, "v1.1", value=1.0)
    with rc.Load(place.gateway, fresh) as load:
        rc.until(lambda: len(load.answers) > 100, 30, "load")
        rc.apply(rc.rollout(fresh, uri, place.gateway, place.prometheus))
        found = rc.ended(fresh)
    assert found["phase"] == "Succeeded", found
    assert load.failed() == []
    walked = [line["to"] for line in found["history"]]
    assert walked.count("Progressing") == 3
    canary = f"{fresh}-predictor-00002"
    assert rc.split(fresh) == {canary: 100}
    assert (
        len(
            rc.get(
                "revisions.serving.knative.dev",
                "-l",
                f"serving.knative.dev/service={fresh}-predictor",
            )["items"]
        )
        == 2
    )
