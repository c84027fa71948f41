"""A code (0, 1, ...) as indicators without casts: steps at whole numbers, then one exact matrix.

A one-hot costs a graph four nodes: slice, squeeze, cast and one-hot. A steep ramp over the code,
cut at +-size by what the other inputs go through anyway, is a step, and costs a column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A code counts as a whole number from 1/128 below it on, as a cast to integers would have it.
RAMP_START, RAMP_END = 1 / 64, 1 / 128


def kinds_from_steps(before: int, kinds: int, size: float) -> NDArray[np.float32]:
    """Weights (before + kinds, before + kinds) from steps to indicators, exact for a power of two.

    Args:
        before: columns that pass unchanged.
        kinds: number of codes. The columns after ``before``: the constant ``size``, then for each
            code but 0 ``size`` from that code on and ``-size`` below it. A code outside the known
            ones counts as the nearest.
        size: of a step.
    """
    weights = np.eye(before + kinds)
    weights[before:, before:] = 0
    half = 1 / (2 * size)
    for kind in range(before, before + kinds):  # past the step to this kind, not past the next
        weights[kind, kind] += half
        if kind + 1 < before + kinds:
            weights[kind + 1, kind] -= half
    weights[before, -1] += half  # no kind follows the last: the constant stands for it
    return weights.astype(np.float32)
