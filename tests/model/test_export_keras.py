"""Networks of the real size through TensorFlow, ONNX and ONNX Runtime."""

import json
import os
import subprocess
import sys

import export_digests
import numpy as np
import pytest

from dwcp_ml.errors import ExportError
from dwcp_ml.export import quiet
from dwcp_ml.export.canonical import canonical
from dwcp_ml.export.keras_graph import Serving, from_tensorflow, save_saved_model
from dwcp_ml.export.parity import check_parity
from dwcp_ml.export.session import open_session, row_latency, score
from dwcp_ml.export.tensorflow_ops import trailing_median

RNG = np.random.default_rng(7)
CONSENSUS = {"features": (None, "steps", 1)}


def natively(function):
    tf = quiet.tensorflow()
    return lambda rows: {k: v.numpy() for k, v in function(tf.constant(rows)).items()}


@pytest.fixture(scope="module")
def bandwidth():
    keras, tf = quiet.keras(42), quiet.tensorflow()
    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input((10, 7)),
            layers.LSTM(64, return_sequences=True),
            layers.Dropout(0.2),
            layers.LSTM(32),
            layers.Dropout(0.2),
            layers.Dense(16, activation="relu"),
            layers.Dense(4),
        ]
    )
    mean, deviation = np.full(7, 50, np.float32), np.full(7, 30, np.float32)

    def decide(features):
        base = tf.math.log(tf.maximum(features[:, -1, :4], 1e-3))
        forecast = tf.exp(base + network((features - mean) / deviation, training=False))
        return {
            "next_throughput_mbps": forecast[:, 0],
            "forecast": forecast,
            "bandwidth_class": tf.cast(forecast[:, 0] < 50, tf.int64),
        }

    return network, decide


@pytest.fixture(scope="module")
def consensus():
    keras, tf = quiet.keras(42), quiet.tensorflow()
    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input((20, 1)),
            layers.LSTM(64, return_sequences=True),
            layers.LSTM(32),
            layers.RepeatVector(20),
            layers.LSTM(32, return_sequences=True),
            layers.LSTM(64, return_sequences=True),
            layers.Dense(1),
        ]
    )

    def decide(features):
        latency = tf.squeeze(features, 2)
        baseline = trailing_median(latency, window=20, least=20)
        relative = tf.math.log(latency[:, -20:] / tf.expand_dims(baseline, 1))
        window = tf.ensure_shape(relative, (None, 20))
        rebuilt = tf.squeeze(network(tf.expand_dims(window, 2), training=False), 2)
        error = tf.reduce_mean((window - rebuilt) ** 2, 1)
        return {"reconstruction_error": error, "is_high_latency": tf.cast(error > 0.02, tf.int64)}

    return decide


@pytest.fixture(scope="module")
def bandwidth_graph(bandwidth):
    return canonical(from_tensorflow(bandwidth[1], {"features": (None, 10, 7)}))


@pytest.fixture(scope="module")
def consensus_graph(consensus):
    return canonical(from_tensorflow(consensus, CONSENSUS))


def test_lstm_stays_one_operator_a_layer_and_axes_and_outputs_keep_their_names(bandwidth_graph):
    operators = [node.op_type for node in bandwidth_graph.graph.node]
    assert operators.count("LSTM") == 2
    assert not {"Loop", "Scan", "If"} & set(operators)
    graph = bandwidth_graph.graph
    assert [o.name for o in graph.output] == ["next_throughput_mbps", "forecast", "bandwidth_class"]
    for value in (*graph.input, *graph.output):
        assert value.type.tensor_type.shape.dim[0].dim_param == "batch"


def test_bandwidth_network_answers_as_keras_at_batch_one_and_many(bandwidth, bandwidth_graph):
    rows = RNG.lognormal(4, 0.3, (300, 10, 7)).astype(np.float32)
    session = open_session(bandwidth_graph.SerializeToString())
    parity = check_parity(session, natively(bandwidth[1]), rows)
    assert parity.rows == 300
    assert parity.boundary_labels == {"bandwidth_class": 0}


@pytest.mark.parametrize("steps", [20, 21, 39, 40, 41, 120, 919, 920])
def test_consensus_network_answers_as_keras_for_any_number_of_steps(
    consensus, consensus_graph, steps
):
    rows = RNG.lognormal(3, 0.2, (9, steps, 1)).astype(np.float32)
    session = open_session(consensus_graph.SerializeToString())
    check_parity(session, natively(consensus), rows)


@pytest.mark.parametrize("steps", [20, 21, 40, 41, 42, 920, 921])
def test_trailing_median_equals_numpy(steps):
    tf = quiet.tensorflow()

    def medians(features):
        latency = tf.squeeze(features, 2)
        return {"median": trailing_median(latency, window=20, least=20)}

    session = open_session(from_tensorflow(medians, CONSENSUS).SerializeToString())
    rows = RNG.lognormal(3, 0.5, (5, steps, 1)).astype(np.float32)
    got = score(session, rows)
    history = rows[:, : max(steps - 20, 20), 0]
    np.testing.assert_allclose(got["median"], np.median(history, axis=1), rtol=1e-6)


def test_dense_softmax_answers_as_keras():
    keras, tf = quiet.keras(42), quiet.tensorflow()
    layers = keras.layers
    network = keras.Sequential([keras.Input((6,))])
    for width in (64, 32, 16):
        network.add(layers.Dense(width, activation="relu"))
        network.add(layers.Dropout(0.3))
    network.add(layers.Dense(10))

    def decide(features):
        logits = network(tf.math.log(tf.maximum(features, 1e-3)), training=False)
        level = tf.argmax(logits, 1, output_type=tf.int64)
        return {"compression_level": level, "probabilities": tf.nn.softmax(logits)}

    model = canonical(from_tensorflow(decide, {"features": (None, 6)}))
    rows = RNG.lognormal(1, 2, (500, 6)).astype(np.float32)
    session = open_session(model.SerializeToString())
    assert check_parity(session, natively(decide), rows).rows == 500
    assert row_latency(session, rows, runs=200).p50_ms < 1


def test_single_rows_are_fast(bandwidth_graph, consensus_graph):
    """Loose bounds that a busy machine keeps; a loop in place of the fused operator does not."""
    for model, shape in ((bandwidth_graph, (4, 10, 7)), (consensus_graph, (4, 920, 1))):
        rows = RNG.lognormal(3, 0.1, shape).astype(np.float32)
        latency = row_latency(open_session(model.SerializeToString()), rows, runs=300)
        assert latency.p50_ms < 1


def test_a_recurrent_layer_that_becomes_a_loop_is_refused():
    keras = quiet.keras(42)
    network = keras.Sequential([keras.Input((10, 7)), keras.layers.GRU(8)])
    with pytest.raises(ExportError, match="not fused"):
        from_tensorflow(lambda features: {"y": network(features)}, {"features": (None, 10, 7)})


def test_statistics_that_become_inputs_are_refused():
    keras = quiet.keras(42)
    normalise = keras.layers.Normalization()
    normalise.adapt(RNG.normal(size=(100, 6)).astype(np.float32))
    with pytest.raises(ExportError, match="inputs that nobody asked for"):
        from_tensorflow(lambda features: {"y": normalise(features)}, {"features": (None, 6)})


def test_an_output_with_another_dynamic_axis_is_refused():
    with pytest.raises(ExportError, match="fixed sizes"):
        from_tensorflow(lambda features: {"y": features * 2.0}, CONSENSUS)


def test_saved_model_answers_as_the_function(bandwidth, tmp_path):
    network, decide = bandwidth
    tf = quiet.tensorflow()
    serving = Serving(decide, {"features": (None, 10, 7)}, network)
    save_saved_model(serving, tmp_path / "saved_model")
    served = tf.saved_model.load(str(tmp_path / "saved_model")).signatures["serving_default"]
    rows = RNG.lognormal(4, 0.3, (5, 10, 7)).astype(np.float32)
    answer, expected = served(features=tf.constant(rows)), natively(decide)(rows)
    assert set(answer) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(answer[name].numpy(), value, rtol=1e-6)


def test_tensorflow_is_silent(capfd):
    quiet.keras(42)
    from_tensorflow(lambda features: {"y": features[:, 0] + 1.0}, {"features": (None, 2)})
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err == ""


def test_two_processes_write_identical_bytes():
    done = subprocess.run(
        [sys.executable, export_digests.__file__, "3"],
        env={**os.environ, "PYTHONHASHSEED": "3"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert json.loads(done.stdout) == export_digests.digests(0)
