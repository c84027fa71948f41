"""A gate passes only on a finite figure on the right side of its bound."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwcp_ml import metrics as m
from dwcp_ml.evaluation.artifact import Artifact
from dwcp_ml.evaluation.bootstrap import Draws
from dwcp_ml.evaluation.dataset import Dataset
from dwcp_ml.evaluation.gates import judge, rule_gates, skill
from dwcp_ml.evaluation.limits import limit_gates, worsening
from dwcp_ml.models.base import Examples, GateRule, Metric
from dwcp_ml.params import EvaluateParams

KEYS = ["name", "metric", "slice", "value", "ci_low", "ci_high", "bound", "direction"]
KEYS += ["passed", "why"]
MAE = Metric("mae", "ms", "lower", m.prepared(lambda e, o: m.mae(e.targets["y"], o["y"])))
HIT = Metric("hit", "1", "higher", m.prepared(
    lambda e, o: m.accuracy(e.targets["y"] > 0, o["y"] > 0)))  # fmt: skip
RECALL = Metric("recall", "1", "higher", m.prepared(
    lambda e, o: m.recall(e.targets["y"] > 99, o["y"] > 99)))  # fmt: skip
METRICS = {x.name: x for x in (MAE, HIT, RECALL)}


@pytest.fixture
def dataset() -> Dataset:
    truth = np.linspace(-1, 1, 60)
    kind = np.where(truth > 0.5, "high", "low")
    examples = Examples(
        np.zeros((60, 1)), {"y": truth}, np.arange(60) % 6, np.arange(60), {"kind": kind}
    )
    answers = {
        "model": {"y": truth + np.where(kind == "high", 0.3, 0.1)},
        "rival": {"y": truth + 0.4},
        "perfect": {"y": truth},
        "other": {"z": truth},
    }
    return Dataset("test", examples, answers, 40, 0)


def gates(rule, dataset):
    return rule_gates(rule, dataset, METRICS, 0.95)


def test_a_gate_holds_the_ten_keys_and_survives_json(dataset):
    gate = gates(GateRule("error", "mae", 0.2, "max"), dataset)[0]
    assert list(gate.as_dict()) == KEYS
    assert json.loads(json.dumps(gate.as_dict())) == gate.as_dict()
    assert gate.slice == "test:all"
    assert gate.ci_low <= gate.value <= gate.ci_high
    assert gate.passed
    assert gate.why == "0.15 is at most 0.2 (60 examples, 6 groups)"


@given(st.floats(), st.floats(-1e6, 1e6), st.sampled_from(["min", "max"]))
def test_no_figure_but_a_finite_one_on_the_right_side_passes(value, bound, direction):
    gate = judge("g", "f", "all", Draws(value, np.empty(0)), bound, direction)
    right = value >= bound if direction == "min" else value <= bound
    assert gate.passed == (math.isfinite(value) and right)
    if not math.isfinite(value):
        assert gate.value is None
        assert gate.why.startswith("could not be evaluated: ")


def test_a_figure_rounds_to_no_bound_that_it_misses():
    gate = judge("g", "f", "all", Draws(0.979996, np.empty(0)), 0.98, "min")
    assert gate.why == "0.979996 is below 0.98"


def test_an_equal_champion_is_no_worse_by_zero_without_a_sign():
    gate = judge("g", "f", "all", Draws(-0.0, np.empty(0)), 0.1, "max")
    assert (str(gate.value), gate.why) == ("0.0", "0 is at most 0.1")


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        (GateRule("g", "nothing", 0, "min"), "the model has no metric 'nothing'"),
        (GateRule("g", "mae", 0, "min", against="none"), "there is no baseline 'none'"),
        (GateRule("g", "mae", 0, "min", against="other"), "KeyError: 'y'"),
        (GateRule("g", "mae", 0, "min", against="perfect"), "the rival's figure is zero"),
        (GateRule("g", "mae", 9, "max", slice="hour"), "the examples have no slice 'hour'"),
        (GateRule("g", "mae", 9, "max", slice="kind=odd"), "there are no examples"),
        (GateRule("g", "recall", 0, "min"), "it is undefined there"),
        (GateRule("g", "recall", 0, "min", slice="kind"), "it is undefined there"),
    ],
)
def test_what_cannot_be_evaluated_fails_and_says_why(rule, why, dataset):
    found = gates(rule, dataset)
    assert found
    assert not any(gate.passed for gate in found)
    assert {gate.why for gate in found} == {f"could not be evaluated: {why}"}


def test_a_slice_by_name_gates_every_value_by_itself(dataset):
    found = gates(GateRule("by_kind", "mae", 0.2, "max", slice="kind"), dataset)
    assert [(g.slice, g.passed) for g in found] == [
        ("test:kind=high", False),
        ("test:kind=low", True),
    ]
    one = gates(GateRule("low", "mae", 0.2, "max", slice="kind=low"), dataset)
    assert [g.slice for g in one] == ["test:kind=low"]
    assert one[0].value == pytest.approx(0.1)


def test_skill_is_relative_where_lower_is_better_and_a_difference_where_higher_is(dataset):
    lower = gates(GateRule("s", "mae", 0.5, "min", against="rival"), dataset)[0]
    assert lower.metric == "mae skill over rival"
    assert lower.value == pytest.approx(1 - 0.15 / 0.4)
    higher = gates(GateRule("s", "hit", 0.0, "min", against="rival"), dataset)[0]
    model, rival = (dataset.draws(HIT, who).value for who in ("model", "rival"))
    assert higher.value == pytest.approx(model - rival)


def test_skill_pairs_the_resamples_of_model_and_rival(dataset):
    gate = gates(GateRule("s", "mae", 0.0, "min", against="model"), dataset)[0]
    assert (gate.value, gate.ci_low, gate.ci_high) == (0, 0, 0)


def test_worse_than_the_champion_is_a_fraction_of_its_figure():
    ours, theirs = Draws(1.1, np.array([1.1])), Draws(1.0, np.array([1.0]))
    assert worsening(ours, theirs, MAE).value == pytest.approx(0.1)
    assert worsening(ours, theirs, HIT).value == pytest.approx(-0.1)
    assert worsening(theirs, ours, HIT).value == pytest.approx(0.1 / 1.1)
    assert skill(ours, theirs, "lower").value == pytest.approx(-0.1)


@pytest.fixture
def artifact(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"x" * 11_000_000)
    metadata = {"onnx_sha256": "d", "parity": {"worst_tolerated": {"a": 0.4, "b": 0.7}}}
    history = {"training_time_seconds": 3 * 3600}
    return Artifact(tmp_path, metadata, history, "d")


def test_size_latency_and_training_time_are_held_against_the_common_limits(artifact):
    found = {g.name: g for g in limit_gates(artifact, 4.0, EvaluateParams())}
    assert {name: g.passed for name, g in found.items()} == {
        "parity": True,
        "size": False,
        "latency": True,
        "training_time": False,
    }
    assert found["parity"].value == 0.7
    assert found["size"].value == 11.0
    assert found["training_time"].value == 3.0


@pytest.mark.parametrize(
    ("metadata", "why"),
    [
        ({"onnx_sha256": "d"}, "metadata.json holds no comparison with the native model"),
        ({"onnx_sha256": "e", "parity": {"worst_tolerated": {"a": 0}}}, "metadata.json describes"),
    ],
)
def test_parity_that_nobody_checked_on_this_file_fails(metadata, why, artifact):
    unchecked = Artifact(artifact.folder, metadata, {}, "d")
    found = {g.name: g for g in limit_gates(unchecked, float("nan"), EvaluateParams())}
    assert not found["parity"].passed
    assert why in found["parity"].why
    assert not found["training_time"].passed
    assert not found["latency"].passed
