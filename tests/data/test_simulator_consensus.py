"""Consensus latency as simulated: spread, noise, spikes, episodes, label."""

from dataclasses import dataclass

import numpy as np
import pytest

from dwcp_ml.params import ConsensusParams
from dwcp_ml.telemetry.schema import load_schema
from dwcp_ml.telemetry.simulator.consensus import EPISODES, HIGH, Consensus, simulate_consensus
from dwcp_ml.telemetry.simulator.fleet import build_fleet
from dwcp_ml.telemetry.simulator.incidents import Incident

STEPS, PARAMS, NODES = 7200, ConsensusParams(), 60
CRASHES = tuple(
    Incident("crash", "high", at, at + 2, at + 40) for at in range(1000, STEPS - 200, 2000)
)


@dataclass(frozen=True)
class Fleet:
    groups: list[Consensus]

    def joined(self, name):
        return np.concatenate([getattr(g, name) for g in self.groups])

    def starts(self, kind):
        """Number of episodes of a type."""
        number = EPISODES.index(kind)
        runs = [np.diff((g.episode == number).astype(int), prepend=0) == 1 for g in self.groups]
        return int(np.sum(runs))


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    nodes = build_fleet(load_schema(), NODES, 42)
    return Fleet([simulate_consensus(n, STEPS, 60, PARAMS, CRASHES, 42) for n in nodes])


def test_groups_have_the_median_and_spread_asked_for():
    nodes = build_fleet(load_schema(), 600, 1)
    base = [simulate_consensus(n, 200, 60, PARAMS, (), 1).base_ms.mean() for n in nodes]
    assert np.exp(np.mean(np.log(base))) == pytest.approx(PARAMS.base_median_ms, rel=0.15)
    assert np.median(base) == pytest.approx(PARAMS.base_median_ms, rel=0.3)
    assert np.std(np.log(base)) == pytest.approx(PARAMS.base_log_sd, rel=0.1)


def test_quiet_noise_lies_within_what_etcd_shows(fleet):
    """Log deviation .03-.13 and lag-1 .3-.8 of etcd's write latency between its stalls."""
    for group in fleet.groups:
        quiet = (group.episode == 0) & ~group.spike
        noise = np.log(group.latency_ms / group.base_ms)[quiet]
        assert 0.02 < noise.std() < 0.15
        both = quiet[1:] & quiet[:-1]
        series = np.log(group.latency_ms / group.base_ms)
        assert 0.25 < np.corrcoef(series[1:][both], series[:-1][both])[0, 1] < 0.85


def test_normal_spikes_are_single_and_about_fourfold(fleet):
    spike = fleet.joined("spike")
    assert 3600 * spike.mean() == pytest.approx(PARAMS.spikes_per_3600, rel=0.15)
    alone = spike & (fleet.joined("episode") == 0)
    factor = (fleet.joined("latency_ms") / fleet.joined("base_ms"))[alone]
    assert np.median(factor) == pytest.approx(4, rel=0.1)


def test_each_slow_episode_type_is_equally_common(fleet):
    slow = [fleet.starts(kind) for kind in EPISODES[2:]]
    expected = PARAMS.episodes_per_3600 / 4 * STEPS * NODES / 3600
    for count in slow:
        assert count == pytest.approx(expected, rel=0.4)


def test_a_crash_starts_a_leader_change_and_nothing_else_does(fleet):
    for group in fleet.groups:
        at = np.flatnonzero(group.leader_changes)
        assert set(at) <= {crash.start for crash in CRASHES}
        assert np.all(group.episode[at] == EPISODES.index("leader_change"))
    assert np.sum(fleet.joined("leader_changes")) > 0.6 * NODES * len(CRASHES)


def test_a_stall_is_the_age_of_what_waits_and_then_decays(fleet):
    group = next(g for g in fleet.groups if g.leader_changes[CRASHES[0].start])
    at = CRASHES[0].start
    stall = int(np.argmax(group.latency_ms[at:] < 20_000))
    assert 1 <= stall <= 5
    assert np.all(np.diff(group.latency_ms[at : at + stall]) == pytest.approx(60_000))
    after = group.effect[at + stall : at + stall + 8]
    assert after[0] > 2.9
    assert np.all(np.diff(after) < 0)


def test_the_effect_is_one_outside_episodes_and_every_type_reaches_the_label(fleet):
    effect, episode = fleet.joined("effect"), fleet.joined("episode")
    assert np.all(effect[episode == 0] == 1)
    for number in range(1, len(EPISODES)):
        assert np.mean(effect[episode == number] >= HIGH) > 0.5


def test_episodes_keep_apart_so_that_labels_are_plain(fleet):
    for group in fleet.groups:
        edges = np.flatnonzero(np.diff(group.episode.astype(int)) != 0)
        inside = group.episode[edges] > 0  # the step before the edge ends an episode
        ends, starts = edges[inside], edges[~inside]
        for end in ends:
            later = starts[starts > end]
            assert not len(later) or later[0] - end >= 59


def test_the_same_seed_gives_the_same_series_and_another_seed_another():
    node = build_fleet(load_schema(), 4, 42)[0]
    once, twice, other = (simulate_consensus(node, 500, 60, PARAMS, (), s) for s in (1, 1, 2))
    assert np.array_equal(once.latency_ms, twice.latency_ms)
    assert not np.array_equal(once.latency_ms, other.latency_ms)
