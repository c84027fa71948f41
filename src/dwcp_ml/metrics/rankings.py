"""Figures of scores that rank positives above negatives; equal scores form one step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from dwcp_ml.metrics.scores import Codes, Score, Weights, as_float, ratio

# (true positives, false positives) at each distinct score, highest score first -> figure
Finish = Callable[[Weights, Weights], float]


def average_precision(truth: ArrayLike, scores: ArrayLike) -> Score:
    """Sum of precision times the step in recall over distinct scores, highest first.

    The definition of scikit-learn's ``average_precision_score``, but undefined without a
    negative, where any ranking would score 1.
    """

    def finish(hits: Weights, alarms: Weights) -> float:
        if not alarms[-1]:
            return float("nan")
        flagged = hits + alarms
        exact = np.divide(hits, flagged, out=np.zeros_like(hits), where=flagged > 0)
        return ratio(float(np.diff(hits, prepend=0.0) @ exact), hits[-1])

    return _ranked(truth, scores, finish)


def recall_at_fpr(truth: ArrayLike, scores: ArrayLike, *, max_fpr: float) -> Score:
    """Highest recall of any threshold whose false-positive rate is at most ``max_fpr``.

    A property of the ranking, for comparing rivals; a gate belongs on the frozen threshold.
    """

    def finish(hits: Weights, alarms: Weights) -> float:
        if not alarms[-1]:
            return float("nan")
        within = hits[alarms <= max_fpr * alarms[-1]]
        return ratio(within[-1] if len(within) else 0.0, hits[-1])

    return _ranked(truth, scores, finish)


@dataclass(frozen=True, eq=False)
class _Ranking:
    order: Codes  # (n,) examples from the highest score down
    ends: Codes  # last rank of each distinct score that holds a positive, and the last of all
    positives: Codes  # ranks of the positives
    found: Codes  # how many of them are ranked at or before each end
    finish: Finish

    def __call__(self, weights: Weights) -> float:
        return self._figure(weights[self.order])

    def by_group(self, codes: Codes, groups: int) -> Score:
        """Looks weights up in the short table of groups, already in order of rank."""
        ranked = codes[self.order].astype(np.int32 if groups < 2**31 else np.int64)
        return lambda multiples: self._figure(multiples[ranked])

    def _figure(self, ordered: Weights) -> float:
        if not len(self.ends):
            return float("nan")
        flagged = np.cumsum(ordered)[self.ends]
        hits = np.cumsum(np.concatenate([[0.0], ordered[self.positives]]))[self.found]
        return self.finish(hits, flagged - hits)


def _ranked(truth: ArrayLike, scores: ArrayLike, finish: Finish) -> Score:
    """Steps without a positive change neither figure, so they are not kept."""
    ranks = as_float(scores)
    if np.isnan(ranks).any():
        return lambda _: float("nan")
    order = np.argsort(-ranks, kind="stable")
    ends = np.flatnonzero(np.diff(ranks[order], append=np.nan) != 0)
    positives = np.flatnonzero(np.asarray(truth).astype(bool)[order])
    found = np.searchsorted(positives, ends, side="right")
    held = np.diff(found, prepend=0) > 0
    held[-1:] = True
    return _Ranking(order, ends[held], positives, found[held], finish)
