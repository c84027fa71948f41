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

if TYPE_CHECKING:
    from collections.abc import Sequence

Values = NDArray[np.float64]
LEAST_WINDOWS = 5  # of the reference; with fewer nobody knows what is usual
LEAST_ROWS = 50  # of a window
LEAST_DISTANCE = 0.1  # Kolmogorov-Smirnov distance below which nothing is a drift
SMALLEST_USUAL = 0.01  # a column that never moves would make every move infinitely unusual
MOST_ROWS = 20_000  # of the pooled reference, thinned evenly
BINS = 10  # of the population stability index, equally full in the reference


@dataclass(frozen=True)
class ColumnDrift:
    """One column of one window.

    Attributes:
        name: of the column.
        distance: Kolmogorov-Smirnov distance to the reference, 0 to 1.
        usual: median distance of the reference's own windows.
        limit: distance above which the column drifts.
        psi: population stability index: the Jeffreys divergence over deciles of the reference.
        shift: Wasserstein distance in units of the reference's interquartile range.
        drifted: the verdict.
    """

    name: str
    distance: float
    usual: float
    limit: float
    psi: float
    shift: float
    drifted: bool


class Reference:
    """What is usual: pooled values, and how far windows of it lie from the others."""

    def __init__(self, names: Sequence[str], windows: Sequence[Values]) -> None:
        """Calibrate on windows of equal length.

        Args:
            names: of the columns.
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
        self.names = tuple(names)
        self.windows = len(kept)
        self._pooled = np.concatenate(kept)
        moved = np.array(
            [_distances(w, _thin(np.concatenate(kept[:i] + kept[i + 1 :])))
             for i, w in enumerate(kept)]
        )  # fmt: skip
        self.usual = np.maximum(np.median(moved, axis=0), SMALLEST_USUAL)
        # The largest move of any column, in units of what is usual for that column.
        self.factor = float((moved / self.usual).max())
        # A distance ends at 1: half of the way there from a column's own largest move is enough.
        self._enough = (1 + moved.max(axis=0)) / 2

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
        pooled = _thin(self._pooled)
        distances = _distances(window, pooled)
        limits = np.maximum(np.minimum(self.usual * self.factor, self._enough), LEAST_DISTANCE)
        return [
            ColumnDrift(
                name,
                float(distances[i]),
                float(self.usual[i]),
                float(limits[i]),
                psi(pooled[:, i], window[:, i]),
                shift(pooled[:, i], window[:, i]),
                bool(distances[i] > limits[i]),
            )
            for i, name in enumerate(self.names)
        ]


def psi(reference: Values, window: Values) -> float:
    """Population stability index of (n,) against (m,); empty bins count half a row."""
    from scipy.stats import entropy

    reference, window = _known(reference), _known(window)
    if not len(reference) or not len(window):
        return float("nan")
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, BINS + 1)[1:-1]))
    shares = [
        np.maximum(
            np.bincount(np.searchsorted(edges, x, side="left"), minlength=len(edges) + 1), 0.5
        )
        for x in (reference, window)
    ]
    return float(entropy(shares[0], shares[1]) + entropy(shares[1], shares[0]))


def shift(reference: Values, window: Values) -> float:
    """Wasserstein distance over the reference's interquartile range; NaN where that is zero."""
    from scipy.stats import wasserstein_distance

    reference, window = _known(reference), _known(window)
    if not len(reference) or not len(window):
        return float("nan")
    low, high = np.quantile(reference, [0.25, 0.75])
    if high <= low:
        return float("nan")
    return float(wasserstein_distance(reference, window) / (high - low))


def _distances(window: Values, others: Values) -> Values:
    """Kolmogorov-Smirnov distance of each column; a missing share counts as a difference."""
    from scipy.stats import ks_2samp

    found = np.empty(window.shape[1])
    for i in range(window.shape[1]):
        mine, theirs = _known(window[:, i]), _known(others[:, i])
        missing = abs(len(mine) / len(window) - len(theirs) / max(len(others), 1))
        if not len(mine) or not len(theirs):
            found[i] = missing
            continue
        found[i] = max(ks_2samp(mine, theirs, method="asymp").statistic, missing)
    return found


def _known(values: Values) -> Values:
    return values[np.isfinite(values)]


def _thin(values: Values) -> Values:
    return values[:: -(-len(values) // MOST_ROWS)]
