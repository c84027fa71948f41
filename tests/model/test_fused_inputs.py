"""The graphs' short ways to the networks' inputs give what the networks were trained on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dwcp_ml.models import bandwidth_fused as fused
from dwcp_ml.models import bandwidth_network as bandwidth
from dwcp_ml.models import compression_network as compression
from dwcp_ml.models.kind_steps import kinds_from_steps

WINDOW, SMOOTHING = 10, 0.6
MEAN, DEVIATION = np.linspace(-1, 3, compression.PLAIN), np.linspace(0.5, 2, compression.PLAIN)
MEASUREMENTS = st.floats(0, 1e9, width=32) | st.just(0.0)
CODES = st.integers(-1, 5)


@st.composite
def windows(draw):
    rows = draw(arrays(np.float32, (3, WINDOW, fused.WIDTH), elements=MEASUREMENTS))
    for column in (fused.LINK, fused.TIER):
        rows[:, :, column] = draw(arrays(np.int64, (3, WINDOW), elements=CODES))
    return rows


@st.composite
def probes(draw):
    rows = draw(arrays(np.float32, (5, len(compression.FEATURES)), elements=MEASUREMENTS))
    rows[:, compression.LINK] = draw(arrays(np.int64, 5, elements=CODES))
    return rows


def forecasting(network):
    """Both ways through a small network whose last layer, zero at the start, answers."""
    rng = np.random.default_rng(0)
    whole = bandwidth.build((WINDOW, bandwidth.CONTEXT), 0.2, (8, 6), 5)
    whole.set_weights([rng.normal(0, 0.3, w.shape) for w in whole.get_weights()])
    return network.decision(whole, SMOOTHING)


@settings(deadline=None)
@given(windows())
def test_bandwidth_inputs_are_those_of_the_training(rows):
    trained, _ = bandwidth.prepare(rows, SMOOTHING)
    served = np.asarray(fused.context(fused.logarithms(rows), WINDOW, SMOOTHING))
    np.testing.assert_allclose(served, trained, rtol=1e-5, atol=1e-4)
    kinds = slice(fused.MEASURED, None)
    np.testing.assert_array_equal(served[..., kinds], np.asarray(trained)[..., kinds])


def test_bandwidth_answers_are_those_of_the_training():
    rng = np.random.default_rng(1)
    rows = rng.lognormal(3, 2, (5000, WINDOW, fused.WIDTH)).astype(np.float32)
    rows[..., fused.LINK] = rng.integers(0, 4, (5000, WINDOW))
    rows[..., fused.TIER] = rng.integers(1, 4, (5000, WINDOW))
    trained, served = forecasting(bandwidth)(rows), forecasting(fused)(rows)
    for name in ("forecast", "next_throughput_mbps"):
        np.testing.assert_allclose(served[name], trained[name], rtol=1e-4)
    np.testing.assert_array_equal(served["bandwidth_class"], trained["bandwidth_class"])
    assert set(np.asarray(served["bandwidth_class"]).tolist()) == {0, 1, 2}


@settings(deadline=None)
@given(probes())
def test_compression_inputs_are_those_of_the_training(rows):
    trained = np.asarray(compression.prepare(rows, MEAN, DEVIATION))
    served = np.asarray(compression.prepare_fused(rows, MEAN, DEVIATION))
    np.testing.assert_allclose(served, trained, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("code", "kind"), [(0.4, 0), (1.9, 1), (2.7, 2), (-7, 0), (9, 3), (1e6, 3)]
)
def test_a_code_between_or_beyond_the_known_ones_counts_alike_on_both_ways(code, kind):
    window = np.ones((1, WINDOW, fused.WIDTH), np.float32)
    window[..., fused.LINK] = code
    probe = np.ones((1, len(compression.FEATURES)), np.float32)
    probe[:, compression.LINK] = code
    for inputs in (
        bandwidth.prepare(window, SMOOTHING)[0][0, 0],
        fused.context(fused.logarithms(window), WINDOW, SMOOTHING)[0, 0],
        compression.prepare(probe, MEAN, DEVIATION)[0],
        compression.prepare_fused(probe, MEAN, DEVIATION)[0],
    ):
        np.testing.assert_array_equal(inputs[-4:], np.eye(4)[kind])


@pytest.mark.parametrize("kinds", [2, 4, 7])
def test_steps_become_exact_indicators(kinds):
    for kind in range(kinds):
        steps = np.where(np.arange(kinds) <= kind, 8.0, -8.0)
        both = np.append([3.5, -1.25], steps) @ kinds_from_steps(2, kinds, 8.0)
        np.testing.assert_array_equal(both, [3.5, -1.25, *np.eye(kinds)[kind]])
