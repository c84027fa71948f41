"""Plots of the bandwidth predictor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dwcp_ml.models.base import Array, Examples, Figure, Outputs

if TYPE_CHECKING:
    from collections.abc import Mapping

POINTS = 400


def bandwidth_figures(
    examples: Examples, outputs: Outputs, rivals: Mapping[str, Outputs]
) -> tuple[Figure, ...]:
    """Predicted against true, one link over time, and the error around announced drops."""
    true = examples.targets["forecast"][:, 0]
    predicted = outputs["next_throughput_mbps"]
    some = np.linspace(0, len(true) - 1, POINTS).astype(int)
    figures = [
        Figure(
            "predicted_true",
            "Predicted against true throughput",
            "scatter",
            "true, Mbit/s",
            "predicted, Mbit/s",
            {"model": (true[some], predicted[some])},
            log_x=True,
            log_y=True,
            diagonal=True,
        ),
        _one_link(examples, true, predicted, rivals),
        _by_hour(examples, true, {"model": outputs, **rivals}),
    ]
    if "announced_depth" in examples.truth:
        figures.append(_drops(examples, true, {"model": outputs, **rivals}))
    return tuple(figures)


def _one_link(
    examples: Examples, true: Array, predicted: Array, rivals: Mapping[str, Outputs]
) -> Figure:
    rows = np.flatnonzero(examples.group == examples.group[0])[:180]
    hours = (examples.time_s[rows] - examples.time_s[rows[0]]) / 3600
    series = {"true": (hours, true[rows]), "model": (hours, predicted[rows])}
    if "persistence" in rivals:
        series["persistence"] = (hours, rivals["persistence"]["next_throughput_mbps"][rows])
    return Figure("one_link", "One link over time", "line", "hours", "Mbit/s", series)


def _by_hour(examples: Examples, true: Array, predictors: Mapping[str, Outputs]) -> Figure:
    hours = np.unique(examples.slices["hour"])
    at = [examples.slices["hour"] == h for h in hours]
    series = {}
    for name, outputs in predictors.items():
        error = 100 * np.abs(outputs["next_throughput_mbps"] - true) / np.maximum(true, 1.0)
        series[name] = (hours.astype(float), np.array([error[rows].mean() for rows in at]))
    return Figure("error_by_hour", "MAPE by hour of day", "line", "hour, UTC", "MAPE, %", series)


def _drops(examples: Examples, true: Array, predictors: Mapping[str, Outputs]) -> Figure:
    """MAPE on steps where latent throughput falls by a tenth or more."""
    fell = examples.truth["next_latent_mbps"] < 0.9 * examples.truth["latent_mbps"]
    names = np.array([*predictors])
    errors = [
        100 * np.mean(np.abs(o["next_throughput_mbps"] - true)[fell] / np.maximum(true[fell], 1.0))
        for o in predictors.values()
    ]
    return Figure(
        "drop_steps",
        "MAPE on steps where the level drops",
        "bar",
        "predictor",
        "MAPE, %",
        {"drop steps": (names, np.array(errors))},
    )
