"""Does a window of live values look unlike the reference, beyond what is usual there?

A test that takes rows as independent calls every window of telemetry a drift: rows follow each
other in time, days differ, and with enough rows any difference is significant. So the reference is
cut into windows of the same length, and each of them is compared with the rest of the reference.
Those distances say what is usual. A window drifts in a column if its distance is larger than every
usual one, taken over all columns at once (Westfall and Young, Resampling-Based Multiple Testing,
1993: the maximum over columns keeps the false alarms of all columns together in bounds), and is
large enough to matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dwcp_ml.errors import DriftError
from dwcp_ml.monitoring import distances

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dwcp_ml.monitoring.columns import Column, Kind

Values = NDArray[np.float64]
LEAST_WINDOWS = 5  # of the reference; with fewer nobody knows what is usual
LEAST_ROWS = 50  # of a window, and of the values that a column of it must have
LEAST_DISTANCE = 0.1  # distance below which nothing is a drift
SMALLEST_USUAL = 0.01  # a column that never moves would make every move infinitely unusual
MOST_ROWS = 20_000  # of the pooled reference, thinned evenly


@dataclass(frozen=True)
class ColumnDrift:
    """One column of one window.

    Attributes:
        name: of the column.
        kind: what it holds: something asked, something answered, or whether a value is there.
        distance: to the reference, 0 to 1: Kolmogorov-Smirnov of numbers, total variation of
            categories; NaN where there are too few values.
        usual: median distance of the reference's own windows.
        limit: distance above which the column drifts.
        psi: population stability index: the Jeffreys divergence over deciles or categories.
        shift: Wasserstein distance in units of the reference's interquartile range.
        drifted: the verdict.
        note: what a reader should know beside the figures, or nothing.
    """

    name: str
    kind: Kind
    distance: float
    usual: float
    limit: float
    psi: float
    shift: float
    drifted: bool
    note: str = ""


class Reference:
    """What is usual: pooled values, and how far windows of it lie from the others."""

    def __init__(self, columns: Sequence[Column], windows: Sequence[Values]) -> None:
        """Calibrate on windows of equal length.

        Args:
            columns: what the values are.
            windows: (rows, columns) each, in time order; NaN is a value that is not there.

        Raises:
            DriftError: too few windows with enough rows.
        """
        kept = [window for window in windows if len(window) >= LEAST_ROWS]
        if len(kept) < LEAST_WINDOWS:
            raise DriftError(
                f"the reference has {len(kept)} windows of {LEAST_ROWS} rows or more, "
                f"{LEAST_WINDOWS} are needed to know what is usual; give a longer reference or "
                "shorter windows"
            )
        self.columns = tuple(columns)
        self.windows = len(kept)
        self._pooled = _thin(np.concatenate(kept))
        moved = np.array(
            [self._moved(w, _thin(np.concatenate(kept[:i] + kept[i + 1 :])))
             for i, w in enumerate(kept)]
        )  # fmt: skip
        known = np.isfinite(moved).any(axis=0)
        moved[:, ~known] = 0  # never enough values in one window: nothing is told of such a column
        self.usual = np.maximum(np.nanmedian(moved, axis=0), SMALLEST_USUAL)
        # The largest move of any column, in units of what is usual for that column.
        self.factor = float(np.nanmax(moved / self.usual))
        # A distance ends at 1: half of the way there from a column's own largest move is enough.
        enough = (1 + np.nanmax(moved, axis=0)) / 2
        self.limits = np.maximum(np.minimum(self.usual * self.factor, enough), LEAST_DISTANCE)

    @property
    def false_alarm_rate(self) -> float:
        """Of a window that is like the reference's: it would have to be the most unusual one."""
        return 1 / (self.windows + 1)

    def compare(self, window: Values) -> list[ColumnDrift]:
        """Every column of a window, (rows, columns).

        Raises:
            DriftError: the window has too few rows.
        """
        if len(window) < LEAST_ROWS:
            raise DriftError(
                f"the window has {len(window)} rows, {LEAST_ROWS} are needed; take a longer one"
            )
        moved = self._moved(window, self._pooled)
        return [self._judged(i, window[:, i], float(moved[i])) for i in range(len(self.columns))]

    def _judged(self, place: int, window: Values, distance: float) -> ColumnDrift:
        column, limit = self.columns[place], float(self.limits[place])
        was, now = distances.known(self._pooled[:, place]), distances.known(window)
        drifted = distance > limit
        numbers = not column.categorical
        return ColumnDrift(
            column.name,
            column.kind,
            distance,
            float(self.usual[place]),
            limit,
            distances.psi(was, now, categorical=column.categorical),
            distances.shift(was, now) if numbers else float("nan"),
            drifted,
            _note(column, was, now, limit, drifted=drifted),
        )

    def _moved(self, window: Values, others: Values) -> Values:
        """Distance of each column, NaN where one side has too few values."""
        found = np.full(len(self.columns), np.nan)
        for i, column in enumerate(self.columns):
            mine, theirs = distances.known(window[:, i]), distances.known(others[:, i])
            if min(len(mine), len(theirs)) >= LEAST_ROWS:
                measure = distances.variation if column.categorical else distances.smirnov
                found[i] = measure(mine, theirs)
        return found


def _note(column: Column, was: Values, now: Values, limit: float, *, drifted: bool) -> str:
    if len(now) < LEAST_ROWS:
        return f"{len(now) or 'no'} values in this window, {LEAST_ROWS} are needed"
    if column.words is not None:
        unseen = [column.words[int(code)] for code in np.setdiff1d(now, was)]
        return f"not in the reference: {', '.join(unseen)}" if unseen else ""
    factor = distances.unit_factor(was, now, limit) if drifted else None
    if factor is not None:
        return f"another unit? divided by {factor:g} the values are as usual"
    if drifted and np.ptp(was) == 0:
        return f"always {was[0]:g} in the reference"
    if drifted and np.ptp(now) == 0:
        return f"always {now[0]:g} now"
    return ""


def _thin(values: Values) -> Values:
    return values[:: -(-len(values) // MOST_ROWS)]
