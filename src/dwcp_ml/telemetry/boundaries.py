"""Where the parts of a split begin and end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from dwcp_ml.errors import EmptySplitError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dwcp_ml.params import SplitParams
    from dwcp_ml.telemetry.arrays import Array
    from dwcp_ml.telemetry.dataset import Manifest, Role

ROLES: tuple[Role, ...] = ("train", "validation", "test")
LEFT_OUT = -1


@dataclass(frozen=True)
class Boundaries:
    """First and last second of each part, in the order of ``ROLES``; both belong to it."""

    edges_s: tuple[tuple[int, int], ...]

    def roles(self, time_s: Array) -> NDArray[np.int8]:
        """(rows,) number of the part of each row, or LEFT_OUT in a gap."""
        roles = np.full(len(time_s), LEFT_OUT, np.int8)
        for number, (start, end) in enumerate(self.edges_s):
            roles[(time_s >= start) & (time_s <= end)] = number
        return roles

    def spans(self) -> dict[Role, tuple[int, int]]:
        """The edges by name."""
        return dict(zip(ROLES, self.edges_s, strict=True))


def lengths(steps: int, params: SplitParams, gap_steps: int) -> tuple[int, int, int] | None:
    """Steps of the three parts once two gaps are taken away; None if a part gets none."""
    usable = steps - 2 * gap_steps
    train = round(params.train * usable)
    validation = round((params.train + params.validation) * usable) - train
    found = (train, validation, usable - train - validation)
    return found if min(found) > 0 else None


def time_boundaries(manifest: Manifest, params: SplitParams, gap_steps: int) -> Boundaries:
    """Boundaries common to all series, from the first to the last time of the telemetry.

    Raises:
        EmptySplitError: the telemetry is shorter than two gaps and three steps.
    """
    first = int(datetime.fromisoformat(manifest.start).timestamp())
    last = int(datetime.fromisoformat(manifest.end).timestamp())
    step_s = manifest.step_s
    steps = (last - first) // step_s + 1
    sizes = lengths(steps, params, gap_steps)
    if sizes is None:
        raise EmptySplitError(
            f"the telemetry spans {steps:,} steps, and two gaps of {gap_steps:,} steps between "
            "the parts leave too few; bring more data or shorten the models' windows"
        )
    edges, start = [], first
    for size in sizes:
        edges.append((start, start + (size - 1) * step_s))
        start += (size + gap_steps) * step_s
    # Series off the common grid may end a fraction of a step later.
    edges[-1] = (edges[-1][0], last)
    return Boundaries(tuple(edges))


def series_roles(
    starts: NDArray[np.bool_], params: SplitParams, gap_steps: int
) -> NDArray[np.int8]:
    """(rows,) part of each row where each series is cut by the number of its rows.

    A gap in the series makes two parts only farther apart in time, never nearer.

    Args:
        starts: (rows,) whether a row is the first one of its series.
        params: fractions.
        gap_steps: rows left out between two parts of a series.
    """
    roles = np.zeros(len(starts), np.int8)
    first = np.flatnonzero(starts)
    for start, stop in zip(first, np.append(first[1:], len(starts)), strict=True):
        sizes = lengths(int(stop - start), params, gap_steps)
        if sizes is None:
            continue  # too short to be cut: train, where no other part can see it
        train, validation, test = sizes
        roles[start + train : stop] = LEFT_OUT
        middle = start + train + gap_steps
        roles[middle : middle + validation] = 1
        roles[stop - test : stop] = 2
    return roles
