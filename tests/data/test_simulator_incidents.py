"""Node health as simulated: signatures, lookalikes, precursors, prevalence."""

import numpy as np
import pytest

from dwcp_ml.params import IncidentParams, SimulateParams
from dwcp_ml.telemetry.schema import load_schema
from dwcp_ml.telemetry.simulator.fleet import build_fleet
from dwcp_ml.telemetry.simulator.incidents import (
    LOOKALIKES,
    SIGNALS,
    SIGNATURES,
    TYPES,
    NodeHealth,
    log_evidence,
    simulate_health,
)
from dwcp_ml.telemetry.simulator.table import simulate_node

STEPS, A_DAY, PARAMS = 6000, 1440.0, IncidentParams()


@pytest.fixture(scope="module")
def fleet() -> list[NodeHealth]:
    return [simulate_health(i, STEPS, A_DAY, PARAMS, seed=7) for i in range(60)]


def joined(fleet, name):
    return np.concatenate([getattr(node, name) for node in fleet])


def test_incidents_have_the_prevalence_asked_for(fleet):
    assert np.mean(joined(fleet, "kind") > 0) == pytest.approx(PARAMS.prevalence, abs=0.01)


def test_every_type_moves_its_own_signals_and_no_other(fleet):
    kind, shift = joined(fleet, "kind"), joined(fleet, "shift")
    for number, name in enumerate(TYPES, start=1):
        mean = shift[kind == number].mean(axis=0)
        signature = np.asarray(SIGNATURES[name])
        assert np.all(mean[signature == 0] == 0)
        assert np.array_equal(np.sign(mean), np.sign(signature))
        np.testing.assert_allclose(mean / np.abs(mean).max(), signature, atol=0.2)


def test_precursors_grow_before_full_effect_and_are_not_labelled(fleet):
    for node in fleet[:20]:
        for incident in node.incidents:
            early, full = slice(incident.early, incident.start), slice(incident.start, incident.end)
            assert np.all(node.phase[early] == 1)
            assert np.all(node.kind[early] == 0)
            assert np.all(node.phase[full] == 2)
            size = np.abs(node.shift).max(axis=1)
            assert np.all(np.diff(size[early]) > 0)
            assert np.all(size[early] < size[incident.start])


def test_lookalikes_are_as_common_as_asked_and_never_touch_an_incident(fleet):
    lookalike, phase = joined(fleet, "lookalike"), joined(fleet, "phase")
    assert not np.any((lookalike > 0) & (phase > 0))
    for number, (_, mean_steps, _) in enumerate(LOOKALIKES.values(), start=1):
        expected = 1.5 * (mean_steps + 1) / A_DAY
        assert np.mean(lookalike == number) == pytest.approx(expected, rel=0.35)


def test_a_lookalike_moves_at_least_three_signals_as_an_incident_does():
    for signature, _, _ in LOOKALIKES.values():
        moved = np.abs(signature) > 0.2
        assert moved.sum() >= 3
        alike = [np.dot(signature, s) / np.linalg.norm(s) for s in SIGNATURES.values()]
        assert max(alike) / np.linalg.norm(signature) > 0.9


def test_noise_has_unit_deviation_heavy_tails_and_memory(fleet):
    quiet = [node.z[(node.phase == 0) & (node.lookalike == 0)] for node in fleet]
    noise = np.concatenate([z - np.median(z, axis=0) for z in quiet])
    assert noise.std() == pytest.approx(1, abs=0.1)
    assert np.mean(np.abs(noise) > 4) > 10 * 6.3e-5  # a Gaussian's share
    series = fleet[0].z[:, 0] - fleet[0].shift[:, 0]
    assert np.corrcoef(series[1:], series[:-1])[0, 1] > 0.7


def test_delay_is_added_by_events_alone(fleet):
    node = fleet[0]
    calm = (node.phase == 0) & (node.lookalike == 0)
    assert np.all(node.delay[calm] == 0)
    assert np.all(node.delay >= 0)
    network = joined(fleet, "kind") == 1 + TYPES.index("network_failure")
    assert np.median(joined(fleet, "delay")[network]) > 3


def test_evidence_is_the_density_ratio_and_separates(fleet):
    evidence, kind = joined(fleet, "evidence"), joined(fleet, "kind")
    phase = joined(fleet, "phase")
    assert np.mean(evidence[kind > 0] > np.quantile(evidence[phase == 0], 0.95)) > 0.99
    quiet = np.zeros((1, len(SIGNALS)))
    crash = np.asarray(SIGNATURES["crash"])[None] * PARAMS.shift_sd
    calm, loud = (log_evidence(z, A_DAY, PARAMS)[0] for z in (quiet, crash))
    assert calm < -5
    assert loud > 5


def test_labels_and_the_incident_list_of_a_node_say_the_same():
    params = SimulateParams(nodes=4, steps=3000)
    node = build_fleet(load_schema(), 4, 42)[1]
    epoch = np.arange(3000) * 60
    made = simulate_node(node, epoch, params, seed=42)
    listed = np.zeros(3000, bool)
    for incident in made.health.incidents:
        listed[incident.start : incident.end] = True
    assert np.array_equal(np.asarray(made.telemetry["is_anomaly"]) == 1, listed)
