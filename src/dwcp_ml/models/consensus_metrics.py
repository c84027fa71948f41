"""Figures of the consensus detector, among them how soon an episode is noticed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dwcp_ml import metrics as m
from dwcp_ml.models.base import Figure, Metric
from dwcp_ml.models.consensus_features import LABEL
from dwcp_ml.models.consensus_network import FLAG, SCORE
from dwcp_ml.models.detector_figures import precision_recall, recall_by

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dwcp_ml.models.base import Array, Examples, Outputs


def label(examples: Examples) -> Array:
    """The label (n,); LookupError where the source has none, so that no figure is made up."""
    if LABEL not in examples.targets:
        raise LookupError(f"the source has no label '{LABEL}'")
    return examples.targets[LABEL]


def delays(examples: Examples, outputs: Outputs) -> tuple[Array, Array]:
    """Steps from the start of each noticed episode to its first flagged window.

    Returns:
        Positions of the first flagged windows among the examples, and the delays, (k,) each. An
        episode counts if a window that ends inside it is flagged; missed ones are what recall is
        about. Windows lie a stride apart, so a delay is late by less than that.
    """
    if "episode" not in examples.truth:
        raise LookupError("detection delay needs the simulator's truth")
    key = np.char.add(examples.group.astype(str), examples.truth["episode"].astype(str))
    hit = np.flatnonzero((examples.truth["episode"] >= 0) & (outputs[FLAG] > 0))
    since = examples.truth["since_start"]
    order = hit[np.lexsort((since[hit], key[hit]))]
    first = order[np.flatnonzero(np.append(True, key[order][1:] != key[order][:-1]))[: len(order)]]
    return first, since[first]


def _median_delay(examples: Examples, outputs: Outputs) -> Any:
    first, steps = delays(examples, outputs)

    def score(weights: Array) -> float:
        order = np.argsort(steps, kind="stable")
        heights = np.cumsum(weights[first][order])
        if not len(heights) or not heights[-1]:
            return float("nan")
        return float(steps[order][np.searchsorted(heights, heights[-1] / 2)])

    return score


def _flags(prepare: Callable[[Array, Array], Any]) -> Any:
    return m.prepared(lambda e, o: prepare(label(e), o[FLAG]))


METRICS = (
    Metric("balanced_accuracy", "1", "higher", _flags(m.balanced_accuracy), "Balanced accuracy"),
    Metric("recall", "1", "higher", _flags(m.recall), "Recall"),
    Metric(
        "false_positive_rate",
        "1",
        "lower",
        _flags(m.false_positive_rate),
        "False alarms on normal windows",
    ),
    Metric(
        "average_precision",
        "1",
        "higher",
        m.prepared(lambda e, o: m.average_precision(label(e), o[SCORE])),
        "Average precision",
    ),
    Metric(
        "median_delay_steps",
        "steps",
        "lower",
        m.prepared(_median_delay),
        "Median steps from an episode's start to its first flag",
    ),
)


def consensus_figures(
    examples: Examples, outputs: Outputs, rivals: Mapping[str, Outputs]
) -> tuple[Figure, ...]:
    """Precision and recall, recall by episode type, share of episodes noticed by delay."""
    if LABEL not in examples.targets:
        return (_scores(outputs),)
    everyone = {"model": outputs, **rivals}
    figures = [
        precision_recall(label(examples), everyone, SCORE, np.ones(len(examples), bool)),
        _scores(outputs),
    ]
    if "episode" in examples.slices:
        kind = examples.slices["episode"]
        title = "Recall by type of episode"
        figures.append(recall_by(kind, everyone, FLAG, title, "episode type"))
        figures.append(_delays(examples, everyone))
    return tuple(figures)


def _scores(outputs: Outputs) -> Figure:
    share = np.linspace(0, 1, 200)
    series = {"model": (share, np.quantile(np.asarray(outputs[SCORE], np.float64), share))}
    return Figure(
        "scores", "Score of the windows", "line", "share of windows", "score", series, log_y=True
    )


def _delays(examples: Examples, predictors: Mapping[str, Outputs]) -> Figure:
    series = {}
    for who, answer in predictors.items():
        steps = np.sort(delays(examples, answer)[1])
        kept = np.linspace(0, len(steps) - 1, min(len(steps), 200)).astype(int)
        series[who] = (steps[kept], (kept + 1) / max(len(steps), 1))
    title = "Share of the noticed episodes by delay"
    return Figure("delay", title, "line", "steps since the start", "share", series)
