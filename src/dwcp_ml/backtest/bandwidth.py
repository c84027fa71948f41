"""Backtest of the bandwidth predictor on series of throughput."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dwcp_ml.backtest.series import TEST, TRAIN, VALIDATION, refuse_constant, to_series
from dwcp_ml.backtest.task import By, Prepared
from dwcp_ml.errors import BacktestError
from dwcp_ml.models.bandwidth_network import FEATURES, FORECASTS, PHASE
from dwcp_ml.models.bandwidth_rivals import classify
from dwcp_ml.models.base import Examples, GateRule
from dwcp_ml.models.sampling import evenly
from dwcp_ml.telemetry.schema import load_schema

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from dwcp_ml.backtest.series import Series
    from dwcp_ml.models.bandwidth_predictor import BandwidthParams

RATE = "throughput_mbps"
DAY_S = 86_400
DAYS_FOR_A_PHASE = 4  # in training; fewer say nothing about what days have in common
UPDATES = 6_000  # gradient steps that a fit takes at least, over all epochs
LEAST_BATCH, MOST_EPOCHS = 64, 40
MOST_WINDOWS = {TRAIN: 60_000, VALIDATION: 20_000}  # the test keeps all of its own
# Targets of the two kinds of source: many flows together, or one flow by itself.
AGGREGATED = (
    GateRule("correlation", "within_link_r", 0.98, "min"),
    GateRule("mape", "mape_pct", 5.0, "max"),
    GateRule("skill_persistence", "wape_pct", 0.10, "min", against="persistence"),
)
SINGLE = (GateRule("skill_persistence", "wape_pct", 0.0, "min", against="persistence"),)
SHORT_STEP_S = 30  # below it a series is one flow's; what many flows carry is counted in minutes


class Bandwidth:
    """Next step's throughput of each link."""

    name = "bandwidth"
    title = "Throughput of the next step"
    model = "bandwidth_predictor"
    needs = ("link_id", "timestamp", RATE)
    optional = tuple(name for name in FEATURES if name != RATE)
    shown = ("wape_pct", "mape_pct", "within_link_r")

    def prepare(
        self, table: pd.DataFrame, by: By, section: BandwidthParams, source: str
    ) -> Prepared:
        """Windows of each link; inputs that were not measured take the schema's neutral value."""
        rate = table[RATE].to_numpy()
        if not np.isfinite(rate).all() or (rate < 0).any():
            row = int(np.argmin(np.isfinite(rate) & (rate >= 0)))
            raise BacktestError(
                f"{source}: row {row + 2} of the sorted table: {RATE} is {rate[row]:g}; leave such "
                "rows out or mend them"
            )
        series = to_series(table, "link_id", by, section.window + 1, source)
        refuse_constant(rate, series, RATE, source)
        phased = _has_days(series)
        values, absent = _values(table, series, phased)
        parts = [_examples(values, series, part, section.window)
                 for part in (TRAIN, VALIDATION, TEST)]  # fmt: skip
        single = series.step_s < SHORT_STEP_S
        notes = [series.interval_note(series.ends(TEST, section.window, 1))]
        if absent:
            notes.append(f"Not measured, so held at a neutral value: {', '.join(absent)}.")
        if phased:
            notes.append(f"The series last for days, so the model is told the {PHASE} too.")
        changed = {
            "daily_phase": phased,
            "head_weights": tuple(
                weight if name == RATE or name not in absent else 0.0
                for name, weight in zip(FORECASTS, section.head_weights, strict=True)
            ),
            **_schedule(len(parts[0]), section),
        }
        fitted = section.model_copy(update=changed)
        rules = SINGLE if single else AGGREGATED
        return Prepared(parts[0], parts[1], parts[2], fitted, rules, notes=tuple(notes))


def _has_days(series: Series) -> bool:
    trained = series.time_s[series.part == TRAIN]
    return float(np.ptp(trained)) >= DAYS_FOR_A_PHASE * DAY_S


def _schedule(examples: int, section: BandwidthParams) -> dict[str, int]:
    """Smaller batches and more epochs for a small table, so that the fit has its steps."""
    batch = section.batch_size
    while batch > LEAST_BATCH and section.epochs * examples / batch < UPDATES:
        batch //= 2
    epochs = max(section.epochs, min(MOST_EPOCHS, -(-UPDATES * batch // max(examples, 1))))
    return {"batch_size": batch, "epochs": epochs}


def _values(
    table: pd.DataFrame, series: Series, phased: bool
) -> tuple[NDArray[np.float32], list[str]]:
    """Inputs of every row, (n, 7 or 8), and the names of those that were not measured."""
    schema, absent, columns = load_schema(), [], []
    for name in FEATURES:
        if name in table and np.isfinite(table[name].to_numpy()).all():
            columns.append(table[name].to_numpy())
            continue
        absent.append(name)
        columns.append(np.full(len(table), _neutral(schema.column(name))))
    if phased:
        columns.append(series.time_s % DAY_S / 3600)
    return np.stack(columns, axis=1).astype(np.float32), absent


def _neutral(column: Any) -> float:
    """The schema's neutral value as a number."""
    if column.codes:
        return float(column.codes[column.enum.index(column.neutral)])
    return float(column.neutral)


def _examples(values: NDArray[np.float32], series: Series, part: int, window: int) -> Examples:
    ends = series.ends(part, window, 1)
    ends = ends[evenly(len(ends), MOST_WINDOWS.get(part, len(ends)))]
    steps = ends[:, None] + np.arange(1 - window, 1)
    following = values[ends + 1][:, [FEATURES.index(name) for name in FORECASTS]]
    newest = values[ends]
    link, tier = (newest[:, FEATURES.index(n)] for n in ("link_type", "network_tier"))
    return Examples(
        values[steps],
        {"forecast": following, "bandwidth_class": classify(following[:, 0], link, tier)},
        series.groups(ends),
        np.floor(series.time_s[ends]).astype(np.int64),
    )


TASK = Bandwidth()
