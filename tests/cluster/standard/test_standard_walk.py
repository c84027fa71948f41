"""A good version walks to 100 % through the weights of a route, under load."""

from __future__ import annotations

import standard_cluster as sc
from standard_cluster import rc

BAND = {1: (0, 4), 10: (5, 16), 50: (42, 58)}  # percent of several hundred answers


def walked(name, load):
    """Percent of answers by the canary while each step was in place."""
    seen, since, percent = {}, 0.0, None

    def question():
        nonlocal since, percent
        status = rc.status(name)
        here = status.get("percent") if status.get("applied") else None
        here = here if status.get("phase") == "Progressing" else None
        if here != percent:
            if percent is not None:
                seen[percent] = load.by_side(name, since, rc.time.time() - 1)
            since, percent = rc.time.time(), here
        return status.get("phase") in ("Succeeded", "RolledBack", "Halted")

    rc.until(question, 240, f"an end of {name}")
    return seen


def test_a_good_version_walks_to_100_percent_without_a_failed_request(place, operator, fresh):
    uri = place.store.put(sc.folder(), "v1.1", value=1.0)
    with sc.Load(place.gateway, fresh) as load:
        load.busy()
        errors, *others = rc.GATES
        gates = [{**errors, "source": "prometheus"}, *others]
        rc.apply(rc.rollout(fresh, uri, place.gateway, place.prometheus, gates=gates))
        split = walked(fresh, load)
        found = rc.ended(fresh)
        rc.time.sleep(2)
    assert found["phase"] == "Succeeded", found
    print(dict(split), len(load.answers))
    assert load.failed() == []
    assert sorted(split) == [1, 10, 50]
    for percent, (low, high) in BAND.items():
        shares = split[percent]
        assert low <= 100 * shares["canary"] / shares.total() <= high, split
    assert sc.tidy(fresh, uri) == ""
    assert load.by_side(fresh, rc.time.time() - 1.5).keys() <= {"stable"}
