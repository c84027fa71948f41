"""Errors and rejections: exact two-proportion test, excess with a confidence interval."""

from __future__ import annotations

from dataclasses import dataclass

from dwcp_ml.rollout.analysis.evidence import Counts, Judged
from dwcp_ml.rollout.analysis.levels import CONFIDENCE

CRITICAL_EVENTS = 3  # fewer can be one accident


@dataclass(frozen=True)
class Excess:
    """Canary's share minus stable's, with one-sided bounds."""

    low: float
    estimate: float
    high: float


def exact_bounds(counts: Counts, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Clopper-Pearson bounds of a share, each one-sided."""
    from scipy.special import betaincinv

    k, n = counts.events, counts.total
    low = float(betaincinv(k, n - k + 1, 1 - confidence)) if k else 0.0
    high = float(betaincinv(k + 1, n - k, confidence)) if k < n else 1.0
    return low, high


def excess(canary: Counts, stable: Counts, confidence: float = CONFIDENCE) -> Excess:
    """Difference of two shares.

    The bounds combine both sides' exact bounds by Newcombe's method (Statistics in Medicine 17,
    1998, method 10 with Clopper-Pearson's in place of Wilson's limits).
    """
    d = canary.ratio - stable.ratio
    canary_low, canary_high = exact_bounds(canary, confidence)
    stable_low, stable_high = exact_bounds(stable, confidence)
    down = ((canary.ratio - canary_low) ** 2 + (stable_high - stable.ratio) ** 2) ** 0.5
    up = ((canary_high - canary.ratio) ** 2 + (stable.ratio - stable_low) ** 2) ** 0.5
    return Excess(d - down, d, d + up)


def p_worse(canary: Counts, stable: Counts) -> float:
    """One-sided p of Fisher's exact test that the canary has the greater share.

    Conditioning on the total of events keeps it exact and fast at any size; the unconditional
    tests (Barnard, Boschloo) gain a little power at a cost that grows with the square of the size.
    """
    if canary.total == 0 or stable.total == 0 or canary.ratio <= stable.ratio:
        return 1.0
    from scipy.stats import hypergeom

    everyone = canary.total + stable.total
    events = canary.events + stable.events
    p = hypergeom.sf(canary.events - 1, everyone, events, canary.total)
    return min(max(float(p), 0.0), 1.0)


def judge_excess(
    canary: Counts, stable: Counts, limit: float, min_samples: int, alpha: float, events: str
) -> Judged:
    """Verdict on a share of ``events`` (a plural noun).

    Fail: the exact test at ``alpha``, and an excess whose lower bound is above ``limit``. It waits
    for ``min_samples`` of both sides, but for the critical rule: where stable has them without one
    event, CRITICAL_EVENTS of the canary's are enough if the test says so.
    Pass: ``min_samples`` of both sides, and an excess whose upper bound is not above ``limit``.
    """
    if not 0 <= canary.events <= canary.total or not 0 <= stable.events <= stable.total:
        return Judged("inconclusive", f"impossible counts: {canary}, {stable}")
    seen = (
        f"canary {canary.events} of {canary.total} ({canary.ratio:.2%}) {events}, "
        f"stable {stable.events} of {stable.total} ({stable.ratio:.2%})"
    )
    if canary.total == 0 or stable.total == 0:
        return Judged("inconclusive", f"{seen}: no requests", canary.total, stable.total)
    size, p = excess(canary, stable), p_worse(canary, stable)
    enough = min(canary.total, stable.total) >= min_samples
    critical = (
        stable.events == 0 and stable.total >= min_samples and canary.events >= CRITICAL_EVENTS
    )
    figures = (canary.total, stable.total, size.estimate, p)
    if p < alpha and size.low > limit and (enough or critical):
        return Judged("fail", f"{seen}: at least {size.low:.2%} more, limit {limit:.2%}", *figures)
    if not enough:
        return Judged("inconclusive", f"{seen}: fewer than {min_samples} requests", *figures)
    if size.high <= limit:
        return Judged("pass", f"{seen}: at most {size.high:.2%} more, limit {limit:.2%}", *figures)
    return Judged(
        "inconclusive",
        f"{seen}: between {size.low:+.2%} and {size.high:+.2%} more, limit {limit:.2%}",
        *figures,
    )
