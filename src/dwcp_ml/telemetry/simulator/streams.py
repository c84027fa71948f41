"""Random streams and the two stochastic processes that everything is made of."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


def stream(seed: int, process: str, entity: int = 0) -> np.random.Generator:
    """A generator of its own for one process of one entity.

    Results do not depend on which entities are simulated together, so chunks may have any size.
    """
    key = np.random.SeedSequence([seed, zlib.crc32(process.encode()), entity])
    return np.random.Generator(np.random.SFC64(key))


def autoregressive(rng: np.random.Generator, steps: int, lag1: float, sd: float = 1.0) -> Float:
    """Stationary Gaussian AR(1), (steps,), with the given lag-1 correlation and deviation."""
    from scipy.signal import lfilter

    noise = rng.standard_normal(steps)
    noise[0] /= np.sqrt(1 - lag1**2)  # start in the stationary distribution
    return np.asarray(lfilter([sd * np.sqrt(1 - lag1**2)], [1.0, -lag1], noise))


def student4(gaussian: Float) -> Float:
    """Map unit Gaussian values to Student's t with four degrees of freedom, unit deviation.

    The quantile function of t4 has a closed form: Shaw, "Sampling Student's T distribution",
    J. Computational Finance 9(4), 2006.
    """
    from scipy.special import ndtr

    u = np.clip(ndtr(gaussian), 1e-12, 1 - 1e-12)
    root = np.sqrt(4 * u * (1 - u))
    q = np.cos(np.arccos(np.minimum(root, 1.0)) / 3) / root
    t = np.sign(u - 0.5) * 2 * np.sqrt(np.maximum(q - 1, 0))
    return np.asarray(t / np.sqrt(2))  # t4 has variance 2


def events(rng: np.random.Generator, steps: int, rate: float) -> NDArray[np.int64]:
    """Sorted steps at which a Poisson process of ``rate`` a step fires, at most once a step."""
    return np.flatnonzero(rng.random(steps) < rate)
