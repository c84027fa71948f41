"""Percentile intervals from resampled groups (links, nodes or clusters).

Examples of one group depend on each other, so groups are drawn, not examples (the cluster
bootstrap; Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 8).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dwcp_ml.metrics import Score, Weights, per_group, prepared

if TYPE_CHECKING:
    from dwcp_ml.models.base import Array, Examples, Metric, Outputs

LEAST_DEFINED = 0.9  # below this share of defined resamples there is no interval


@dataclass(frozen=True)
class Draws:
    """A figure and what it was in each resample; NaN where it is undefined.

    ``problem`` says why the figure could not be computed at all.
    """

    value: float
    resamples: Weights  # (resamples,)
    problem: str | None = None

    def interval(self, confidence: float) -> tuple[float, float]:
        """Percentile interval; (NaN, NaN) where too few resamples are defined."""
        defined = self.resamples[np.isfinite(self.resamples)]
        if len(defined) < max(LEAST_DEFINED * len(self.resamples), 1):
            return float("nan"), float("nan")
        tail = (1 - confidence) / 2
        low, high = np.quantile(defined, [tail, 1 - tail])
        return float(low), float(high)


@dataclass(frozen=True)
class Resamples:
    """How often each group is drawn in each resample; the same for every predictor."""

    codes: NDArray[np.int64]  # (n,) group of each example
    multiples: Weights  # (resamples, groups)

    @classmethod
    def of(cls, group: Array, count: int, seed: int) -> Resamples:
        """Draw as many groups as there are, with replacement, ``count`` times.

        A single group leaves nothing to resample, so there are no draws then.
        """
        names, codes = np.unique(group, return_inverse=True)
        groups = len(names)
        if groups < 2:
            return cls(codes, np.empty((0, groups)))
        rng = np.random.default_rng(seed)
        drawn = rng.multinomial(groups, np.full(groups, 1 / groups), count)
        return cls(codes, drawn.astype(np.float64))

    def draws(self, metric: Metric, examples: Examples, outputs: Outputs) -> Draws:
        """The metric on all examples and on every resample.

        A metric that raises on these examples is undefined there, with the reason.
        """
        nothing = np.full(len(self.multiples), np.nan)
        if not len(examples):
            return Draws(float("nan"), nothing, "there are no examples")
        try:
            with np.errstate(all="ignore"):
                value = float(metric.compute(examples, outputs, np.ones(len(examples))))
                figure = per_group(
                    _score(metric, examples, outputs), self.codes, self.multiples.shape[1]
                )
                drawn = np.array([figure(m) for m in self.multiples], dtype=np.float64)
        except (ArithmeticError, LookupError, ValueError) as error:
            return Draws(float("nan"), nothing, f"{type(error).__name__}: {error}")
        return Draws(value, drawn, None if np.isfinite(value) else "it is undefined there")


def _score(metric: Metric, examples: Examples, outputs: Outputs) -> Score:
    """The metric with examples and outputs filled in; prepared once where it can be."""
    if isinstance(metric.compute, prepared):
        score: Score = metric.compute.prepare(examples, outputs)
        return score
    return lambda weights: metric.compute(examples, outputs, weights)
