"""Scores: Kolmogorov-Smirnov distance, and the two defects that need no limit.

Values that are not finite, and one constant answer, are found whatever the limit says.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from dwcp_ml.rollout.analysis.evidence import Counts, Distribution, Judged
from dwcp_ml.rollout.analysis.levels import CONFIDENCE
from dwcp_ml.rollout.analysis.proportions import exact_bounds

if TYPE_CHECKING:
    from dwcp_ml.rollout.analysis.evidence import Floats


def distance(canary: Distribution, stable: Distribution) -> float:
    """Greatest difference of the two cumulated shares.

    Of histograms it is taken at their bounds: no more than that of the values behind them.
    """
    places = np.union1d(canary.values, stable.values)
    return float(np.abs(_cumulated(canary, places) - _cumulated(stable, places)).max(initial=0.0))


def margin(n: int, m: int) -> float:
    """Bound of the distance's error, one-sided at CONFIDENCE (Dvoretzky, Kiefer, Wolfowitz)."""
    return math.sqrt(math.log(1 / (1 - CONFIDENCE)) / 2 * (1 / n + 1 / m))


def judge_scores(
    canary: Distribution, stable: Distribution, limit: float, min_samples: int, alpha: float
) -> Judged:
    """Verdict on the distribution of the first output.

    Fail: any value that is not finite where stable has none; or one single value of the canary
    that stable's spread makes less likely than ``alpha``; or the test at ``alpha`` and a distance
    whose lower bound is above ``limit``.
    Pass: ``min_samples`` of both sides, and a distance whose upper bound is not above ``limit``.
    """
    from scipy.special import kolmogorov

    n, m = canary.total, stable.total
    if stable.non_finite:
        return Judged("inconclusive", "stable itself answers values that are not finite", n, m)
    if canary.non_finite:
        return Judged("fail", f"{canary.non_finite} of {n} scores are not finite", n, m, 1.0)
    if n == 0 or m == 0:
        return Judged("inconclusive", f"{n} scores of the canary, {m} of stable", n, m)
    constant = _constant(canary, stable, alpha)
    if constant is not None and m >= min_samples:
        return Judged("fail", constant, n, m, distance(canary, stable))
    d = distance(canary, stable)
    p = float(kolmogorov(d * math.sqrt(n * m / (n + m))))
    slack = margin(n, m)
    seen = f"distance {d:.3f}, {max(d - slack, 0):.3f} to {d + slack:.3f}, limit {limit:g}"
    figures = (n, m, d, p)
    if min(n, m) < min_samples:
        return Judged("inconclusive", f"{seen}: fewer than {min_samples} scores", *figures)
    if p < alpha and d - slack > limit:
        return Judged("fail", seen, *figures)
    return Judged("pass" if d + slack <= limit else "inconclusive", seen, *figures)


def _constant(canary: Distribution, stable: Distribution, alpha: float) -> str | None:
    """The sentence about a canary whose answers are all the same though stable's are not."""
    places = np.flatnonzero(canary.weights)
    if len(places) != 1:
        return None
    value = canary.values[places[0]]
    same = int(stable.weights[stable.values == value].sum())
    _, share = exact_bounds(Counts(same, stable.total))
    if share**canary.total >= alpha:
        return None
    return (
        f"all {canary.total} scores of the canary are the same ({value:g}), "
        f"which {same} of stable's {stable.total} are"
    )


def _cumulated(side: Distribution, places: Floats) -> Floats:
    total = np.concatenate([[0], np.cumsum(side.weights)])
    return total[np.searchsorted(side.values, places, side="right")] / max(int(total[-1]), 1)
