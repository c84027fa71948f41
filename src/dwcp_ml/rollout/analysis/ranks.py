"""Exact rank tests of a shift, with the confidence bounds that belong to them.

Both are written over all pairwise values (Walsh averages; differences), so that the test at any
shift and the bounds of the shift are the same statement (Hodges and Lehmann, Annals of
Mathematical Statistics 34, 1963).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from dwcp_ml.rollout.analysis.evidence import Floats, Ints


@dataclass(frozen=True)
class Shift:
    """How far one side lies above the other.

    Attributes:
        low: one-sided lower bound; minus infinity where there are too few values.
        estimate: Hodges-Lehmann.
        high: one-sided upper bound.
        p_above: exact one-sided p that the shift is above 0.
    """

    low: float
    estimate: float
    high: float
    p_above: float


def paired_shift(differences: Floats, confidence: float) -> Shift:
    """Wilcoxon's signed-rank test of (n,) differences, n up to about 60."""
    n = len(differences)
    first, second = _pairs(n)
    averages = (differences[first] + differences[second]) / 2
    return _shift(averages, _signed_rank_null(n), confidence)


def unpaired_shift(above: Floats, below: Floats, confidence: float) -> Shift:
    """Mann-Whitney's test of two samples, up to about 60 each."""
    differences = np.subtract.outer(above, below).ravel()
    return _shift(differences, _mann_whitney_null(len(above), len(below)), confidence)


def middle(ascending: Floats) -> float:
    """Median of sorted values."""
    n = len(ascending)
    return float(ascending[(n - 1) // 2] + ascending[n // 2]) / 2


def _shift(values: Floats, null: Floats, confidence: float) -> Shift:
    """``null[t]``: probability of a statistic (number of values above 0) of t, without a shift."""
    values = np.sort(values)
    m = len(values)
    positive = int(m - np.searchsorted(values, 0.0, side="right"))
    # The greatest c with P(T <= c) within 1 - confidence cuts c + 1 values off either end.
    cut = int(np.searchsorted(np.cumsum(null), 1 - confidence, side="right"))
    low = float(values[cut - 1]) if cut else -np.inf
    high = float(values[m - cut]) if cut else np.inf
    return Shift(low, middle(values), high, min(float(null[positive:].sum()), 1.0))


@lru_cache(maxsize=256)
def _pairs(n: int) -> tuple[Ints, Ints]:
    return np.triu_indices(n)


@lru_cache(maxsize=256)
def _signed_rank_null(n: int) -> Floats:
    ways = np.zeros(n * (n + 1) // 2 + 1)
    ways[0] = 1.0
    for rank in range(1, n + 1):
        shifted = np.zeros_like(ways)
        shifted[rank:] = ways[: len(ways) - rank]
        ways = (ways + shifted) / 2
    return ways


@lru_cache(maxsize=1024)
def _mann_whitney_null(n: int, m: int) -> Floats:
    """Mann and Whitney's recursion, over the share of arrangements."""
    if n == 0 or m == 0:
        return np.ones(1)
    size = n * m + 1
    # The largest of all comes from the first sample with probability n / (n + m): it beats m.
    first, second = _mann_whitney_null(n - 1, m), _mann_whitney_null(n, m - 1)
    null = np.zeros(size)
    null[m : m + len(first)] += first * (n / (n + m))
    null[: len(second)] += second * (m / (n + m))
    return null
