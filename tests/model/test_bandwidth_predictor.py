"""The bandwidth predictor: examples that do not leak, a model that uses what it should."""

import numpy as np
import pytest
from fleet import Quiet, fleet_parts

from dwcp_ml.export.canonical import canonical, canonical_bytes
from dwcp_ml.export.session import open_session, score
from dwcp_ml.models.bandwidth_network import (
    FEATURES,
    fit_smoothing,
    prepare,
    reference_table,
    smoothing_weights,
)
from dwcp_ml.models.bandwidth_predictor import MODEL, BandwidthParams
from dwcp_ml.models.bandwidth_rivals import answer, classify, ewma
from dwcp_ml.models.base import resolved
from dwcp_ml.telemetry.windows import read_columns

PARAMS = BandwidthParams(train_windows=12_000, validation_windows=3_000, epochs=4)
RATE, RTT, JITTER, LOSS = (
    FEATURES.index(f"{n}") for n in ("throughput_mbps", "rtt_ms", "jitter_ms", "packet_loss")
)


@pytest.fixture(scope="module")
def examples():
    return {role: MODEL.examples(part, PARAMS) for role, part in fleet_parts().items()}


@pytest.fixture(scope="module")
def fitted(examples):
    return MODEL.fit(examples["train"], examples["validation"], PARAMS, Quiet())


def figure(name, examples, outputs):
    metric = next(m for m in MODEL.metrics if m.name == name)
    return metric.compute(examples, outputs, np.ones(len(examples)))


def test_target_is_the_step_after_the_window_of_the_same_link(examples):
    part = fleet_parts()["test"]
    raw = read_columns(part.telemetry, ("node_id", "timestamp", "throughput_mbps"))
    test = examples["test"]
    by_time = {
        (n, t): v
        for n, t, v in zip(
            raw.text("node_id", np.arange(len(raw))),
            raw["timestamp"],
            raw["throughput_mbps"],
            strict=True,
        )
    }
    nodes = np.unique(raw.text("node_id", np.arange(len(raw))))
    for i in np.linspace(0, len(test) - 1, 50).astype(int):
        node = nodes[test.group[i]]
        newest = by_time[node, test.time_s[i]]
        after = by_time[node, test.time_s[i] + part.step_s]
        assert newest == test.features[i, -1, RATE]
        assert after == pytest.approx(test.targets["forecast"][i, 0])


def test_parts_share_no_moment(examples):
    spans = [(e.time_s.min(), e.time_s.max()) for e in examples.values()]
    assert spans[0][1] < spans[1][0] < spans[1][1] < spans[2][0]


def test_model_beats_persistence_and_stays_below_the_ceiling(examples, fitted):
    test = examples["test"]
    rivals = MODEL.baselines(examples["train"], examples["validation"], PARAMS)
    model = figure("wape_pct", test, MODEL.predict(fitted, test.features))
    persistence = figure("wape_pct", test, rivals["persistence"](test))
    ceiling = figure("wape_pct", test, MODEL.ceiling(test))
    assert ceiling < model < 0.92 * persistence


def test_shuffled_targets_leave_no_more_than_the_filter_the_network_starts_from(examples):
    rng = np.random.default_rng(0)
    shuffled = {}
    for role in ("train", "validation"):
        e = examples[role].take(np.arange(0, len(examples[role]), 3))
        # Shuffle what follows, relative to the newest value, so that only the relation is lost.
        ratio = e.targets["forecast"] / np.maximum(
            e.features[:, -1][:, [RATE, RTT, LOSS, JITTER]], 1e-5
        )
        newest = e.features[:, -1][:, [RATE, RTT, LOSS, JITTER]]
        e.targets["forecast"][:] = newest * ratio[rng.permutation(len(e))]
        shuffled[role] = e
    params = PARAMS.model_copy(update={"epochs": 2})
    blind = MODEL.fit(shuffled["train"], shuffled["validation"], params, Quiet())
    test = examples["test"]
    model = figure("wape_pct", test, MODEL.predict(blind, test.features))
    weights = smoothing_weights(PARAMS.window, blind.smoothing)
    smooth = np.exp(np.log(test.features[:, :, RATE]) @ weights)
    assert model > 0.97 * figure("wape_pct", test, answer(test, smooth, None))


def test_announced_drop_lowers_the_forecast(examples, fitted):
    calm = examples["test"].take(
        np.flatnonzero(examples["test"].truth["announced_depth"] == 0)[:200]
    )
    warned = calm.features.copy()
    warned[:, -1, RTT] *= 1.6
    warned[:, -1, JITTER] *= 6
    before = MODEL.predict(fitted, calm.features)["next_throughput_mbps"]
    after = MODEL.predict(fitted, warned)["next_throughput_mbps"]
    assert np.mean(after < before) > 0.9


def test_links_do_not_influence_each_other(examples, fitted):
    some = examples["test"].features[:64]
    together = MODEL.predict(fitted, some)["forecast"]
    reversed_ = MODEL.predict(fitted, some[::-1].copy())["forecast"][::-1]
    np.testing.assert_allclose(together, reversed_, rtol=1e-5)


def test_graph_answers_as_the_network_and_twice_the_same_bytes(examples, fitted):
    first, second = canonical_bytes(MODEL.graph(fitted)), canonical_bytes(MODEL.graph(fitted))
    assert first == second
    some = examples["test"].features[:300]
    native, graph = MODEL.predict(fitted, some), score(open_session(first), some)
    np.testing.assert_allclose(graph["forecast"], native["forecast"], rtol=1e-4)
    np.testing.assert_array_equal(graph["bandwidth_class"], native["bandwidth_class"])


def test_graph_is_two_recurrent_operators_and_little_else(fitted):
    graph = canonical(MODEL.graph(fitted)).graph
    operators = [node.op_type for node in graph.node]
    assert operators.count("LSTM") == 2
    assert operators.count("Transpose") == 1
    assert len(operators) <= 28


def test_graph_answers_the_case_that_dwcp_itself_checks(fitted):
    step = np.array([10.5, 2.3, 150.0, 0.01, 1, 2, 65536], np.float32)
    session = open_session(canonical_bytes(MODEL.graph(fitted)))
    answer = score(session, np.tile(step, (1, PARAMS.window, 1)).astype(np.float32))
    assert 0 <= answer["next_throughput_mbps"][0] <= 1000


def test_saved_model_answers_as_before(tmp_path, examples, fitted):
    MODEL.save(fitted, tmp_path)
    some = examples["test"].features[:50]
    again = MODEL.predict(MODEL.load(tmp_path), some)
    np.testing.assert_array_equal(again["forecast"], MODEL.predict(fitted, some)["forecast"])
    assert not list(tmp_path.rglob("*.pkl"))


@pytest.fixture(scope="module")
def varied():
    """With attention, a longer window and the time of day: every flag of the variants at once."""
    params = PARAMS.model_copy(
        update={"window": 30, "attention": True, "daily_phase": True, "epochs": 1}
    )
    parts = {role: MODEL.examples(part, params) for role, part in fleet_parts().items()}
    return parts, MODEL.fit(parts["train"], parts["validation"], params, Quiet()), params


def test_variants_reach_the_graph_with_the_inputs_that_they_declare(tmp_path, varied):
    parts, fitted, params = varied
    MODEL.save(fitted, tmp_path)
    some = parts["test"].features[:200]
    native = MODEL.predict(MODEL.load(tmp_path), some)
    graph = score(open_session(canonical_bytes(MODEL.graph(fitted))), some)
    np.testing.assert_allclose(graph["forecast"], native["forecast"], rtol=1e-4)
    (declared,) = resolved(MODEL.inputs, params)
    assert declared.shape == (None, *some.shape[1:]) == (None, 30, 8)
    assert declared.features == (*FEATURES, "time_of_day")


def test_the_time_of_day_is_that_of_the_row(varied):
    parts, _, _ = varied
    test = parts["test"]
    np.testing.assert_allclose(test.features[:, -1, -1], test.time_s % 86400 / 3600, atol=0.01)


def test_an_ensemble_answers_the_mean_log_forecast_of_its_members(tmp_path, examples):
    params = PARAMS.model_copy(update={"epochs": 2, "ensemble": 2})
    train, validation = (examples[role].take(slice(0, 3000)) for role in ("train", "validation"))
    MODEL.save(MODEL.fit(train, validation, params, Quiet()), tmp_path)
    members = [
        MODEL.fit(train, validation, params.model_copy(update={"ensemble": 1, "seed": s}), Quiet())
        for s in (42, 43)
    ]
    some = examples["test"].features[:300]
    logs = [np.log(MODEL.predict(one, some)["forecast"]) for one in members]
    assert np.abs(logs[0] - logs[1]).max() > 1e-3
    whole = MODEL.load(tmp_path)
    graph = score(open_session(canonical_bytes(MODEL.graph(whole))), some)
    for found in (MODEL.predict(whole, some), graph):
        np.testing.assert_allclose(found["forecast"], np.exp(np.mean(logs, axis=0)), rtol=1e-4)


def test_smoothing_follows_the_noise():
    rng = np.random.default_rng(0)
    walk = np.exp(np.cumsum(rng.normal(0, 0.05, (400, 11)), axis=1))
    noisy = np.exp(rng.normal(0, 0.2, (400, 11)))
    assert fit_smoothing(walk[:, :10], walk[:, 10]) == 1.0
    assert fit_smoothing(noisy[:, :10], noisy[:, 10]) == 0.3


def test_inputs_are_finite_for_zero_and_huge_measurements():
    zeros = np.zeros((1, 10, len(FEATURES)), np.float32)
    huge = np.full((1, 10, len(FEATURES)), 1e9, np.float32)
    for window in (zeros, huge):
        assert np.isfinite(np.asarray(prepare(window, 0.6)[0])).all()


def test_ewma_of_a_constant_is_the_constant():
    np.testing.assert_allclose(ewma(np.full((3, 10), 40.0), 0.3), 40.0, rtol=1e-6)


@pytest.mark.parametrize(("share", "expected"), [(0.51, 0), (0.49, 1), (0.31, 1), (0.29, 2)])
def test_class_follows_the_share_of_the_reference(share, expected):
    for link in range(4):
        for tier in (1, 2, 3):
            rate = np.array([share * reference_table()[link, tier - 1]])
            assert classify(rate, np.array([link]), np.array([tier])) == [expected]
