"""The consensus detector: its windows, its behaviour, its honesty."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dwcp_ml import metrics as m
from dwcp_ml.errors import TrainingError
from dwcp_ml.export.canonical import canonical
from dwcp_ml.export.parity import check_parity
from dwcp_ml.export.session import open_session, score
from dwcp_ml.export.signature import check_signature
from dwcp_ml.models.base import Examples, resolved
from dwcp_ml.models.consensus_features import LATENCY, WINDOW, consensus_examples, is_held_out
from dwcp_ml.models.consensus_latency import MODEL, ConsensusLatencyParams
from dwcp_ml.models.consensus_metrics import delays
from dwcp_ml.models.consensus_rivals import best_order, log_ratio, order_statistic
from dwcp_ml.params import SimulateParams
from dwcp_ml.telemetry import blocks
from dwcp_ml.telemetry.dataset import INCIDENTS, Part
from dwcp_ml.telemetry.simulator import simulate

BASELINE, NODES = 700, 24
PARAMS = ConsensusLatencyParams(
    baseline_steps=BASELINE, train_stride=12, validation_stride=6, test_stride=6, fresh_stride=12
)
SMALL = ConsensusLatencyParams(baseline_steps=60, train_stride=1, epochs=1, lstm_units=(8, 4))
SEEDS = {"train": 42, "validation": 43, "test": 44}


class Silent:
    def epoch(self, number, of, figures):
        pass


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    made = {}
    for role, seed in SEEDS.items():
        raw = tmp_path_factory.mktemp(role) / "raw"
        simulate(SimulateParams(nodes=NODES, steps=2400), raw, seed=seed)
        made[role] = Part(raw / "telemetry", raw / "truth", raw / INCIDENTS, 60, role)
    return {**made, "fresh": replace(made["test"], role="fresh")}


@pytest.fixture(scope="module")
def examples(parts):
    return {role: MODEL.examples(part, PARAMS) for role, part in parts.items()}


@pytest.fixture(scope="module")
def fitted(examples):
    return MODEL.fit(examples["train"], examples["validation"], PARAMS, Silent())


@pytest.fixture(scope="module")
def session(fitted):
    graph = canonical(MODEL.graph(fitted))
    check_signature(graph, resolved(MODEL.inputs, PARAMS), MODEL.outputs)
    return open_session(graph.SerializeToString())


def figure(name, examples, outputs):
    (metric,) = (x for x in MODEL.metrics if x.name == name)
    return metric.compute(examples, outputs, np.ones(len(examples)))


def write_part(folder, latency, *, time_s=None, cluster=None, peer=None, label=None, role="fresh"):
    """A part of one node from plain lists."""
    rows = len(latency)
    seconds = np.arange(rows) * 60 if time_s is None else np.asarray(time_s)
    columns = {
        "timestamp": pa.array(seconds * 10**6, pa.timestamp("us", tz="UTC")),
        "node_id": ["n"] * rows,
        "peer_id": peer or ["p"] * rows,
        "cluster_id": cluster or ["c"] * rows,
        "link_type": ["wan"] * rows,
        "region": ["r"] * rows,
        LATENCY: pa.array(latency, pa.float32()),
    }
    if label is not None:
        columns["is_high_latency"] = pa.array(label, pa.int8())
    path = folder / f"{role}.parquet"
    pq.write_table(pa.table(columns), path)
    return Part(path, None, None, 60, role)


def history(rng, rows=1, steps=BASELINE + WINDOW, level=20.0, sd=0.06):
    """Quiet latencies, (rows, steps, 1) ms."""
    return (level * np.exp(sd * rng.standard_normal((rows, steps, 1)))).astype(np.float32)


# --- windows ---


def test_clusters_of_the_test_are_never_trained_or_validated_on(examples):
    seen = set(examples["train"].group) | set(examples["validation"].group)
    held = set(examples["test"].group)
    assert not seen & held
    assert len(held) >= NODES / 3
    assert all(is_held_out(c, PARAMS.holdout) for c in held)
    assert len(set(examples["fresh"].group)) == NODES


def test_at_least_sixty_of_the_120_clusters_are_held_out_by_default():
    assert (
        sum(is_held_out(f"group-{i:04d}", ConsensusLatencyParams().holdout) for i in range(120))
        >= 60
    )


def test_a_part_without_clusters_of_its_side_uses_all_it_has(tmp_path):
    name = next(f"c{i}" for i in range(99) if not is_held_out(f"c{i}", 0.5))
    part = write_part(tmp_path, np.arange(1.0, 61), cluster=[name] * 60, role="test")
    assert len(consensus_examples(part, 30, 1, 0.5, 1000)) == 11


def test_no_window_crosses_a_gap_a_missing_value_or_a_change_of_cluster(tmp_path):
    latency = np.arange(1.0, 301)
    latency[250] = np.nan
    time_s = np.arange(300) * 60 + np.where(np.arange(300) >= 80, 60, 0)  # one step lost at 80
    cluster = ["a"] * 150 + ["b"] * 150
    found = consensus_examples(
        write_part(tmp_path, latency, time_s=time_s, cluster=cluster), 30, 1, 0.5, 1000
    ).features[:, :, 0]
    assert np.all(np.diff(found, axis=1) == 1)
    first, last = found[:, 0], found[:, -1]
    for border in (80, 150, 250):  # values are row + 1
        assert not np.any((first <= border) & (last > border))
    assert len(found) == (80 - 49) + (70 - 49) + (100 - 49)


@pytest.mark.parametrize("block_rows", [30, 1000])
def test_a_cluster_seen_over_two_links_is_taken_once(tmp_path, monkeypatch, block_rows):
    monkeypatch.setattr(blocks, "BLOCK_ROWS", block_rows)  # the links in two blocks, or in one
    one = np.arange(1.0, 61)
    part = write_part(
        tmp_path,
        np.tile(one, 2),
        time_s=np.tile(np.arange(60) * 60, 2),
        peer=["p"] * 60 + ["q"] * 60,
    )
    assert len(consensus_examples(part, 30, 1, 0.5, 1000)) == 11


def test_a_window_is_positive_from_five_high_steps_among_its_last_twenty(tmp_path):
    label = np.zeros(200, int)
    label[100:105] = 1
    part = write_part(tmp_path, np.ones(200), label=label)
    found = consensus_examples(part, 30, 1, 0.5, 1000)
    ends = np.arange(49, 200)
    positive = ends[found.targets["is_high_latency"] == 1]
    assert positive.tolist() == list(range(104, 120))


# --- behaviour of the graph ---


def test_graph_and_network_agree_and_saving_changes_nothing(fitted, session, examples, tmp_path):
    features = examples["test"].features[:400]
    check_parity(session, lambda x: MODEL.predict(fitted, x), features)
    MODEL.save(fitted, tmp_path)
    again = MODEL.predict(MODEL.load(tmp_path), features)
    for name, values in MODEL.predict(fitted, features).items():
        np.testing.assert_array_equal(values, again[name])


def test_the_score_does_not_change_with_the_unit_of_latency(session):
    quiet = history(np.random.default_rng(0), rows=16)
    plain, scaled = (score(session, x)["reconstruction_error"] for x in (quiet, 7 * quiet))
    np.testing.assert_allclose(plain, scaled, rtol=1e-2, atol=1e-2)


def test_a_doubled_level_is_flagged_and_a_quiet_window_is_not(session):
    quiet = history(np.random.default_rng(1), rows=64)
    high = quiet.copy()
    high[:, -WINDOW:] *= 2
    assert score(session, quiet)["is_high_latency"].mean() < 0.05
    assert score(session, high)["is_high_latency"].all()


def test_one_spike_anywhere_in_the_window_is_not_flagged(session):
    spiked = np.repeat(history(np.random.default_rng(2)), WINDOW, axis=0)
    for row in range(WINDOW):
        spiked[row, BASELINE + row] *= 4
    assert score(session, spiked)["is_high_latency"].sum() == 0


def test_a_stronger_shift_never_scores_lower(session):
    quiet = history(np.random.default_rng(3))
    shifted = np.repeat(quiet, 12, axis=0)
    shifted[:, -WINDOW:, 0] *= np.linspace(1, 4, 12)[:, None]
    scores = score(session, shifted)["reconstruction_error"]
    assert np.all(np.diff(scores[2:]) > 0)


@pytest.mark.parametrize("steps", [20, 21, 39, 40, 921])
def test_any_history_from_twenty_steps_on_is_answered(fitted, session, steps):
    features = history(np.random.default_rng(steps), rows=3, steps=steps)
    check_parity(session, lambda x: MODEL.predict(fitted, x), features)
    assert np.isfinite(score(session, features)["reconstruction_error"]).all()


# --- training ---


def test_the_threshold_leaves_the_asked_share_of_normal_validation_windows_above(fitted, examples):
    normal = examples["validation"].take(examples["validation"].targets["is_high_latency"] == 0)
    answer = MODEL.predict(fitted, normal.features)
    above = answer["reconstruction_error"] > fitted.threshold
    asked = 1 - SMALL.threshold_percentile / 100
    assert 0.5 * asked < above.mean() <= asked + 1e-9
    assert not (answer["is_high_latency"][~above]).any()
    assert MODEL.facts(fitted)["threshold_percentile"] == SMALL.threshold_percentile


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory):
    """Examples of a source without the label, and a small network trained on them."""
    rng, folder = np.random.default_rng(5), tmp_path_factory.mktemp("unlabelled")
    data = {
        role: MODEL.examples(write_part(folder, history(rng, steps=400)[0, :, 0], role=role), SMALL)
        for role in ("train", "validation", "test")
    }
    return data, MODEL.fit(data["train"], data["validation"], SMALL, Silent())


def test_training_twice_gives_the_same_weights(unlabelled):
    data, fitted = unlabelled
    again = MODEL.fit(data["train"], data["validation"], SMALL, Silent())
    assert again.threshold == fitted.threshold
    for a, b in zip(fitted.network.get_weights(), again.network.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_training_on_too_short_series_says_what_to_do(tmp_path):
    empty = consensus_examples(write_part(tmp_path, np.ones(30)), 30, 1, 0.5, 1000)
    with pytest.raises(TrainingError, match="lower baseline_steps"):
        MODEL.fit(empty, empty, PARAMS, Silent())


def test_a_source_without_labels_trains_on_all_windows_and_makes_up_no_figure(unlabelled):
    data, fitted = unlabelled
    assert "no label" in MODEL.facts(fitted)["threshold_from"]
    outputs = MODEL.predict(fitted, data["test"].features)
    for metric in MODEL.metrics:
        with pytest.raises(LookupError):
            metric.compute(data["test"], outputs, np.ones(len(data["test"])))
    assert MODEL.baselines(data["train"], data["validation"], SMALL)
    assert MODEL.ceiling(data["test"]) is None
    assert MODEL.figures(data["test"], outputs, {})


# --- honesty ---


def test_it_beats_a_static_threshold_by_far_on_clusters_never_seen(fitted, examples):
    test = examples["test"]
    ours = figure("balanced_accuracy", test, MODEL.predict(fitted, test.features))
    rivals = MODEL.baselines(examples["train"], examples["validation"], PARAMS)
    fixed = figure("balanced_accuracy", test, rivals["static_threshold"](test))
    best = figure("balanced_accuracy", test, MODEL.ceiling(test))
    assert fixed < 0.9
    assert ours > fixed + 0.1
    assert best >= 0.98


def test_shuffled_labels_fall_to_chance(fitted, examples):
    test = examples["test"]
    rng = np.random.default_rng(0)
    shuffled = Examples(
        test.features,
        {"is_high_latency": rng.permutation(test.targets["is_high_latency"])},
        test.group,
        test.time_s,
    )
    outputs = MODEL.predict(fitted, test.features)
    assert figure("balanced_accuracy", shuffled, outputs) == pytest.approx(0.5, abs=0.04)


def test_a_random_score_has_the_prevalence_as_average_precision(examples):
    label = examples["test"].targets["is_high_latency"]
    ranking = np.random.default_rng(1).random(len(label))
    found = m.average_precision(label, ranking)(np.ones(len(label)))
    assert found == pytest.approx(label.mean(), abs=0.02)


# --- rivals and figures ---


def test_the_order_statistic_is_the_nth_largest_deviation_from_the_history():
    features = np.full((1, 60, 1), 10.0, np.float32)
    features[0, -4:, 0] = [20, 5, 80, 40]
    np.testing.assert_allclose(
        np.sort(np.abs(log_ratio(features)))[0, -4:], np.log([2, 2, 4, 8]), rtol=1e-6
    )
    assert order_statistic(features, 2)[0] == pytest.approx(np.log(4))
    assert order_statistic(features, 5)[0] == 0


def test_the_best_order_is_chosen_on_validation(examples):
    assert best_order(examples["validation"], SMALL.threshold_percentile) in range(3, 9)


def test_delay_counts_steps_from_the_start_to_the_first_flag_of_each_episode():
    n = 8
    examples = Examples(
        np.zeros((n, 1, 1), np.float32),
        {},
        np.array(["a"] * 5 + ["b"] * 3),
        np.arange(n),
        {},
        {
            "episode": np.array([-1, 7, 7, 7, 7, 7, 7, -1]),
            "since_start": np.array([9, 0, 4, 8, 12, 3, 7, 9]),
        },
    )
    flags = {"is_high_latency": np.array([1, 0, 0, 1, 1, 1, 1, 1])}
    at, steps = delays(examples, flags)
    assert sorted(zip(at.tolist(), steps.tolist(), strict=True)) == [(3, 8), (5, 3)]
    nothing = {"is_high_latency": np.zeros(n, int)}
    assert len(delays(examples, nothing)[0]) == 0
    assert np.isnan(figure("median_delay_steps", examples, nothing))


def test_every_gate_names_a_metric_a_slice_and_a_rival_that_exist(examples):
    rivals = MODEL.baselines(examples["train"], examples["validation"], PARAMS)
    slices = examples["fresh"].slices
    for gate in MODEL.gates(PARAMS, simulated=True):
        assert gate.metric in {x.name for x in MODEL.metrics}
        assert gate.against is None or gate.against in rivals
        name, _, value = gate.slice.partition("=")
        assert name == "all" or name in slices
        assert not value or value in slices[name]
