"""What a score is, and how several hundred resamples of groups stay cheap."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Weights = NDArray[np.float64]
Codes = NDArray[np.int64]
Score = Callable[[Weights], float]


@runtime_checkable
class Grouped(Protocol):
    """A score that knows a short way when all examples of a group carry one weight."""

    def __call__(self, weights: Weights) -> float:
        """The figure under weights (n,)."""
        ...

    def by_group(self, codes: Codes, groups: int) -> Score:
        """The same figure as a function of the groups' weights (groups,)."""
        ...


def per_group(score: Score, codes: Codes, groups: int) -> Score:
    """``score`` as a function of one weight per group; ``codes`` (n,) number the groups."""
    if isinstance(score, Grouped):
        return score.by_group(codes, groups)
    return lambda multiples: score(multiples[codes])


@dataclass(frozen=True, eq=False)
class Sums:
    """A figure that follows from weighted sums of ``rows`` (k, n)."""

    rows: Weights
    finish: Callable[[Weights], float]

    def __call__(self, weights: Weights) -> float:
        """The figure under weights (n,)."""
        return self.finish(self.rows @ weights)

    def by_group(self, codes: Codes, groups: int) -> Score:
        """Sums of sums: afterwards a resample costs as many products as there are groups."""
        summed = [np.bincount(codes, row, groups) for row in self.rows]
        return Sums(np.stack(summed), self.finish)


@dataclass(frozen=True, eq=False)
class _Masked:
    mask: NDArray[np.bool_]
    inner: Score

    def __call__(self, weights: Weights) -> float:
        return self.inner(weights * self.mask)

    def by_group(self, codes: Codes, groups: int) -> Score:
        """Examples outside the mask form one more group that no resample ever draws."""
        inner = per_group(self.inner, np.where(self.mask, codes, groups), groups + 1)
        return lambda multiples: inner(np.append(multiples, 0.0))


def where(mask: ArrayLike, score: Score) -> Score:
    """``score`` over the examples where ``mask`` (n,) holds; the others weigh nothing."""
    held = np.asarray(mask, dtype=bool)
    if isinstance(score, Sums):
        return Sums(np.where(held, score.rows, 0.0), score.finish)  # also where a row is NaN
    return _Masked(held, score)


class prepared:  # noqa: N801 - reads as the decorator it is
    """A metric's ``compute`` that prepares once while examples and outputs stay the same objects.

    Only the newest pair is remembered, the examples weakly, because they can be large.
    """

    def __init__(self, prepare: Callable[[Any, Any], Score]) -> None:
        self.prepare = prepare
        self._memory: tuple[weakref.ref[Any], Any, Score] | None = None

    def __call__(self, examples: Any, outputs: Any, weights: Weights) -> float:
        """The figure under weights (n,)."""
        known = self._memory
        if known is None or known[0]() is not examples or known[1] is not outputs:
            known = (weakref.ref(examples), outputs, self.prepare(examples, outputs))
            self._memory = known
        return known[2](weights)


def as_float(values: ArrayLike) -> Weights:
    """Float64 array of ``values``."""
    return np.asarray(values, dtype=np.float64)


def ratio(top: float, bottom: float) -> float:
    """Quotient of two sums; NaN over zero."""
    return float(top / bottom) if bottom else float("nan")
