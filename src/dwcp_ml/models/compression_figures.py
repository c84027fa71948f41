"""Plots of the compression selector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dwcp_ml.models.base import Array, Examples, Figure, Outputs
from dwcp_ml.models.compression_network import LEVELS

if TYPE_CHECKING:
    from collections.abc import Mapping

BINS = 24


def compression_figures(
    examples: Examples, outputs: Outputs, rivals: Mapping[str, Outputs]
) -> tuple[Figure, ...]:
    """Regret by bandwidth (with gains), levels chosen, agreement by the oracle's level."""
    figures = [_levels(examples, outputs), _by_level(examples, outputs)]
    if "log_gain" in examples.targets:
        figures.insert(0, _regret(examples, {"model": outputs, **rivals}))
    return tuple(figures)


def _regret(examples: Examples, predictors: Mapping[str, Outputs]) -> Figure:
    rate = examples.features[:, 0]
    edges = np.quantile(rate, np.linspace(0, 1, BINS + 1))
    place = np.clip(np.searchsorted(edges, rate, side="right") - 1, 0, BINS - 1)
    counts = np.maximum(np.bincount(place, minlength=BINS), 1)
    centre = np.sqrt(edges[1:] * edges[:-1])
    log_gain = examples.targets["log_gain"]
    series: dict[str, tuple[Array, Array]] = {}
    for name, answer in predictors.items():
        if name == "zlib_default":
            continue  # off the scale of the others
        chosen = log_gain[np.arange(len(rate)), answer["compression_level"]]
        regret = 100 * (1 - np.exp(chosen - log_gain.max(axis=1)))
        series[name] = (centre, np.bincount(place, regret, BINS) / counts)
    return Figure(
        "regret_by_bandwidth",
        "Regret by bandwidth",
        "line",
        "Mbit/s",
        "mean regret, %",
        series,
        log_x=True,
    )


def _levels(examples: Examples, outputs: Outputs) -> Figure:
    names = np.arange(LEVELS).astype(str)
    series = {
        "oracle": (names, _shares(examples.targets["level"])),
        "model": (names, _shares(outputs["compression_level"])),
    }
    return Figure("levels", "Levels chosen", "bar", "level", "share of rows", series)


def _shares(level: Array) -> Array:
    return np.bincount(level, minlength=LEVELS) / max(len(level), 1)


def _by_level(examples: Examples, outputs: Outputs) -> Figure:
    """Recall of each of the oracle's levels, rows with a clear best level only."""
    level = examples.targets["level"]
    clear = examples.targets.get("clear", np.ones(len(level), bool))
    kept = [k for k in range(LEVELS) if (clear & (level == k)).sum() >= 20]
    right = [(outputs["compression_level"] == k)[clear & (level == k)].mean() for k in kept]
    return Figure(
        "recall_by_level",
        "Recall by level where the oracle is clear",
        "bar",
        "level",
        "recall",
        {"model": (np.array(kept).astype(str), np.array(right))},
    )
