"""Variants are parameters: each fits, exports with parity and says what it reads."""

import numpy as np
import pytest

from dwcp_ml.errors import TrainingError
from dwcp_ml.export.canonical import canonical
from dwcp_ml.export.parity import check_parity
from dwcp_ml.export.session import open_session
from dwcp_ml.export.signature import check_signature
from dwcp_ml.models import consensus_latency, node_reliability
from dwcp_ml.models.base import Examples, resolved
from dwcp_ml.models.consensus_context import CONTEXT
from dwcp_ml.models.consensus_features import LATENCY
from dwcp_ml.models.consensus_params import ConsensusLatencyParams
from dwcp_ml.models.node_estimators import fit_both
from dwcp_ml.models.node_features import FEATURES, LABEL
from dwcp_ml.models.node_history import summary
from dwcp_ml.models.node_reliability import Fitted, NodeReliabilityParams
from dwcp_ml.params import SimulateParams
from dwcp_ml.telemetry.dataset import INCIDENTS, Part
from dwcp_ml.telemetry.simulator import simulate

ROLLING = NodeReliabilityParams(
    history_steps=12, train_rows=8000, validation_rows=6000, boosting_iterations=40
)
SMALL = {"baseline_steps": 60, "lstm_units": (8, 4), "epochs": 1, "holdout": 0.0}
CONSENSUS = {
    "own_spread": ConsensusLatencyParams(**SMALL, spread_floor=0.05),
    "wide_window": ConsensusLatencyParams(**SMALL, window=30),
    "attention": ConsensusLatencyParams(**SMALL, attention=True),
    "context_attention": ConsensusLatencyParams(**SMALL, window=30, context=True, attention=True),
}


class Silent:
    def epoch(self, number, of, figures):
        pass


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    made = {}
    for role, seed in (("train", 42), ("validation", 43), ("test", 44)):
        raw = tmp_path_factory.mktemp(role) / "raw"
        simulate(SimulateParams(nodes=12, steps=1200), raw, seed=seed)
        made[role] = Part(raw / "telemetry", raw / "truth", raw / INCIDENTS, 60, role)
    return made


def exported(model, fitted, params):
    graph = canonical(model.graph(fitted))
    check_signature(graph, resolved(model.inputs, params), model.outputs)
    return open_session(graph.SerializeToString())


# --- rolling windows of node health ---


@pytest.fixture(scope="module")
def rolling(parts):
    return {role: node_reliability.MODEL.examples(part, ROLLING) for role, part in parts.items()}


def test_a_rolling_detector_answers_alike_in_scikit_learn_and_onnx(rolling, tmp_path):
    model = node_reliability.MODEL
    fitted = model.fit(rolling["train"], rolling["validation"], ROLLING, Silent())
    session = exported(model, fitted, ROLLING)
    features = rolling["test"].features[:3000]
    assert features.shape[1:] == (12, len(FEATURES))
    check_parity(session, lambda x: model.predict(fitted, x), features)
    model.save(fitted, tmp_path)
    again = model.predict(model.load(tmp_path), features)
    for output, values in model.predict(fitted, features).items():
        np.testing.assert_array_equal(values, again[output])
    assert model.facts(fitted)["history_steps"] == 12


@pytest.mark.parametrize("kind", ["isolation_forest", "gradient_boosting"])
def test_either_estimator_reads_history_inside_the_graph(rolling, kind):
    estimators, _ = fit_both(rolling["train"], rolling["validation"], ROLLING)
    either = Fitted(kind, estimators[kind], 0.5, 97.5, {}, 12)
    session = exported(node_reliability.MODEL, either, ROLLING)
    features = rolling["test"].features[:500]
    check_parity(session, lambda x: node_reliability.MODEL.predict(either, x), features)


def test_the_summary_holds_newest_mean_deviation_and_rise():
    history = np.random.default_rng(0).normal(100, 3, (50, 12, 2)).astype(np.float32)
    newest, mean = history[:, -1], history.mean(axis=1)
    expected = np.concatenate([newest, mean, history.std(axis=1), newest - mean], axis=1)
    np.testing.assert_allclose(summary(history), expected, rtol=1e-4, atol=1e-4)
    assert summary(history[:, -1]) is not None
    np.testing.assert_array_equal(summary(history[:, -1]), history[:, -1])


def test_the_newest_step_of_a_history_is_the_row_of_the_default(parts, rolling):
    alone = node_reliability.MODEL.examples(
        parts["test"], ROLLING.model_copy(update={"history_steps": 0})
    )
    where = {(g, t): i for i, (g, t) in enumerate(zip(alone.group, alone.time_s, strict=True))}
    test = rolling["test"]
    rows = [where[key] for key in zip(test.group[::97], test.time_s[::97], strict=True)]
    np.testing.assert_array_equal(test.features[::97, -1], alone.features[rows])
    np.testing.assert_array_equal(test.targets[LABEL][::97], alone.targets[LABEL][rows])


def test_without_history_the_input_has_no_axis_of_steps():
    plain = NodeReliabilityParams()
    assert resolved(node_reliability.MODEL.inputs, plain)[0].shape == (None, len(FEATURES))
    assert resolved(node_reliability.MODEL.inputs, ROLLING)[0].shape == (None, 12, len(FEATURES))


def test_rows_that_nobody_labelled_teach_the_forest_alone(rolling):
    train, validation = rolling["train"], rolling["validation"]
    half = np.arange(len(train)) % 2 == 0
    label = np.where(half, train.targets[LABEL], -1)
    mixed = Examples(train.features, {LABEL: label}, train.group, train.time_s)
    known = fit_both(train.take(half), validation, ROLLING)[0]["gradient_boosting"]
    found = fit_both(mixed, validation, ROLLING)[0]
    rows = summary(validation.features)
    np.testing.assert_array_equal(
        known.predict_proba(rows), found["gradient_boosting"].predict_proba(rows)
    )
    assert found["isolation_forest"].n_features_in_ == 4 * len(FEATURES)


# --- the consensus network ---


@pytest.mark.parametrize("name", list(CONSENSUS))
def test_a_consensus_variant_answers_alike_in_tensorflow_and_onnx(parts, name, tmp_path):
    model, params = consensus_latency.MODEL, CONSENSUS[name]
    found = {role: model.examples(parts[role], params) for role in ("train", "validation")}
    calm = {role: e.take(slice(0, 600)) for role, e in found.items()}
    fitted = model.fit(calm["train"], calm["validation"], params, Silent())
    session = exported(model, fitted, params)
    features = found["validation"].features[-200:]
    assert features.shape[1:] == (60 + params.window, 12 if params.context else 1)
    check_parity(session, lambda x: model.predict(fitted, x), features)
    check_parity(session, lambda x: model.predict(fitted, x), features[:, -params.window :])
    model.save(fitted, tmp_path)
    for output, values in model.predict(model.load(tmp_path), features).items():
        np.testing.assert_array_equal(values, model.predict(fitted, features)[output])


def test_context_columns_join_the_input_and_the_window_bounds_its_steps():
    (plain,) = resolved(consensus_latency.MODEL.inputs, ConsensusLatencyParams())
    (wide,) = resolved(consensus_latency.MODEL.inputs, CONSENSUS["context_attention"])
    assert (plain.shape, plain.features, plain.least) == (
        (None, "steps", 1),
        (LATENCY,),
        {"steps": 20},
    )
    assert (wide.shape, wide.features, wide.least) == (
        (None, "steps", 12),
        (LATENCY, *CONTEXT),
        {"steps": 30},
    )


def test_by_its_own_spread_a_noisy_cluster_scores_no_higher_than_a_quiet_one():
    from dwcp_ml.models.consensus_network import View, prepare

    noise = np.random.default_rng(0).standard_normal((200, 120, 1)).astype(np.float32)
    quiet, noisy = (30 * np.exp(sd * noise) for sd in (0.06, 0.24))
    plain = [np.std(prepare(x, View())) for x in (quiet, noisy)]
    own = [np.std(prepare(x, View(spread_floor=0.05))) for x in (quiet, noisy)]
    assert plain[1] > 3 * plain[0]
    assert own[1] == pytest.approx(own[0], rel=0.1)


def test_too_short_histories_name_the_steps_of_the_variant():
    empty = Examples(np.empty((0, 90, 1), np.float32), {}, np.empty(0, str), np.empty(0, np.int64))
    with pytest.raises(TrainingError, match="90 steps"):
        consensus_latency.MODEL.fit(empty, empty, CONSENSUS["wide_window"], Silent())
