"""What was measured of one side or of both; the sources make it, the gates judge it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from dwcp_ml.rollout.state import Verdict

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Missing:
    """A measurement that could not be made, with the sentence why. Never a pass."""

    why: str


@dataclass(frozen=True)
class Counts:
    """Events (errors, rejections) among requests."""

    events: int
    total: int

    @property
    def ratio(self) -> float:
        """Share of events; 0 of no requests."""
        return self.events / self.total if self.total else 0.0


@dataclass(frozen=True)
class BlockQuantiles:
    """A latency quantile of both sides in each of many short blocks of time.

    Attributes:
        canary_s: (b,) seconds.
        stable_s: (b,) of the same blocks if ``paired``, else (c,) of others.
        canary_n: requests behind ``canary_s``.
        stable_n: requests behind ``stable_s``.
        paired: the blocks are the same moments on both sides.
        floor_s: below this the source cannot tell latencies apart (a histogram's first bound).
        ceiling_s: above this neither (its last bound).
    """

    canary_s: Floats
    stable_s: Floats
    canary_n: int
    stable_n: int
    paired: bool = True
    floor_s: float = 0.0
    ceiling_s: float = float("inf")


@dataclass(frozen=True)
class Distribution:
    """Values with how often each was seen, and how many were not finite.

    Of a histogram, ``values`` are the upper bounds of its buckets.
    """

    values: Floats  # (k,) ascending
    weights: Ints  # (k,)
    non_finite: int = 0

    @property
    def total(self) -> int:
        """All values, finite or not."""
        return int(self.weights.sum()) + self.non_finite


@dataclass(frozen=True)
class Judged:
    """A verdict before it is given its gate's name."""

    verdict: Verdict
    why: str
    canary_n: int = 0
    stable_n: int = 0
    effect: float | None = None
    p_value: float | None = None


def distribution(values: Floats) -> Distribution:
    """The distribution of a sample, (n,)."""
    finite = values[np.isfinite(values)]
    seen, weights = np.unique(finite, return_counts=True)
    return Distribution(seen, weights.astype(np.int64), len(values) - len(finite))
