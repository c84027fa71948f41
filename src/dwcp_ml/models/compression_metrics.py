"""Figures of the compression selector."""

from __future__ import annotations

from typing import Any

import numpy as np

from dwcp_ml import metrics as m
from dwcp_ml.models.base import Array, Examples, Metric, Outputs


def chosen_gain(examples: Examples, outputs: Outputs) -> Array:
    """Gain of the chosen level over level 0, (n,); NaN without the cost of the levels."""
    if "log_gain" not in examples.targets:
        return np.full(len(examples), np.nan)
    rows = np.arange(len(examples))
    return np.asarray(np.exp(examples.targets["log_gain"][rows, outputs["compression_level"]]))


def regret_pct(examples: Examples, outputs: Outputs) -> Array:
    """Throughput lost against the oracle's level, percent, (n,)."""
    if "log_gain" not in examples.targets:
        return np.full(len(examples), np.nan)
    best = np.exp(examples.targets["log_gain"].max(axis=1))
    return 100 * (1 - chosen_gain(examples, outputs) / best)


def _clear(e: Examples, o: Outputs) -> Any:
    agreement = m.accuracy(e.targets["level"], o["compression_level"])
    return m.where(e.targets.get("clear", np.ones(len(e), bool)), agreement)


METRICS = (
    Metric(
        "clear_agreement",
        "1",
        "higher",
        m.prepared(_clear),
        "Agreement with the oracle where its top-two margin exceeds 5 %",
    ),
    Metric(
        "mean_regret_pct",
        "%",
        "lower",
        m.prepared(lambda e, o: m.mean(regret_pct(e, o))),
        "Mean regret",
    ),
    Metric(
        "throughput_gain_pct",
        "%",
        "higher",
        m.prepared(lambda e, o: m.mean(100 * (chosen_gain(e, o) - 1))),
        "Mean gain over no compression",
    ),
    Metric(
        "agreement",
        "1",
        "higher",
        m.prepared(lambda e, o: m.accuracy(e.targets["level"], o["compression_level"])),
        "Agreement with the oracle, all rows",
    ),
)
