"""The model of the controllers does what the table of observations says, row by row."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from controllers import READY_S, RUNTIME_S, SCALE_DOWN_S, Cluster

V1, V2, V3, V4 = ({"storageUri": f"s3://models/m/v1.{n}"} for n in range(1, 5))
R1, R2, R3, R4, R5 = (f"m-{n:05d}" for n in range(1, 6))


def promoted() -> Cluster:
    """The table's start: v1, then v2 promoted."""
    cluster = Cluster()
    cluster.create(V1)
    cluster.run(10)
    cluster.patch(V2, percent=0)
    cluster.run(10)
    cluster.patch(percent=100)
    cluster.run(5)
    assert rolled(cluster) == (R2, R1)
    assert cluster.flow() == {R2: 100}
    return cluster


def rolled(cluster: Cluster) -> tuple[str | None, str | None]:
    assert cluster.isvc is not None
    return cluster.isvc.rolled_out, cluster.isvc.previous


def share(cluster: Cluster, revision: str, since: float) -> float:
    """Seconds that a revision had the whole traffic since a time."""
    total = 0.0
    flows = [*cluster.flows, (cluster.now, {})]
    for (start, flow), (end, _) in pairwise(flows):
        if flow.get(revision) == 100 and end > since:
            total += end - max(start, since)
    return total


def with_canary(percent: int) -> Cluster:
    cluster = promoted()
    cluster.patch(V3, percent=0)
    cluster.run(10)
    cluster.patch(percent=percent)
    cluster.run(3)
    return cluster


def test_first_create_with_percent_1_serves_everything_and_the_field_stays_live():
    cluster = Cluster()
    cluster.create(V1, percent=1)
    cluster.run(10)
    assert cluster.flow() == {R1: 100}
    cluster.patch(V2)
    cluster.run(10)
    assert cluster.flow() == {R1: 99, R2: 1}


def test_new_spec_with_percent_0_starts_dark():
    cluster = promoted()
    start = cluster.now
    cluster.patch(V3, percent=0)
    cluster.run(10)
    assert cluster.flow() == {R2: 100}
    assert cluster.revisions[R3].ready
    assert all(R3 not in flow for at, flow in cluster.flows if at >= start)


@pytest.mark.parametrize("percent", [1, 10, 50])
def test_percent_is_applied_within_a_second(percent):
    cluster = promoted()
    cluster.patch(V3, percent=0)
    cluster.run(10)
    cluster.patch(percent=percent)
    assert cluster.flow() == {R2: 100}
    cluster.run(0.6)
    assert cluster.flow() == {R2: 100 - percent, R3: percent}


def test_percent_100_rolls_out_and_the_old_pods_go():
    cluster = with_canary(50)
    cluster.patch(percent=100)
    cluster.run(3)
    assert rolled(cluster) == (R3, R2)
    assert cluster.flow() == {R3: 100}
    cluster.run(SCALE_DOWN_S + 1)
    assert cluster.replicas(R2) == 0
    assert cluster.replicas(R3) == 1


def test_field_removed_after_100_does_nothing():
    cluster = with_canary(100)
    before = len(cluster.flows)
    cluster.patch(percent=None)
    cluster.run(5)
    assert len(cluster.flows) == before
    assert rolled(cluster) == (R3, R2)


def test_field_removed_at_10_gives_everything_to_the_canary():
    cluster = with_canary(10)
    cluster.patch(percent=None)
    cluster.run(0.5)
    assert cluster.flow() == {R3: 100}


@pytest.mark.parametrize("percent", [10, 50])
def test_percent_0_takes_the_traffic_away_at_once(percent):
    cluster = with_canary(percent)
    cluster.patch(percent=0)
    cluster.run(0.5)
    assert cluster.flow() == {R2: 100}


def test_percent_0_after_100_goes_back_in_two_hops():
    cluster = with_canary(100)
    start = cluster.now
    cluster.patch(percent=0)
    cluster.run(2)
    assert cluster.flow() == {R2: 100}
    assert rolled(cluster) == (R2, R2)
    assert 0.3 < share(cluster, R3, start) < 1.0


def test_percent_1_alone_on_a_promoted_service_serves_the_version_before():
    cluster = promoted()
    cluster.patch(percent=1)
    cluster.run(1)
    assert cluster.flow() == {R1: 99, R2: 1}


@pytest.mark.parametrize("percent", [0, 10, 100, None])
def test_a_revision_that_is_never_ready_gets_nothing(percent):
    cluster = promoted()
    cluster.broken.add(V3["storageUri"])
    cluster.patch(V3, percent=percent)
    cluster.run(60)
    assert cluster.flow() == {R2: 100}
    assert cluster.ksvc is not None
    assert not cluster.ksvc.conditions_ready


def test_an_aborted_canary_gets_the_next_ones_percent_until_that_is_ready():
    cluster = with_canary(10)
    cluster.patch(percent=0)
    cluster.run(3)
    cluster.patch(V4, percent=20)
    cluster.run(2)
    assert cluster.flow() == {R2: 80, R3: 20}
    cluster.run(READY_S)
    assert cluster.flow() == {R2: 80, R4: 20}


def test_old_spec_without_the_field_gives_the_bad_one_everything():
    cluster = with_canary(10)
    start = cluster.now
    cluster.patch(V2, percent=None)
    cluster.run(10)
    assert 4.5 < share(cluster, R3, start) < 6.5
    assert rolled(cluster) == (R4, R3)
    assert cluster.flow() == {R4: 100}


def test_old_spec_with_percent_0_is_safe():
    cluster = with_canary(0)
    start = cluster.now
    cluster.patch(V2, percent=0)
    cluster.run(10)
    assert cluster.flow() == {R2: 100}
    assert share(cluster, R2, start) == pytest.approx(10, abs=0.2)


def test_stop_and_back_numbers_afresh_and_serves_the_ungated_one():
    cluster = with_canary(10)
    assert cluster.ksvc is not None
    uid = cluster.ksvc.uid
    cluster.patch(stop=True)
    cluster.run(2)
    assert cluster.flow() == {}
    cluster.patch(stop=False)
    cluster.run(2)
    assert cluster.flow() == {}
    cluster.run(READY_S)
    assert cluster.flow() == {R1: 100}
    assert cluster.revisions[R1].template.uri == V3["storageUri"]
    assert cluster.ksvc is not None
    assert cluster.ksvc.uid != uid
    cluster.patch(V4)
    cluster.run(10)
    assert cluster.flow() == {R1: 90, R2: 10}


@pytest.mark.parametrize("percent", [150, -5])
def test_an_impossible_percent_fails_and_the_old_split_serves(percent):
    cluster = with_canary(10)
    cluster.patch(percent=percent)
    cluster.run(5)
    assert cluster.isvc is not None
    assert cluster.isvc.failed
    assert cluster.flow() == {R2: 90, R3: 10}


@pytest.mark.parametrize("extras", [{"label": 1}, {"annotation": 1}, {"minReplicas": 2}])
def test_an_edit_makes_a_revision_that_gets_everything(extras):
    cluster = promoted()
    cluster.patch(extras=extras)
    cluster.run(READY_S + 2)
    assert cluster.flow() == {R3: 100}


def test_a_runtime_edit_makes_a_revision_without_asking():
    cluster = promoted()
    cluster.edit_runtime(1)
    cluster.run(RUNTIME_S - 1)
    assert R3 not in cluster.revisions
    cluster.run(READY_S + 3)
    assert cluster.flow() == {R3: 100}


def test_after_a_patch_the_status_shows_the_old_split_for_some_ticks():
    cluster = with_canary(1)
    cluster.patch(percent=50)
    seen = []
    for _ in range(10):
        cluster.tick()
        assert cluster.isvc is not None
        seen.append(cluster.isvc.traffic.get(R3))
    assert seen[0] == 1
    assert seen[-1] == 50


@pytest.mark.parametrize("seed", range(20))
def test_without_the_race_a_deploy_at_0_never_moves_the_rolled_out_revision_back(seed):
    cluster = promoted()
    cluster.random = Random(seed)  # noqa: S311
    cluster.patch(V3, percent=0)
    cluster.run(15)
    assert rolled(cluster)[0] == R2


def test_with_the_race_it_can_move_back():
    back = 0
    for seed in range(40):
        cluster = promoted()
        cluster.random, cluster.race = Random(seed), True  # noqa: S311
        cluster.patch(V3, percent=0)
        cluster.run(15)
        back += rolled(cluster)[0] == R1
    assert back
