"""The node detector: its rows, its behaviour, its honesty."""

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
from dwcp_ml.files import write_json
from dwcp_ml.models.base import Examples, resolved
from dwcp_ml.models.node_estimators import fit_both
from dwcp_ml.models.node_features import FEATURES, LABEL, counted, node_examples
from dwcp_ml.models.node_reliability import MODEL, Fitted, NodeReliabilityParams
from dwcp_ml.params import SimulateParams
from dwcp_ml.telemetry.dataset import INCIDENTS, Part
from dwcp_ml.telemetry.simulator import simulate

PARAMS = NodeReliabilityParams(train_rows=60_000, validation_rows=40_000, test_rows=60_000)
SEEDS = {"train": 42, "validation": 43, "test": 44}


class Recorder:
    def __init__(self):
        self.epochs = []

    def epoch(self, number, of, figures):
        self.epochs.append((number, of, dict(figures)))


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    made = {}
    for role, seed in SEEDS.items():
        raw = tmp_path_factory.mktemp(role) / "raw"
        simulate(SimulateParams(nodes=40, steps=2000), raw, seed=seed)
        made[role] = Part(raw / "telemetry", raw / "truth", raw / INCIDENTS, 60, role)
    return made


@pytest.fixture(scope="module")
def examples(parts):
    return {role: MODEL.examples(part, PARAMS) for role, part in parts.items()}


@pytest.fixture(scope="module")
def log():
    return Recorder()


@pytest.fixture(scope="module")
def fitted(examples, log):
    return MODEL.fit(examples["train"], examples["validation"], PARAMS, log)


@pytest.fixture(scope="module")
def session(fitted):
    graph = canonical(MODEL.graph(fitted))
    check_signature(graph, resolved(MODEL.inputs, PARAMS), MODEL.outputs)
    return open_session(graph.SerializeToString())


def figure(name, examples, outputs):
    (metric,) = (x for x in MODEL.metrics if x.name == name)
    return metric.compute(examples, outputs, np.ones(len(examples)))


def relabelled(examples: Examples, label) -> Examples:
    return Examples(examples.features, {LABEL: label}, examples.group, examples.time_s)


# --- rows ---


def write_part(folder, label, incidents, role="test"):
    rows = len(label)
    columns = {
        "timestamp": pa.array(np.arange(rows) * 60 * 10**6, pa.timestamp("us", tz="UTC")),
        "node_id": ["n"] * rows,
        "peer_id": ["p"] * rows,
        "link_type": ["wan"] * rows,
        "region": ["r"] * rows,
        LABEL: pa.array(label, pa.int8()),
        **{name: pa.array(np.arange(rows), pa.float32()) for name in FEATURES},
    }
    pq.write_table(pa.table(columns), folder / "rows.parquet")
    write_json(folder / INCIDENTS, incidents)
    return Part(folder / "rows.parquet", None, folder / INCIDENTS, 60, role)


INCIDENT = {
    "incident_id": "1",
    "node_id": "n",
    "type": "disk_full",
    "severity": "high",
    "start": "1970-01-01T00:10:00+00:00",
    "end": "1970-01-01T00:13:00+00:00",
}


def test_incidents_join_by_node_and_time(tmp_path):
    label = np.zeros(30, int)
    label[10:13] = 1
    other = {**INCIDENT, "incident_id": "2", "node_id": "elsewhere", "type": "crash"}
    found = node_examples(write_part(tmp_path, label, [INCIDENT, other]), 1000, 5)
    assert found.slices["incident_type"].tolist() == [""] * 10 + ["disk_full"] * 3 + [""] * 17
    assert set(found.slices["severity"][10:13]) == {"high"}


def test_rows_before_an_incident_are_left_out_of_training_only(tmp_path):
    label = np.zeros(30, int)
    label[10:13] = 1
    kept = {
        role: node_examples(write_part(tmp_path, label, [], role), 1000, 5).features[:, 0].tolist()
        for role in ("train", "validation", "test", "fresh")
    }
    expected = [i for i in range(30) if not 5 <= i < 10]
    assert kept["train"] == kept["validation"] == expected
    assert kept["test"] == kept["fresh"] == list(range(30))


def test_the_rows_of_every_type_carry_the_type_of_their_incident(examples):
    label, kind = examples["test"].targets[LABEL], examples["test"].slices["incident_type"]
    assert np.array_equal(kind != "", label == 1)
    assert len(set(kind)) == 5


def test_thinning_is_even_and_the_same_every_time(parts):
    few = NodeReliabilityParams(train_rows=1000)
    once, twice = (MODEL.examples(parts["train"], few) for _ in range(2))
    assert len(once) == 1000
    assert np.array_equal(once.features, twice.features)
    assert len(np.unique(once.group)) == 40


# --- behaviour ---


def test_graph_and_estimator_agree_and_saving_changes_nothing(fitted, session, examples, tmp_path):
    features = examples["test"].features[:3000]
    check_parity(session, lambda x: MODEL.predict(fitted, x), features)
    MODEL.save(fitted, tmp_path)
    again = MODEL.load(tmp_path)
    assert MODEL.facts(again) == MODEL.facts(fitted)
    for name, values in MODEL.predict(fitted, features).items():
        np.testing.assert_array_equal(values, MODEL.predict(again, features)[name])


@pytest.mark.parametrize("kind", ["isolation_forest", "gradient_boosting"])
def test_either_estimator_can_be_exported(examples, kind):
    estimators, _ = fit_both(examples["train"], examples["validation"], PARAMS)
    either = Fitted(kind, estimators[kind], 0.5, 97.5, {})
    session = open_session(canonical(MODEL.graph(either)).SerializeToString())
    features = examples["test"].features[:500]
    check_parity(session, lambda x: MODEL.predict(either, x), features)


def test_scores_lie_between_0_and_1(session, examples):
    scores = score(session, examples["test"].features)["anomaly_score"]
    assert scores.min() >= 0
    assert scores.max() <= 1


def test_a_plain_failure_scores_high_and_a_usual_row_low(session, examples):
    normal = examples["train"].features[examples["train"].targets[LABEL] == 0]
    usual = np.median(normal, axis=0)
    failing = usual + np.array([-1.5, 4.0, 0.0, 10.0, 3.0, 0.0], np.float32)
    answer = score(session, np.stack([usual, failing]).astype(np.float32))
    assert answer["is_anomaly"].tolist() == [0, 1]


# --- training ---


def test_the_threshold_leaves_the_asked_share_of_normal_validation_rows_above(fitted, examples):
    validation = examples["validation"]
    normal = validation.take(validation.targets[LABEL] == 0)
    flagged = MODEL.predict(fitted, normal.features)["is_anomaly"].mean()
    assert 0.5 * 0.025 < flagged <= 0.025


def test_the_estimator_with_the_higher_validation_precision_is_exported(fitted, log):
    figures = fitted.validation_average_precision
    assert fitted.kind == max(figures, key=figures.get)
    assert set(figures) == {"isolation_forest", "gradient_boosting"}
    numbers = [number for number, _, _ in log.epochs]
    assert numbers == sorted(set(numbers))
    assert log.epochs[-1][0] == log.epochs[-1][1] == fitted.estimator.n_iter_


def test_the_estimator_that_lost_stands_among_the_baselines(fitted, examples):
    rivals = MODEL.baselines(examples["train"], examples["validation"], PARAMS)
    assert {"max_z", "mean_z", "best_single", "logistic_z"} < set(rivals)
    loser = {"isolation_forest", "gradient_boosting"} - {fitted.kind}
    assert set(rivals) & {"isolation_forest", "gradient_boosting"} == loser


def test_training_without_incidents_is_refused(examples):
    train = examples["train"]
    none = train.take(train.targets[LABEL] == 0)
    with pytest.raises(TrainingError, match="rows of incidents"):
        MODEL.fit(none, examples["validation"], PARAMS, Recorder())


# --- honesty ---


def test_it_ranks_above_the_simple_scores_and_below_the_ceiling(fitted, examples):
    test = examples["test"]
    rivals = MODEL.baselines(examples["train"], examples["validation"], PARAMS)
    name = "average_precision"
    ours = figure(name, test, MODEL.predict(fitted, test.features))
    best = figure(name, test, MODEL.ceiling(test))
    theirs = {k: figure(name, test, rival(test)) for k, rival in rivals.items()}
    assert theirs["max_z"] < 0.85
    assert max(theirs.values()) < ours <= best
    assert best > 0.97


def test_trained_on_shuffled_labels_it_falls_to_the_prevalence(examples):
    rng = np.random.default_rng(0)
    train, validation = (
        relabelled(examples[role], rng.permutation(examples[role].targets[LABEL]))
        for role in ("train", "validation")
    )
    estimators, _ = fit_both(train, validation, PARAMS)
    test = examples["test"].targets[LABEL]
    ranking = estimators["gradient_boosting"].predict_proba(examples["test"].features)[:, 1]
    found = m.average_precision(test, ranking)(np.ones(len(test)))
    assert found < 3 * test.mean()


def test_a_random_score_has_the_prevalence_as_average_precision(examples):
    label = examples["test"].targets[LABEL]
    ranking = np.random.default_rng(1).random(len(label))
    found = m.average_precision(label, ranking)(np.ones(len(label)))
    assert found == pytest.approx(label.mean(), abs=0.01)


def test_precursors_count_as_early_warning_and_nowhere_else(fitted, examples):
    test = examples["test"]
    outputs = MODEL.predict(fitted, test.features)
    before = {x.name: figure(x.name, test, outputs) for x in MODEL.metrics}
    precursor = ~counted(test)
    assert precursor.any()
    outputs = {name: np.where(precursor, 1, values) for name, values in outputs.items()}
    after = {x.name: figure(x.name, test, outputs) for x in MODEL.metrics}
    assert after.pop("early_warning_rate") == 1 > before.pop("early_warning_rate")
    assert after == pytest.approx(before)


def test_every_gate_names_a_metric_a_slice_and_a_rival_that_exist(examples):
    rivals = MODEL.baselines(examples["train"], examples["validation"], PARAMS)
    for gate in MODEL.gates(PARAMS, simulated=True):
        assert gate.metric in {x.name for x in MODEL.metrics}
        assert gate.against is None or gate.against in rivals
        name, _, value = gate.slice.partition("=")
        assert name == "all" or name in examples["test"].slices
        assert not value or value in examples["test"].slices[name]
