"""Pearson correlation within groups; pooled, groups of different size would flatter it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from dwcp_ml.metrics.scores import Codes, Score, Weights, as_float


def median_group_correlation(
    truth: ArrayLike, predicted: ArrayLike, group: ArrayLike, *, least: int = 10
) -> Score:
    """Median over groups of the Pearson correlation within each.

    A group counts as often as the resample holds it (its largest weight). Groups with fewer than
    ``least`` weighted examples, or in which one side is constant, are left out.
    """
    codes = np.unique(np.asarray(group), return_inverse=True)[1]
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    rows = _products(*(_centred(as_float(a)[order], starts) for a in (truth, predicted)))
    return _GroupMedian(rows, order, starts, least)


@dataclass(frozen=True, eq=False)
class _GroupMedian:
    rows: Weights  # (6, n) products, sorted by group
    order: Codes  # (n,) position of each sorted row among the examples
    starts: Codes  # (groups,) first sorted row of each group
    least: int

    def __call__(self, weights: Weights) -> float:
        ordered = weights[self.order]
        counts = _sum_by(ordered > 0, self.starts)
        return _median(self._correlations(ordered, counts), _highest(ordered, self.starts))

    def by_group(self, codes: Codes, groups: int) -> Score:
        """Where no group is split, its correlation does not depend on the resample."""
        ordered = codes[self.order]
        if (_highest(ordered, self.starts) + _highest(-ordered, self.starts)).any():
            return lambda multiples: self(multiples[codes])
        fixed = self._correlations(
            np.ones(len(ordered)), _sum_by(np.ones(len(ordered)), self.starts)
        )
        owner = ordered[self.starts]
        return lambda multiples: _median(fixed, multiples[owner])

    def _correlations(self, ordered: Weights, counts: Weights) -> Weights:
        r = _pearson(_sum_by(self.rows * ordered, self.starts))
        return np.where(counts >= self.least, r, np.nan)


def _sum_by(values: ArrayLike, starts: Codes) -> Weights:
    array = as_float(values)
    if not len(starts):
        return array[..., :0]
    return np.asarray(np.add.reduceat(array, starts, axis=-1))


def _highest(values: Weights | Codes, starts: Codes) -> Weights:
    return as_float(np.maximum.reduceat(values, starts) if len(starts) else values[:0])


def _centred(values: Weights, starts: Codes) -> Weights:
    """Values less their group's mean, so that sums of squares keep their digits."""
    if not len(values):
        return values
    sizes = np.diff(starts, append=len(values))
    return values - np.repeat(np.add.reduceat(values, starts) / sizes, sizes)


def _products(a: Weights, b: Weights) -> Weights:
    """Rows a, b, aa, bb, ab, 1 (6, n): the sums of a Pearson correlation."""
    return np.stack([a, b, a * a, b * b, a * b, np.ones_like(a)])


def _pearson(sums: Weights) -> Weights:
    """Correlation from the weighted sums (6, ...) of ``_products``; NaN where one is constant."""
    with np.errstate(invalid="ignore", divide="ignore"):
        a, b, aa, bb, ab = sums[:5] / sums[5]
        spread_a, spread_b = aa - a * a, bb - b * b
        # Rounding leaves a tiny spread where there is none: that is constant, not correlated.
        moves = (spread_a > 1e-12 * aa) & (spread_b > 1e-12 * bb)
        return np.where(moves, (ab - a * b) / np.sqrt(spread_a * spread_b), np.nan)


def _median(values: Weights, weights: Weights) -> float:
    """Weighted median of the finite values; the mean of the two middle ones where they tie."""
    usable = np.isfinite(values) & (weights > 0)
    values, weights = values[usable], weights[usable]
    if not len(values):
        return float("nan")
    order = np.argsort(values)
    values, heights = values[order], np.cumsum(weights[order])
    low = np.searchsorted(heights, heights[-1] / 2, side="left")
    high = np.searchsorted(heights, heights[-1] / 2, side="right")
    return float((values[low] + values[min(high, len(values) - 1)]) / 2)
