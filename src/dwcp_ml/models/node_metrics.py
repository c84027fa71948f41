"""Figures of the node detector; precursors are counted apart, as early warnings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dwcp_ml import metrics as m
from dwcp_ml.models.base import Figure, Metric
from dwcp_ml.models.detector_figures import calibration, precision_recall, recall_by
from dwcp_ml.models.node_features import FEATURES, LABEL, PRECURSOR, counted
from dwcp_ml.models.node_rivals import FLAG, SCORE, newest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dwcp_ml.models.base import Array, Examples, Outputs

MAX_FPR = 0.05


def _figure(prepare: Callable[[Array, Array], Any], output: str) -> Any:
    return m.prepared(lambda e, o: m.where(counted(e), prepare(e.targets[LABEL], o[output])))


def _early(examples: Examples, outputs: Outputs) -> Any:
    if "incident_phase" not in examples.truth:
        raise LookupError("early warning needs the simulator's truth")
    precursor = examples.truth["incident_phase"] == PRECURSOR
    return m.ratio_of_sums(precursor & (outputs[FLAG] > 0), precursor)


METRICS = (
    Metric(
        "average_precision",
        "1",
        "higher",
        _figure(m.average_precision, SCORE),
        "Average precision",
    ),
    Metric("recall", "1", "higher", _figure(m.recall, FLAG), "Recall"),
    Metric(
        "false_positive_rate",
        "1",
        "lower",
        _figure(m.false_positive_rate, FLAG),
        "False-positive rate",
    ),
    Metric(
        "recall_at_fpr_5pct",
        "1",
        "higher",
        _figure(lambda truth, score: m.recall_at_fpr(truth, score, max_fpr=MAX_FPR), SCORE),
        "Recall of the ranking at 5 % false positives",
    ),
    Metric(
        "balanced_accuracy", "1", "higher", _figure(m.balanced_accuracy, FLAG), "Balanced accuracy"
    ),
    Metric(
        "early_warning_rate",
        "1",
        "higher",
        m.prepared(_early),
        "Share of precursor rows already flagged",
    ),
)


def node_figures(
    examples: Examples, outputs: Outputs, rivals: Mapping[str, Outputs]
) -> tuple[Figure, ...]:
    """Precision and recall, calibration, recall by type of incident, lookalikes flagged."""
    everyone, label, known = (
        {"model": outputs, **rivals},
        examples.targets[LABEL],
        counted(examples),
    )
    figures = [
        precision_recall(label, everyone, SCORE, known),
        calibration(label, outputs[SCORE], known),
    ]
    if "incident_type" in examples.slices:
        kind = examples.slices["incident_type"]
        figures.append(
            recall_by(kind, everyone, FLAG, "Recall by type of incident", "incident type")
        )
    if "lookalike" in examples.slices:
        figures.append(_lookalikes(examples, everyone))
    return (*figures, _medians(examples))


def _lookalikes(examples: Examples, predictors: Mapping[str, Outputs]) -> Figure:
    normal = counted(examples) & (examples.targets[LABEL] == 0)
    kind = np.where(examples.slices["lookalike"] == "", "quiet", examples.slices["lookalike"])
    names = np.unique(kind[normal])
    series = {
        who: (names, np.array([np.mean(answer[FLAG][normal & (kind == k)]) for k in names]))
        for who, answer in predictors.items()
    }
    title = "Normal rows flagged, by what happens"
    return Figure("false_alarms", title, "bar", "harmless event", "share flagged", series)


def _medians(examples: Examples) -> Figure:
    """Median of each input in incidents over its median in normal rows."""
    label = examples.targets[LABEL]
    values = newest(examples.features)
    usual = np.median(values[label == 0], axis=0)
    troubled = np.median(values[label == 1], axis=0)
    ratio = troubled / np.where(usual == 0, 1, usual)
    names = np.array(FEATURES)
    title = "Median in incidents over median in normal rows"
    return Figure("inputs", title, "bar", "input", "ratio", {"incidents": (names, ratio)})
