"""Latency: the ratio of a quantile, over paired blocks of time.

Pods that start on shared cores, a busy network or a collector's pause slow *both* sides for
seconds. Requests within such a shock are anything but independent, and a test over single
requests (Mann-Whitney, Kolmogorov-Smirnov) would take the luck of who sent more of them for a
difference. So time is cut into blocks, each side's quantile is taken per block, and the logarithms
of the blocks' ratios are tested by signed ranks: a shock that both sides share cancels, and one
that only one side had is one block, however slow it was. Where the sides were measured at
different times (the watch window) the blocks are compared by Mann-Whitney.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from dwcp_ml.rollout.analysis.evidence import BlockQuantiles, Judged
from dwcp_ml.rollout.analysis.levels import CONFIDENCE
from dwcp_ml.rollout.analysis.ranks import Shift, middle, paired_shift, unpaired_shift

if TYPE_CHECKING:
    from collections.abc import Callable

    from dwcp_ml.rollout.analysis.evidence import Floats
    from dwcp_ml.rollout.state import Verdict

MAX_BLOCKS = 40
MIN_BLOCKS = 5  # the fewest whose signed ranks bound anything at CONFIDENCE


def requests_per_block(quantile: float) -> int:
    """Fewest requests of a side that say something of the quantile: one beyond it in two blocks."""
    return max(10, math.ceil(0.5 / min(quantile, 1 - quantile)))


def block_quantiles(
    canary: tuple[Floats, Floats], stable: tuple[Floats, Floats], quantile: float, paired: bool
) -> BlockQuantiles:
    """Blocks of samples.

    Args:
        canary: (n,) times in s, and latencies in s.
        stable: the same.
        quantile: 0..1.
        paired: cut both at the same moments.
    """
    per_block = requests_per_block(quantile)
    n, m = len(canary[0]), len(stable[0])
    edges = block_edges((canary[0], n), (stable[0], m), per_block, paired)
    c = _per_block(canary, edges[0], quantile, per_block)
    s = _per_block(stable, edges[1], quantile, per_block)
    return matched(c, s, n, m, paired)


def matched(c: Floats, s: Floats, n: int, m: int, paired: bool) -> BlockQuantiles:
    """Blocks that hold enough (finite ones): of both sides at once, or evenly thinned."""
    if paired:
        both = np.isfinite(c) & np.isfinite(s)
        return BlockQuantiles(c[both], s[both], n, m)
    return BlockQuantiles(_thinned(c), _thinned(s), n, m, paired=False)


def block_edges(
    canary: tuple[Floats, int], stable: tuple[Floats, int], per_block: int, paired: bool
) -> tuple[Floats, Floats]:
    """Borders of blocks on either side, b + 1 for b blocks.

    Unpaired blocks have one length on both sides, because a longer one is likelier to hold a shock.

    Args:
        canary: times of its samples in s, and how many requests they stand for.
        stable: the same.
        per_block: fewest requests in a block.
        paired: the same borders for both.
    """
    sides = (canary, stable)
    if min(n for _, n in sides) < per_block:
        return np.empty(0), np.empty(0)
    if paired:
        at_s = np.concatenate([canary[0], stable[0]])
        count = min(*(n // per_block for _, n in sides), MAX_BLOCKS)
        edges = _steps(at_s, float(np.ptp(at_s)) / count)
        return edges, edges
    spans = [float(np.ptp(at_s)) for at_s, _ in sides]
    enough = max(span / (n // per_block) for span, (_, n) in zip(spans, sides, strict=True))
    length_s = max(enough, min(spans) / MAX_BLOCKS)
    return _steps(canary[0], length_s), _steps(stable[0], length_s)


def judge_latency(
    blocks: BlockQuantiles, quantile: float, limit: float, min_samples: int, alpha: float
) -> Judged:
    """Verdict on the ratio canary / stable of a quantile.

    Fail: the rank test at ``alpha`` says slower, and the ratio's lower bound is above ``limit``.
    Pass: ``min_samples`` of both sides, and the ratio's upper bound is not above ``limit``.
    A histogram whose bounds hide the ratio gives only the verdict that they cannot change.
    """
    n = (blocks.canary_n, blocks.stable_n)
    c, s = blocks.canary_s, blocks.stable_s
    name = f"p{100 * quantile:g}"
    if not (np.isfinite(c).all() and np.isfinite(s).all() and (c > 0).all() and (s > 0).all()):
        return Judged("inconclusive", f"{name}: latencies that are no positive numbers", *n)
    if min(n) < min_samples:
        return Judged(
            "inconclusive",
            f"{name}: {n[0]} requests of the canary and {n[1]} of stable are too few "
            f"(at least {max(min_samples, MIN_BLOCKS * requests_per_block(quantile))})",
            *n,
        )
    if min(len(c), len(s)) < MIN_BLOCKS:
        why = f"{name}: {min(len(c), len(s))} of {MIN_BLOCKS} blocks of time hold enough to compare"
        return Judged("inconclusive", why, *n)
    shift = _ratio(blocks)
    figures = (*n, shift.estimate, shift.p_above)
    seen = (
        f"{name} canary {1000 * middle(np.sort(c)):.2f} ms, "
        f"stable {1000 * middle(np.sort(s)):.2f} ms in a typical block: "
        f"ratio {shift.estimate:.2f}, {shift.low:.2f} to {shift.high:.2f}, limit {limit:g}"
    )
    verdict: Verdict = "inconclusive"
    if shift.p_above < alpha and shift.low > limit:
        verdict = "fail"
    elif shift.high <= limit:
        verdict = "pass"
    smaller, greater, where = _hidden(blocks)
    if (greater and verdict != "fail") or (smaller and verdict != "pass"):
        why = (
            f"{name} lies {where} of the histogram, which hides the ratio: "
            "use the prober or a finer histogram"
        )
        return Judged("inconclusive", why, *n)
    return Judged(verdict, seen, *figures)


def _ratio(blocks: BlockQuantiles) -> Shift:
    c, s = np.log(blocks.canary_s), np.log(blocks.stable_s)
    shift = paired_shift(c - s, CONFIDENCE) if blocks.paired else unpaired_shift(c, s, CONFIDENCE)
    low, mid, high = (float(np.exp(x)) for x in (shift.low, shift.estimate, shift.high))
    return Shift(low, mid, high, shift.p_above)


def _hidden(blocks: BlockQuantiles) -> tuple[bool, bool, str]:
    """Whether the true ratio may be smaller, or greater, than the one that a histogram shows.

    Outside of its bounds a histogram shows the bound. A stable that lies below the first bound
    leaves a canary far above it slow all the same: only a pass is in doubt then.
    """

    def most(side: Floats, beyond: Callable[[Floats, float], Floats], at_s: float) -> bool:
        return bool(2 * np.count_nonzero(beyond(side, at_s)) > len(side))

    c, s, floor_s, ceiling_s = blocks.canary_s, blocks.stable_s, blocks.floor_s, blocks.ceiling_s
    low = most(c, np.less_equal, floor_s), most(s, np.less_equal, floor_s)
    high = most(c, np.greater_equal, ceiling_s), most(s, np.greater_equal, ceiling_s)
    where = f"below the first bound, {floor_s:g} s," if any(low) else ""
    where = where or f"above the last bound, {ceiling_s:g} s,"
    return low[0] or high[1], low[1] or high[0], where


def _steps(at_s: Floats, length_s: float) -> Floats:
    """Borders of as many blocks of one length as fit, the last one at the end."""
    count = int(np.ptp(at_s) / length_s + 1e-9) if length_s > 0 else 0
    if count < 1:
        return np.empty(0)
    return np.nextafter(at_s.max(), np.inf) - length_s * np.arange(count, -1, -1)


def _thinned(found: Floats) -> Floats:
    """At most MAX_BLOCKS of the finite ones, evenly spread."""
    found = found[np.isfinite(found)]
    if len(found) <= MAX_BLOCKS:
        return found
    return found[np.linspace(0, len(found) - 1, MAX_BLOCKS).round().astype(np.int64)]


def _per_block(
    side: tuple[Floats, Floats], edges: Floats, quantile: float, per_block: int
) -> Floats:
    """(b,) quantiles; NaN for a block with less than half of what it should have."""
    at_s, value_s = side
    count = max(len(edges) - 1, 0)
    if not count:
        return np.empty(0)
    order = np.argsort(at_s, kind="stable")
    cuts = np.searchsorted(at_s[order], edges)
    size = np.diff(cuts)
    rows = np.full((count, max(int(size.max()), 1)), np.inf)
    rows[np.arange(rows.shape[1]) < size[:, None]] = value_s[order[cuts[0] : cuts[-1]]]
    rows.sort(axis=1)
    # Linear interpolation between order statistics, as numpy's quantile does.
    place = quantile * np.maximum(size - 1, 0)
    below = place.astype(np.int64)
    above = np.minimum(below + 1, np.maximum(size - 1, 0))
    each = np.arange(count)
    enough = size >= per_block / 2
    low, high = rows[each, below][enough], rows[each, above][enough]
    found = np.full(count, np.nan)
    found[enough] = low + (place - below)[enough] * (high - low)
    return found
