"""A decision threshold that rounding cannot flip."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RESOLUTION = 1e-5  # relative; float32 sums of different order differ by less


def settled(scores: NDArray[np.floating], quantile: float) -> float:
    """The quantile of the scores, moved up into the next gap between two of them.

    Tree ensembles give few distinct scores, so a plain quantile often equals one of them, and
    native and exported model may then disagree on which side it falls.

    Args:
        scores: (n,) finite, for example of the normal validation examples.
        quantile: 0..1.

    Returns:
        Halfway between two neighbouring scores that are more than ``RESOLUTION`` apart (or just
        above the largest), as a value that float32 holds; at most 1 - quantile of the scores
        exceed it.
    """
    distinct = np.unique(np.asarray(scores, np.float64))
    start = np.searchsorted(distinct, np.quantile(scores, quantile, method="higher"))
    low = distinct[start:]
    high = np.append(low[1:], low[-1] + max(abs(low[-1]), 1.0) * 1e-3)
    gap = (high - low) > RESOLUTION * np.maximum(np.abs(low), 1e-3)
    first = int(np.argmax(gap))  # the last gap, above the largest score, is always wide
    return float(np.float32((low[first] + high[first]) / 2))
