"""The processes of a link and of its sender: what announces, what delays, what the oracle knows."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from dwcp_ml.params import CompressionParams, NetworkParams
from dwcp_ml.telemetry.schema import load_schema
from dwcp_ml.telemetry.simulator.compression import (
    LEVELS,
    cost_table,
    gains,
    simulate_compression,
)
from dwcp_ml.telemetry.simulator.fleet import LOCAL_RTT_MS, REGIONS, build_fleet, path_rtt_ms
from dwcp_ml.telemetry.simulator.link import (
    PORT_FACTOR,
    Link,
    daily_log_load,
    level_drops,
    simulate_link,
)
from dwcp_ml.telemetry.simulator.streams import autoregressive, events, stream, student4

STEPS, A_DAY, SEED = 20_000, 1440.0, 5
HOUR = np.arange(STEPS) * 24 / A_DAY % 24
NETWORK = NetworkParams()


@pytest.fixture(scope="module")
def fleet():
    return build_fleet(load_schema(), 200, SEED)


def link_of(node, network=NETWORK, outage=0.0, seed=SEED) -> Link:
    return simulate_link(node, HOUR, A_DAY, network, seed, np.full(STEPS, outage))


def test_streams_of_one_seed_are_independent_and_repeatable():
    draws = [
        stream(*key).standard_normal(4000)
        for key in ((1, "link", 0), (1, "link", 1), (1, "health", 0), (2, "link", 0))
    ]
    assert np.abs(np.corrcoef(draws) - np.eye(4)).max() < 0.06
    assert (draws[0] == stream(1, "link", 0).standard_normal(4000)).all()


def test_autoregressive_noise_is_stationary_with_the_lag_asked_for():
    paths = np.array([autoregressive(stream(k, "ar"), 3000, 0.8, 2.0) for k in range(200)])
    assert paths[:, 0].std() == pytest.approx(2.0, rel=0.15)
    assert paths.std() == pytest.approx(2.0, rel=0.02)
    assert np.corrcoef(paths[:, 1:].ravel(), paths[:, :-1].ravel())[0, 1] == pytest.approx(
        0.8, abs=0.01
    )


def test_student4_is_the_quantile_function_of_t4_scaled_to_unit_deviation():
    z = np.linspace(-4, 4, 81)
    assert student4(z) == pytest.approx(stats.t(4).ppf(stats.norm.cdf(z)) / np.sqrt(2), abs=1e-6)


def test_events_fire_at_their_rate():
    assert len(events(stream(1, "events"), 200_000, 0.01)) == pytest.approx(2000, rel=0.1)


def test_round_trip_times_grow_with_distance_and_local_links_stay_local(fleet):
    place = {r[0]: r for r in REGIONS}
    near = path_rtt_ms(place["eu-west"], place["eu-central"])
    far = path_rtt_ms(place["eu-west"], place["ap-southeast"])
    assert near < 30 < 150 < far < 300
    assert path_rtt_ms(place["us-east"], place["us-west"]) == path_rtt_ms(
        place["us-west"], place["us-east"]
    )
    for node in fleet:
        if node.link_type != "wan":
            low, high = LOCAL_RTT_MS[node.link_type]
            assert 0.8 * low < node.base_rtt_ms < 1.25 * high


def test_a_node_depends_on_the_seed_and_its_number_alone(fleet):
    few = build_fleet(load_schema(), 30, SEED)
    assert [replace(n, peer_id="") for n in few] == [replace(n, peer_id="") for n in fleet[:30]]


def test_a_queue_stands_before_every_drop_and_only_there():
    drop, queue, overflow, coming = level_drops(stream(3, "drops"), STEPS, NETWORK)
    starts = 1 + np.flatnonzero(np.diff(drop) > 0.02)
    assert len(starts) == pytest.approx(NETWORK.drop_rate * STEPS, rel=0.3)
    assert (queue[starts - 1] > 0).all()
    assert (overflow[starts - 1] > 0).all()
    ahead = np.zeros(STEPS, bool)
    first = np.flatnonzero(overflow)
    for lead in range(NETWORK.lead_steps_max):
        ahead[first - lead] = True
    assert not queue[~ahead].any()
    assert coming[:-1][np.diff(drop) > 0.02] == pytest.approx(drop[starts] - drop[starts - 1])


def test_the_announced_depth_is_a_noisy_copy_of_the_coming_one():
    drop, queue, overflow, coming = level_drops(stream(4, "drops"), 400_000, NETWORK)
    at = np.flatnonzero((overflow > 0) & (drop == 0) & (queue == overflow))
    error = queue[at] / coming[at] - 1
    assert np.abs(np.median(error)) < 0.05
    assert error.std() == pytest.approx(NETWORK.lead_depth_error, rel=0.15)


def test_queueing_raises_round_trip_time_and_jitter_before_throughput_falls(fleet):
    for node in fleet[:12]:
        link = link_of(node)
        told = link.queue > 0.3
        quiet = link.queue == 0
        assert np.median(link.rtt_ms[told]) > 1.02 * np.median(link.rtt_ms[quiet])
        assert np.median(link.jitter_ms[told]) > 1.2 * np.median(link.jitter_ms[quiet])
        last = np.flatnonzero(link.overflow[:-1] > 0.3)
        step = np.log(link.latent_mbps[last + 1] / link.latent_mbps[last])
        assert np.median(step) < -0.2


def test_the_expectation_is_unbiased_and_beats_persistence(fleet):
    for node in fleet[:6]:
        link = link_of(node)
        told = np.log(link.expected_next_mbps[:-1] / link.latent_mbps[1:])
        last = np.log(link.latent_mbps[:-1] / link.latent_mbps[1:])
        assert np.abs(told).mean() < 0.85 * np.abs(last).mean()
        assert abs(told.mean()) < 0.002
        assert np.log(link.measured_mbps / link.latent_mbps).std() == pytest.approx(
            NETWORK.measurement_sd, rel=0.05
        )


def test_throughput_stays_below_the_port_and_an_outage_takes_its_depth(fleet):
    for node in fleet[:6]:
        link, cut = link_of(node), link_of(node, outage=0.7)
        assert link.measured_mbps.max() < PORT_FACTOR * node.committed_mbps
        free = link.latent_mbps < 0.9 * PORT_FACTOR * node.committed_mbps
        depth = np.log(link.latent_mbps / cut.latent_mbps)[free]
        assert depth == pytest.approx(0.7)


def test_the_congestion_window_is_rate_times_round_trip_time_over_streams(fleet):
    for node in fleet[:6]:
        link = link_of(node)
        product = link.latent_mbps * 1e6 / 8 * link.rtt_ms / 1e3 / node.streams
        big = product > 20_000
        if big.any():
            assert np.median((link.window_bytes / product)[big]) == pytest.approx(1, abs=0.02)


def test_the_daily_cycle_has_a_period_of_one_day():
    hour = np.linspace(0, 24, 97)
    assert daily_log_load(hour, 0.4) == pytest.approx(daily_log_load(hour + 24, 0.4))
    assert np.ptp(daily_log_load(hour, 0.4)) > 0.7
    assert daily_log_load(hour, 0.4)[:-1].mean() == pytest.approx(0, abs=1e-12)


def test_a_gain_is_the_slower_of_sender_and_network():
    one = [np.array([i]) for i in (0, 2)]
    slow = gains(*one, np.array([1.0]), np.array([1.0]))[0]
    fast = gains(*one, np.array([0.5]), np.array([1e6]))[0]
    assert slow == pytest.approx(cost_table().ratio[2])  # a thin link: the ratio is the gain
    assert fast == pytest.approx(np.minimum(0.5 * cost_table().rate_mbps[0, 2] / 1e6, 1.0))
    assert (slow[0], fast[0]) == (1.0, 1.0)


def test_cost_tables_are_complete_and_of_large_payloads_only():
    table = cost_table()
    assert table.ratio.shape == (len(table.payloads), LEVELS)
    assert table.rate_mbps.shape == (len(table.machines), len(table.payloads), LEVELS)
    assert (table.ratio[:, 0] == 1).all()
    assert np.isinf(table.rate_mbps[:, :, 0]).all()
    assert np.isfinite(table.rate_mbps[:, :, 1:]).all()
    assert (len(table.machines), len(table.payloads)) == (6, 9)


def test_the_oracle_uses_the_bandwidth_it_is_told_of(fleet):
    params = CompressionParams()
    rate = np.exp(np.linspace(np.log(5), np.log(3000), STEPS))
    made = simulate_compression(fleet[0], rate, params, SEED)
    machine = np.full(STEPS, fleet[0].machine)
    best = gains(machine, made.payload.astype(int), made.cpu_share, rate).argmax(axis=1)
    assert (made.best == best).all()
    assert made.best[rate < 10].mean() > made.best[rate > 2000].mean()


def test_the_probe_runs_at_level_1_with_its_noise(fleet):
    params, table = CompressionParams(), cost_table()
    made = simulate_compression(fleet[1], np.full(STEPS, 100.0), params, SEED)
    kind = made.payload.astype(int)
    ratio = np.log(made.probe_ratio / table.ratio[kind, 1])
    rate = np.log(
        made.probe_rate_mbps / (made.cpu_share * table.rate_mbps[fleet[1].machine, kind, 1])
    )
    assert ratio.std() == pytest.approx(params.ratio_noise, rel=0.05)
    assert rate.std() == pytest.approx(params.rate_noise, rel=0.05)
    low, high = params.cpu_share
    assert low < made.cpu_share.min() < made.cpu_share.max() < high
    assert len(np.unique(kind)) == len(table.payloads)
    assert STEPS / np.count_nonzero(np.diff(kind)) == pytest.approx(
        params.payload_steps * 9 / 8, rel=0.15
    )  # one draw in nine changes nothing
