"""Does a model answer worse than it did, where the truth has arrived by now?

The truth lies in later telemetry: the next measurement of a link, or a label. The model's own
figure in each live window is compared with what it was in the windows of the reference: worse than
the worst of those, and by a tenth of the usual error at least, is a drift. Beside it stands the
figure of a rival that says "as it was just now", where the model has one: if both grow, the world
became harder.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dwcp_ml.errors import DriftError
from dwcp_ml.monitoring.drift import LEAST_ROWS, LEAST_WINDOWS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dwcp_ml.models.base import Examples, Metric, Outputs, Predictor
    from dwcp_ml.monitoring.drift import Values
    from dwcp_ml.monitoring.model import Watched

RIVAL = "persistence"
LEAST_WORSE = 0.1  # of the usual error, or of what a share lacks to 1; less is no drift
LEAST_SHARE = 0.01  # of a share, where it lacks next to nothing
RIVAL_ROWS = 500  # for rivals that have to be tuned; this one has not


class Judged(NamedTuple):
    """Examples whose truth is known, and what was answered to them."""

    examples: Examples
    outputs: Outputs


@dataclass(frozen=True)
class WindowPerformance:
    """One window.

    Attributes:
        value: of the model's figure.
        rival: the same figure of ``RIVAL``; NaN where the model has no such rival.
        worse: by how much the value is worse than usual, in its unit; 0 if it is not.
        rows: answers whose truth is known.
        drifted: the verdict.
    """

    value: float
    rival: float
    worse: float
    rows: int
    drifted: bool


@dataclass(frozen=True)
class Performance:
    """The model's figure over all live windows.

    Attributes:
        metric: name of the figure.
        title: of the figure.
        unit: of the figure.
        better: "lower" or "higher".
        usual: median of the reference's windows.
        limit: how much worse than usual a window may be.
        reference_windows: in which the figure is defined.
        rival: the same median of ``RIVAL``, NaN if there is none.
        windows: by start, epoch seconds.
    """

    metric: str
    title: str
    unit: str
    better: str
    usual: float
    limit: float
    reference_windows: int
    rival: float
    windows: Mapping[float, WindowPerformance] = field(default_factory=dict)

    @property
    def false_alarm_rate(self) -> float:
        """Of a window that is like the reference's: it would have to be the worst one."""
        return 1 / (self.reference_windows + 1)


def judge(watched: Watched, reference: Judged, live: Judged, seconds: float) -> Performance:
    """Compare the model's figure in windows of ``seconds``.

    The first of its figures that the truth allows is taken, the one that decides about a new
    version before the others.

    Raises:
        DriftError: no figure is defined in enough windows of the reference.
    """
    metric, usual = _usable(watched, reference, seconds)
    sign = 1.0 if metric.better == "lower" else -1.0
    values = np.array(list(usual.values()))
    moved = [sign * (v - np.median(np.delete(values, i))) for i, v in enumerate(values)]
    middle = float(np.median(values))
    limit = max(float(max(moved)), _least(metric, middle))
    rival = rival_of(watched, reference.examples)
    of_rival = _of_rival(metric, rival, live, seconds)
    before = [value for value, _ in _of_rival(metric, rival, reference, seconds).values()]
    return Performance(
        metric.name,
        metric.title or metric.name,
        metric.unit,
        metric.better,
        middle,
        limit,
        len(values),
        float(np.median(before)) if before else float("nan"),
        {
            start: WindowPerformance(
                value,
                of_rival.get(start, (float("nan"), 0))[0],
                max(sign * (value - middle), 0.0),
                rows,
                sign * (value - middle) > limit,
            )
            for start, (value, rows) in _windows(metric, live, seconds).items()
        },
    )


def _least(metric: Metric, usual: float) -> float:
    """By how much a figure has to be worse to matter."""
    if metric.better == "higher" and metric.unit == "1":
        return max(LEAST_WORSE * (1 - usual), LEAST_SHARE)
    return LEAST_WORSE * abs(usual)


def rival_of(watched: Watched, examples: Examples) -> Predictor | None:
    """The rival that answers with what was measured last; None where the model has none."""
    rules = watched.model.gates(watched.section, simulated=False)
    if not any(rule.against == RIVAL for rule in rules):
        return None
    few = examples.take(slice(None, None, max(len(examples) // RIVAL_ROWS, 1)))
    return watched.model.baselines(few, few, watched.section).get(RIVAL)


def _usable(
    watched: Watched, reference: Judged, seconds: float
) -> tuple[Metric, dict[float, float]]:
    """The first figure that is defined in enough windows of the reference, and its values."""
    first = watched.model.primary_metric
    for metric in sorted(watched.model.metrics, key=lambda m: m.name != first):
        usual = {at: value for at, (value, _) in _windows(metric, reference, seconds).items()}
        if len(usual) >= LEAST_WINDOWS:
            return metric, usual
    raise DriftError(
        f"no figure of {watched.name} is defined in {LEAST_WINDOWS} windows of the reference: its "
        f"truth is not there, or in windows of fewer than {LEAST_ROWS} answers only"
    )


def _windows(metric: Metric, judged: Judged, seconds: float) -> dict[float, tuple[float, int]]:
    """Start -> (figure, answers) of each whole window in which the figure is defined.

    Whole means half as many answers as the fullest: an evening is not judged as a day.
    """
    number, place = np.unique(
        np.floor(judged.examples.time_s / seconds).astype(np.int64), return_inverse=True
    )
    counts = np.bincount(place, minlength=1)
    found = {}
    for which in np.flatnonzero(counts >= max(LEAST_ROWS, counts.max() / 2)):
        rows = np.flatnonzero(place == which)
        value = _value(
            metric, judged.examples.take(rows), {k: v[rows] for k, v in judged.outputs.items()}
        )
        if np.isfinite(value):
            found[float(number[which] * seconds)] = (value, len(rows))
    return found


def _value(metric: Metric, examples: Examples, outputs: Outputs) -> float:
    """NaN where the truth that a figure needs is not there."""
    weights: Values = np.ones(len(examples))
    try:
        with np.errstate(all="ignore"):
            return float(metric.compute(examples, outputs, weights))
    except (ArithmeticError, LookupError, ValueError):
        return float("nan")


def _of_rival(
    metric: Metric, rival: Predictor | None, judged: Judged, seconds: float
) -> dict[float, tuple[float, int]]:
    if rival is None:
        return {}
    return _windows(metric, Judged(judged.examples, rival(judged.examples)), seconds)
