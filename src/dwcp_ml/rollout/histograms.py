"""Histograms of Prometheus: distributions, and latency quantiles per block of time. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dwcp_ml.rollout.analysis.evidence import BlockQuantiles, Distribution
from dwcp_ml.rollout.analysis.latency import block_edges, matched, requests_per_block
from dwcp_ml.rollout.series import Increase, UnusableError

if TYPE_CHECKING:
    from dwcp_ml.rollout.analysis.evidence import Floats, Ints


def bounds_of(*sides: Sequence[Increase]) -> Floats:
    """Upper bounds that all sides have, ascending, the last one infinite.

    Raises:
        UnusableError: they share no finite bound, or one has no +Inf bucket.
    """
    shared = set.intersection(*({_bound(one) for one in side} for side in sides))
    if math.inf not in shared or len(shared) < 2:
        raise UnusableError("the two histograms share no buckets")
    return np.array(sorted(shared))


def distribution_of(side: Sequence[Increase], bounds: Floats) -> Distribution:
    """Values seen over the window, as the upper bounds of their buckets."""
    return Distribution(bounds, _per_bucket(side, bounds, -math.inf, math.inf))


def quantile_blocks(
    canary: Sequence[Increase], stable: Sequence[Increase], quantile: float, paired: bool
) -> BlockQuantiles:
    """The quantile of both sides in blocks of time.

    Within a bucket it is interpolated on the logarithm, in the first one it is its bound.

    Raises:
        UnusableError: see ``bounds_of``.
    """
    bounds = bounds_of(canary, stable)
    n, m = (int(_per_bucket(side, bounds, -math.inf, math.inf).sum()) for side in (canary, stable))
    # At least two scrapes in a block: the sides are scraped at different moments.
    per_block = max(
        requests_per_block(quantile),
        *(
            math.ceil(2 * count / max(_scrapes(side), 1))
            for count, side in ((n, canary), (m, stable))
        ),
    )
    times = (_times(canary), n), (_times(stable), m)
    edges = block_edges(*times, per_block, paired)
    c = _quantiles(canary, bounds, edges[0], quantile)
    s = _quantiles(stable, bounds, edges[1], quantile)
    blocks = matched(c, s, n, m, paired)
    return replace(blocks, floor_s=float(bounds[0]), ceiling_s=float(bounds[-2]))


def _quantiles(side: Sequence[Increase], bounds: Floats, edges: Floats, quantile: float) -> Floats:
    least = requests_per_block(quantile) / 2
    found = np.full(max(len(edges) - 1, 0), np.nan)
    for i in range(len(found)):
        counts = _per_bucket(side, bounds, edges[i], edges[i + 1])
        if counts.sum() >= least:
            found[i] = _quantile(counts, bounds, quantile)
    return found


def _quantile(counts: Ints, bounds: Floats, quantile: float) -> float:
    cumulated = np.cumsum(counts)
    wanted = quantile * cumulated[-1]
    place = int(np.searchsorted(cumulated, wanted))
    if place == 0:
        return float(bounds[0])
    if place >= len(bounds) - 1:
        return float(bounds[-2])
    share = (wanted - cumulated[place - 1]) / counts[place]
    return float(bounds[place - 1] * (bounds[place] / bounds[place - 1]) ** share)


def _per_bucket(side: Sequence[Increase], bounds: Floats, after: float, upto: float) -> Ints:
    """(k,) values in each bucket, seen after ``after`` and not later than ``upto``."""
    cumulated = np.zeros(len(bounds))
    places = {bound: place for place, bound in enumerate(bounds.tolist())}
    for one in side:
        place = places.get(_bound(one))
        if place is not None:
            inside = (one.at_s > after) & (one.at_s <= upto)
            cumulated[place] += one.gains[inside].sum()
    # A scrape between two buckets' updates may leave them a count apart.
    return np.maximum(np.diff(np.maximum.accumulate(cumulated), prepend=0.0), 0).astype(np.int64)


def _times(side: Sequence[Increase]) -> Floats:
    """When samples were taken, ascending."""
    return np.unique(np.concatenate([one.at_s for one in side]))


def _scrapes(side: Sequence[Increase]) -> int:
    return max(len(one.at_s) for one in side)


def _bound(one: Increase) -> float:
    try:
        return float(one.labels["le"])
    except (KeyError, ValueError) as error:
        raise UnusableError("a histogram's bucket has no bound") from error
