"""Consensus latency: false alarms outside stalls, and stalls found, on clusters never seen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from dwcp_ml.backtest import stalls
from dwcp_ml.backtest.series import TEST, TRAIN, VALIDATION, Series, refuse_constant, to_series
from dwcp_ml.backtest.task import Prepared
from dwcp_ml.errors import BacktestError
from dwcp_ml.models.base import Examples, GateRule, joined
from dwcp_ml.models.consensus_features import (
    LABEL,
    LATENCY,
    LEAST_HIGH,
    WINDOW,
    in_window,
    is_held_out,
)
from dwcp_ml.models.consensus_rivals import normal
from dwcp_ml.models.sampling import evenly

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from dwcp_ml.backtest.task import By
    from dwcp_ml.models.consensus_params import ConsensusLatencyParams

MAX_FALSE_ALARMS = 0.02
SPREAD_FLOOR = 0.05  # of log ratios; clusters in the set differ in noise by more than ten times
MOST_READ = {"time": 0.1, "entity": 0.5}  # cut by time a part is 0.15 of the cluster
BATCHES = 300  # of training, about as many as on simulated telemetry
MOST_EPOCHS = 40


@dataclass(frozen=True)
class Consensus:
    """Normal windows train the detector, so that every stall is left for the test."""

    name: str = "consensus"
    title: str = "Consensus latency: stalls found and false alarms"
    model: str = "consensus_latency"
    needs: tuple[str, ...] = ("cluster_id", "timestamp", LATENCY)
    optional: tuple[str, ...] = (LABEL,)
    shown: tuple[str, ...] = (
        "false_alarms_outside_stalls",
        "stalls_found",
        "rehearsed_stalls_found",
        "average_precision",
    )

    def prepare(
        self, table: pd.DataFrame, by: By, section: ConsensusLatencyParams, source: str
    ) -> Prepared:
        """See ``Task``; ``by`` "entity" tests on whole clusters, among them all with a stall."""
        labelled = LABEL in table
        table = table[table[LATENCY].notna()].reset_index(drop=True)
        latency = table[LATENCY].to_numpy(dtype=float)
        high = table[LABEL].to_numpy() > 0 if labelled else np.zeros(len(table), bool)
        _check(latency, high, labelled, source)
        baseline = _baseline_steps(table, section, by)
        series = to_series(table, "cluster_id", by, baseline + WINDOW, source)
        refuse_constant(latency, series, LATENCY, source)
        if by == "entity":
            series = replace(series, part=_by_cluster(series, high, section.holdout))
        cut = Windows(series, latency.astype(np.float32), high, labelled, baseline + WINDOW)
        most = (section.train_windows, section.validation_windows)
        train, validation = (
            cut.examples(_thinned(cut.level_ends(part), most[part])) for part in (TRAIN, VALIDATION)
        )
        test = _test(cut, section.test_windows, source)
        for part, found in (("training", train), ("validation", validation)):
            if not len(found):
                raise BacktestError(
                    f"{source}: no window of {cut.span} rows without a high step in the {part} "
                    "part; give longer series or more clusters"
                )
        batches = -(-len(train) // section.batch_size)
        fitted = section.model_copy(
            update={
                "baseline_steps": baseline,
                "spread_floor": SPREAD_FLOOR,
                "epochs": min(max(section.epochs, -(-BATCHES // batches)), MOST_EPOCHS),
            }
        )
        return Prepared(
            train,
            validation,
            test,
            fitted,
            _rules(labelled),
            metrics=stalls.METRICS,
            notes=_notes(cut, test, by, source),
        )


@dataclass(frozen=True)
class Windows:
    """Rows of a table, from which windows of ``span`` rows are cut.

    Attributes:
        latency: (n,) ms.
        high: (n,) rows of a stall.
        labelled: whether the table says which rows are high.
    """

    series: Series
    latency: NDArray[np.float32]
    high: NDArray[np.bool_]
    labelled: bool
    span: int

    def ends(self, part: int) -> NDArray[np.int64]:
        """Newest rows of all windows of a part."""
        return self.series.ends(part, self.span, 0)

    def level_ends(self, part: int) -> NDArray[np.int64]:
        """Those whose judged steps hold no high one, no cluster giving many more than others.

        A cluster gives up to twice the median number, spread evenly over its own: otherwise the
        longest run alone would decide what is normal and where the threshold lies.
        """
        ends = self.ends(part)
        ends = ends[in_window(self.high, ends) == 0]
        codes, count = np.unique(self.series.entity[ends], return_counts=True)
        most = int(2 * np.median(count)) if len(count) else 0
        kept = [_thinned(ends[self.series.entity[ends] == code], most) for code in codes]
        return np.concatenate([*kept, ends[:0]])

    def examples(self, ends: NDArray[np.int64]) -> Examples:
        """Windows that end at these rows; features (n, span, 1) ms."""
        rows = ends[:, None] + np.arange(1 - self.span, 1)
        steps = in_window(self.high, ends)
        event, since = stalls.events(self.high, self.series.run)
        whole = stalls.long_enough(event)
        return Examples(
            self.latency[rows][:, :, None],
            {LABEL: (steps >= LEAST_HIGH).astype(np.int64)},
            self.series.groups(ends) if len(ends) else ends,
            self.series.time_s[ends].astype(np.int64),
            {},
            {
                "episode": np.where(whole, event, -1)[ends],
                "since_start": since[ends],
                "high_steps": steps,
                "rehearsed": np.zeros(len(ends), np.int64),
            },
        )


def _check(
    latency: NDArray[np.float64], high: NDArray[np.bool_], labelled: bool, source: str
) -> None:
    wrong = np.flatnonzero(latency <= 0)
    if len(wrong):
        raise BacktestError(
            f"{source}: {len(wrong):,} rows have a {LATENCY} of 0 or less; where nothing was "
            "committed give the age of the oldest pending proposal"
        )
    if labelled and not high.any():
        raise BacktestError(
            f"{source}: no row has {LABEL} = 1, so no stall can be found; mark the stalls, or "
            "leave the column out to count every flag as a false alarm"
        )
    if high.all():
        raise BacktestError(f"{source}: every row has {LABEL} = 1, so none is normal to train on")


def _baseline_steps(table: pd.DataFrame, section: ConsensusLatencyParams, by: By) -> int:
    """As many as asked for, but no example reads more than ``MOST_READ`` of a median cluster."""
    rows = int(MOST_READ[by] * table.groupby("cluster_id").size().median())
    return int(np.clip(rows - WINDOW, WINDOW, section.baseline_steps))


def _by_cluster(series: Series, high: NDArray[np.bool_], holdout: float) -> NDArray[np.int64]:
    """Part of each row: clusters with a stall go to the test, no training would use them.

    Where more than half of the clusters have one, every second of these does. Of the other
    clusters those that the model's own split holds out are tested on; every second one of the
    rest sets the threshold.
    """
    count = len(series.names)
    stalled = np.unique(series.entity[high])
    if len(stalled) > count // 2:
        stalled = stalled[1::2]
    part = np.full(count, TRAIN)
    held = np.array([is_held_out(name, holdout) for name in series.names])
    part[held] = TEST
    part[stalled] = TEST
    rest = np.flatnonzero(part != TEST)
    if len(rest) < 2:  # a handful of clusters: keep two
        rest = np.setdiff1d(np.arange(count), stalled)[:2]
    part[rest] = TRAIN
    part[rest[1::2]] = VALIDATION
    if not (part == TEST).any():
        part[rest[-1]] = TEST
    return np.asarray(part[series.entity], np.int64)


def _test(cut: Windows, most: int, source: str) -> Examples:
    """Windows of the test part, thinned where nothing is high, and rehearsed stalls."""
    ends = cut.ends(TEST)
    calm = in_window(cut.high, ends) == 0
    if cut.labelled and not (cut.high[ends]).any():
        raise BacktestError(
            f"{source}: no window of {cut.span} rows in the test part ends in a row with {LABEL} "
            "= 1; use --by entity, or give longer series"
        )
    kept = np.sort(np.concatenate([ends[~calm], _thinned(ends[calm], most)]))
    test = cut.examples(kept)
    rehearsed = stalls.rehearse(test, cut.series.entity[kept], cut.series.step_s)
    return joined([test, rehearsed]) if len(rehearsed) else test


def _thinned(ends: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    return ends[evenly(len(ends), most)]


def _rules(labelled: bool) -> tuple[GateRule, ...]:
    found = GateRule("stalls_found", "stalls_found", 1.0, "min")
    return (
        GateRule(
            "false_alarms", "false_alarms_outside_stalls", MAX_FALSE_ALARMS, "max", headline=True
        ),
        *([found] if labelled else []),
        GateRule("rehearsed_stalls_found", "rehearsed_stalls_found", 1.0, "min"),
        GateRule("above_median_mad", "average_precision", 0.0, "min", against="median_mad"),
    )


def _notes(cut: Windows, test: Examples, by: By, source: str) -> tuple[str, ...]:
    real = test.take(test.truth["rehearsed"] == 0)
    known = len(np.unique(real.truth["episode"][real.truth["episode"] >= 0]))
    where = "later rows of each cluster" if by == "time" else "clusters that were not trained on"
    return (
        f"The test part is of {where}: {int(normal(real).sum()):,} windows, {known} stalls of "
        f"{stalls.LEAST_STEPS} steps or more.",
        "A stall counts as found if a window that ends inside it is flagged; a window counts as "
        "outside if none of its newest "
        f"{WINDOW} steps is in a stall."
        if cut.labelled
        else f"{source} has no column '{LABEL}', so every flag counts as a false alarm.",
        "Rehearsed stalls are normal windows of the test part whose newest "
        f"{', '.join(map(str, stalls.REHEARSED))} steps are replaced by the age of a proposal that "
        "waits since then, as the schema defines latency in a stall.",
        cut.series.interval_note(cut.ends(TEST)),
    )


TASK = Consensus()
