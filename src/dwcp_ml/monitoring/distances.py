"""How far two sets of values lie from each other; all by SciPy, NaN left out before."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
BINS = 10  # of the population stability index, equally full in the reference
# What one unit of measurement most often is of another: bits and bytes, percent and fraction,
# seconds and minutes, hours, milliseconds and microseconds, kilo, mega and kibi.
FACTORS = (8.0, 60.0, 100.0, 1000.0, 1024.0, 3600.0, 1e6)


def known(values: Values) -> Values:
    """Those that are there."""
    return values[np.isfinite(values)]


def smirnov(window: Values, reference: Values) -> float:
    """Kolmogorov-Smirnov distance of numbers, 0 to 1."""
    from scipy.stats import ks_2samp

    return float(ks_2samp(window, reference, method="asymp").statistic)


def variation(window: Values, reference: Values) -> float:
    """Total variation of categories, 0 to 1: half of the sum of differences of their shares."""
    from scipy.spatial.distance import cityblock

    shares = [counts / counts.sum() for counts in _counted(window, reference)]
    return float(cityblock(*shares) / 2)


def psi(reference: Values, window: Values, *, categorical: bool = False) -> float:
    """Population stability index of (n,) against (m,); empty bins count half a row."""
    from scipy.stats import entropy

    if not len(reference) or not len(window):
        return float("nan")
    if categorical:
        counts = _counted(reference, window)
    else:
        edges = np.unique(np.quantile(reference, np.linspace(0, 1, BINS + 1)[1:-1]))
        counts = [
            np.bincount(np.searchsorted(edges, x, side="left"), minlength=len(edges) + 1)
            for x in (reference, window)
        ]
    first, second = (np.maximum(count, 0.5) for count in counts)
    return float(entropy(first, second) + entropy(second, first))


def shift(reference: Values, window: Values) -> float:
    """Wasserstein distance over the reference's interquartile range; NaN where that is zero."""
    from scipy.stats import wasserstein_distance

    if not len(reference) or not len(window):
        return float("nan")
    low, high = np.quantile(reference, [0.25, 0.75])
    if high <= low:
        return float("nan")
    return float(wasserstein_distance(reference, window) / (high - low))


def unit_factor(reference: Values, window: Values, limit: float) -> float | None:
    """The factor by which a window has to be divided to be as usual; None if none does it."""
    tried = [factor for one in FACTORS for factor in (one, 1 / one)]
    found = {factor: smirnov(window / factor, reference) for factor in tried}
    best = min(found, key=lambda factor: found[factor])
    return best if found[best] <= limit else None


def _counted(*codes: Values) -> list[NDArray[np.int64]]:
    """How often each code is there, in the same order for all."""
    most = int(max(values.max() for values in codes)) + 1
    return [np.bincount(values.astype(np.int64), minlength=most) for values in codes]
