"""What is said about failures: sentences in logs, workflow messages, figures, rollouts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwcp_ml.evaluation.figures import write_figures
from dwcp_ml.kubeflow import figures
from dwcp_ml.kubeflow.show import outcome
from dwcp_ml.kubeflow.tasks import told
from dwcp_ml.kubeflow.workflow import messages
from dwcp_ml.models.detector_figures import precision_recall


@pytest.mark.parametrize(
    ("log", "says"),
    [
        ("I1\nerror: no data\nF1 failed to execute component: exit status 10\n", "no data"),
        ("Traceback\n  File x\nValueError: 3\nF1121 exit status 1\n", "ValueError: 3"),
        ("I1\nF1 failed to execute component: exit status 137\n", "ran out of memory"),
        ("", "without a word"),
    ],
)
def test_log_is_searched_for_the_sentence(log, says):
    assert says in told(log)


def node(name, kind, phase, display, children=(), message=None):
    found = {"id": name, "type": kind, "phase": phase, "displayName": display}
    return name, found | {"children": list(children)} | ({"message": message} if message else {})


def test_workflow_names_the_task_above_the_container_that_failed():
    nodes = dict(
        [
            node("w", "DAG", "Failed", "w", ["w-1"]),
            node("w-1", "DAG", "Failed", "train-x", ["w-2"]),
            node("w-2", "Pod", "Failed", "executor", message="OOMKilled (exit code 1)"),
            node("w-3", "Pod", "Succeeded", "split-driver"),
            node("w-4", "Skipped", "Omitted", "export-x"),
        ]
    )
    assert messages({"status": {"nodes": nodes}}) == ["train-x: OOMKilled (exit code 1)"]
    assert messages({}) == []


def detector_report(truth, score, threshold, folder):
    """The parts of a report that the curve is drawn from, of a made-up detector."""
    flag = score >= threshold
    answers = {"model": {"score": score}}
    figure = precision_recall(truth, answers, "score", np.ones(len(truth), bool))
    described = write_figures([figure], folder / "toy")
    rates = {"recall": flag[truth > 0].mean(), "false_positive_rate": flag[truth == 0].mean()}
    rows = [
        {"dataset": "test", "predictor": "model", "kind": "model", "metric": name, "value": value}
        for name, value in rates.items()
    ]
    gates = [{"name": "g", "passed": True}]
    return {"metrics": rows, "figures": described, "gates": gates, "title": "Toy"}


@given(seed=st.integers(0, 2**16), prevalence=st.floats(0.05, 0.4))
def test_roc_curve_is_the_one_of_the_scores(seed, prevalence, tmp_path_factory):
    draw = np.random.default_rng(seed)
    truth = (draw.random(4000) < prevalence).astype(int)
    score = draw.normal(size=4000) + 1.5 * truth
    folder = tmp_path_factory.mktemp("roc")
    report = detector_report(truth, score, 1.2, folder)
    curve = figures.roc(report, folder)
    order = np.argsort(-score)
    hits, alarms = np.cumsum(truth[order]), np.cumsum(1 - truth[order])
    area = np.trapezoid(hits / hits[-1], alarms / alarms[-1])
    assert np.trapezoid(curve.true_positive_rate, curve.false_positive_rate) == pytest.approx(
        area, abs=0.02
    )
    assert np.all(np.diff(curve.true_positive_rate) >= 0)


def test_confusion_matrix_has_the_rates_of_the_report(tmp_path):
    truth = np.array([0] * 90 + [1] * 10)
    score = np.linspace(0, 1, 100)
    report = detector_report(truth, score, 0.85, tmp_path)
    (normal, alarms), (missed, hits) = figures.confusion(report)
    assert normal + alarms == missed + hits == figures.PER_CLASS
    assert hits == figures.PER_CLASS
    assert alarms == pytest.approx(figures.PER_CLASS * 5 / 90, abs=60)


def test_model_that_is_no_detector_has_neither(tmp_path):
    report = {"metrics": [], "figures": [], "gates": []}
    assert figures.confusion(report) is None
    assert figures.roc(report, tmp_path) is None


def test_reasons_name_every_failed_gate_and_missing_report():
    master = {
        "production_readiness": {"data_contract_passed": False},
        "models": {
            "a": {"why": None, "failed_gates": ["mape on test:all: 7 is above 5"]},
            "b": {"why": "there is no report", "failed_gates": []},
        },
    }
    assert figures.reasons(master) == [
        "the data contract failed",
        "a mape on test:all: 7 is above 5",
        "b: there is no report",
    ]


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("SUCCEEDED", "# SUCCEEDED"),
        ("COMPLETE", "# SUCCEEDED"),
        ("FAILED", "# FAILED\n\n- see the tasks of the run"),
    ],
)
def test_outcome_is_told_in_the_words_of_a_run_whatever_the_backend_calls_it(state, says, tmp_path):
    outcome(state, "no-workflow", str(tmp_path / "outcome"))
    assert (tmp_path / "outcome").read_text() == f"{says}\n"
