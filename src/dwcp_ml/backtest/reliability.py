"""Node reliability: anomalies of entities that are described by any numeric columns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dwcp_ml import metrics as m
from dwcp_ml.backtest.series import TEST, TRAIN, VALIDATION, Series, to_series
from dwcp_ml.backtest.tables import TIME
from dwcp_ml.backtest.task import Prepared
from dwcp_ml.errors import BacktestError
from dwcp_ml.models.base import Examples, GateRule, Metric
from dwcp_ml.models.node_features import LABEL
from dwcp_ml.models.node_rivals import SCORE, UNKNOWN, newest
from dwcp_ml.models.sampling import evenly

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from dwcp_ml.backtest.task import By
    from dwcp_ml.models.base import Array, Outputs, Predictor
    from dwcp_ml.models.node_reliability import NodeReliabilityParams

ENTITY = "entity_id"
SHARES = (0.50, 0.75)  # of the labelled rows: ends of train and validation; labels are few
HISTORY = 48  # steps; 12 and 48 were compared on validation
FOREST_ROWS = 4096  # per tree; 256 of them hold too little of several entities' ways
CAP = 50.0  # deviations beyond which a value says no more
OUTSIDE = -1  # part of a row that no part uses
MIN_LIFT, MIN_RECALL = 3.0, 0.30


@dataclass(frozen=True)
class Reliability:
    """Every entity is measured by its own median and spread in the training part."""

    name: str = "reliability"
    title: str = "Node reliability: anomalies of real services"
    model: str = "node_reliability"
    needs: tuple[str, ...] = (ENTITY, TIME, LABEL)
    optional: tuple[str, ...] = ()
    shown: tuple[str, ...] = ("average_precision", "lift", "recall_at_fpr_5pct")

    def prepare(
        self, table: pd.DataFrame, by: By, section: NodeReliabilityParams, source: str
    ) -> Prepared:
        """See ``Task``; rows with an empty is_anomaly were not judged by anybody."""
        names = [c for c in table.columns if c not in self.needs and table[c].dtype.kind == "f"]
        if not names:
            raise BacktestError(
                f"{source}: there is no numeric column beside {', '.join(self.needs)}"
            )
        whole = table[names].notna().all(axis=1)
        table = table[whole].reset_index(drop=True)
        label = _labels(table, source)
        history = _history_steps(table)
        series = to_series(table, ENTITY, by, history, source)
        series = replace(series, part=_parts(series, label, by))
        values = table[names].to_numpy(dtype=float)
        _refuse_constant(values, series, source)
        scaled = _own_scale(values, series, label)
        cut = Rows(series, scaled, label, history)
        limits = (section.train_rows, section.validation_rows, section.test_rows)
        train, validation, test = (cut.examples(part, limits[part]) for part in range(3))
        _need_both_classes(train, validation, test, source, by)
        fitted = section.model_copy(
            update={"history_steps": history, "forest_rows_per_tree": FOREST_ROWS}
        )
        notes = [
            *_notes(cut, names, by),
            series.interval_note(series.ends(TEST, history, 0)),
        ]
        if not whole.all():
            notes.append(f"{int((~whole).sum()):,} rows with a missing value were left out.")
        return Prepared(
            train,
            validation,
            test,
            fitted,
            RULES,
            rivals={"forest_newest_step": _newest_step(train, fitted)},
            metrics=(LIFT,),
            notes=tuple(notes),
        )


@dataclass(frozen=True)
class Rows:
    """Rows of a table: ``values`` (n, k) in the entity's own deviations, ``label`` -1 unknown."""

    series: Series
    values: NDArray[np.float32]
    label: NDArray[np.int64]
    history: int

    def examples(self, part: int, most: int) -> Examples:
        """Histories (n, history, k) that end in labelled rows; in train unlabelled ones too."""
        ends = self.series.ends(part, self.history, 0)
        if part != TRAIN:
            ends = ends[self.label[ends] != UNKNOWN]
        ends = ends[evenly(len(ends), most)]
        rows = ends[:, None] + np.arange(1 - self.history, 1)
        return Examples(
            self.values[rows],
            {LABEL: self.label[ends]},
            self.series.groups(ends) if len(ends) else ends,
            self.series.time_s[ends].astype(np.int64),
        )


def _labels(table: pd.DataFrame, source: str) -> NDArray[np.int64]:
    raw = table[LABEL].to_numpy(dtype=float)
    label = np.where(np.isnan(raw), UNKNOWN, raw > 0).astype(np.int64)
    if not (label == 1).any():
        raise BacktestError(f"{source}: no row has {LABEL} = 1, so no anomaly can be found")
    if not (label == 0).any():
        raise BacktestError(f"{source}: no row has {LABEL} = 0, so none is normal")
    return label


def _history_steps(table: pd.DataFrame) -> int:
    """``HISTORY``, or less of short series: a twentieth of the median entity."""
    return int(np.clip(table.groupby(ENTITY).size().median() // 20, 2, HISTORY))


def _parts(series: Series, label: NDArray[np.int64], by: By) -> NDArray[np.int64]:
    """Part of each row; "time" cuts the labelled rows of each entity 50/25/25.

    Unlabelled rows belong to train where they lie before its end, or in an entity of train.
    """
    known = label != UNKNOWN
    if by == "entity":
        return np.where(known | (series.part == TRAIN), series.part, OUTSIDE)
    rank = np.cumsum(known)
    size = np.bincount(series.entity, known, len(series.names))
    first = np.searchsorted(series.entity, np.arange(len(series.names)))
    before = np.append(0, rank)[first]
    place = (rank - before[series.entity]) / np.maximum(size[series.entity], 1)
    part = np.searchsorted(SHARES, place, side="left")
    return np.where(known | (part == TRAIN), part, OUTSIDE)


def _own_scale(
    values: NDArray[np.float64], series: Series, label: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Robust z-scores by the entity's own training rows, labels not looked at.

    An entity without training rows is measured by its unlabelled ones, which are no part of the
    test, and where it has none of those, by the training rows of all entities.
    """
    scaled = np.empty(values.shape, np.float32)
    everyone = values[series.part == TRAIN]
    for code in range(len(series.names)):
        mine = series.entity == code
        own = values[mine & ((series.part == TRAIN) | (label == UNKNOWN))]
        seen = own if len(own) else everyone
        centre = np.median(seen, axis=0)
        spread = 1.4826 * np.median(np.abs(seen - centre), axis=0)
        spread = np.maximum(spread, 0.05 * np.std(seen, axis=0) + 1e-9)
        scaled[mine] = np.clip((values[mine] - centre) / spread, -CAP, CAP)
    return scaled


def _refuse_constant(values: NDArray[np.float64], series: Series, source: str) -> None:
    for code, name in enumerate(series.names):
        if (np.ptp(values[series.entity == code], axis=0) == 0).all():
            raise BacktestError(
                f"{source}: '{name}': every numeric column is constant; leave this entity out"
            )


def _need_both_classes(
    train: Examples, validation: Examples, test: Examples, source: str, by: By
) -> None:
    other = "entity" if by == "time" else "time"
    parts = {"training": train, "validation": validation, "test": test}
    for word, part in parts.items():
        for value, kind in ((1, "anomaly"), (0, "normal row")):
            if not (part.targets[LABEL] == value).any():
                raise BacktestError(
                    f"{source}: there is no {kind} in the {word} part, split by {by}; give longer "
                    f"series or use --by {other}"
                )


def _newest_step(train: Examples, params: NodeReliabilityParams) -> Predictor:
    """The same forest on the newest step alone: what the history is worth."""
    from sklearn.ensemble import IsolationForest

    from dwcp_ml.models.node_estimators import score
    from dwcp_ml.models.node_rivals import FLAG

    forest = IsolationForest(
        n_estimators=params.forest_trees,
        max_samples=min(params.forest_rows_per_tree, len(train)),
        random_state=params.seed,
    )
    forest.fit(newest(train.features))
    usual = score("isolation_forest", forest, newest(train.features))
    bound = np.percentile(usual, params.threshold_percentile)

    def answer(examples: Examples) -> Outputs:
        found = score("isolation_forest", forest, newest(examples.features))
        return {SCORE: found, FLAG: (found > bound).astype(np.int64)}

    return answer


def _lift(examples: Examples, outputs: Outputs) -> Any:
    truth = examples.targets[LABEL]
    precision = m.average_precision(truth, outputs[SCORE])

    def figure(weights: Array) -> float:
        share = float(weights @ truth / weights.sum())
        return precision(weights) / share if share else float("nan")

    return figure


LIFT = Metric("lift", "1", "higher", m.prepared(_lift), "Average precision over prevalence")
RULES = (
    GateRule("lift", "lift", MIN_LIFT, "min", headline=True),
    *(
        GateRule(f"above_{rival}", "average_precision", 0.0, "min", against=rival)
        for rival in ("max_z", "mean_z", "best_single")
    ),
    GateRule("recall_at_fpr_5pct", "recall_at_fpr_5pct", MIN_RECALL, "min", headline=True),
)


def _notes(cut: Rows, names: list[str], by: By) -> tuple[str, ...]:
    known = cut.label != UNKNOWN
    starts = np.diff((cut.label == 1).astype(int), prepend=0) == 1
    per = [int((starts & (cut.series.part == part)).sum()) for part in (TRAIN, VALIDATION, TEST)]
    how = (
        "Each entity's labelled rows are cut 50/25/25 in time"
        if by == "time"
        else "Whole entities are kept for validation and test"
    )
    columns = f"The {len(names)} columns enter" if len(names) > 1 else f"'{names[0]}' enters"
    spread = "deviations" if len(names) > 1 else "its deviation"
    told = [
        f"{how}: {per[0]}, {per[1]} and {per[2]} stretches of anomalies in train, validation and "
        "test.",
        f"{columns} as {spread} from the entity's own median in the training part, the newest "
        f"{cut.history} steps.",
    ]
    if not known.all():
        told.append(
            f"{int((~known).sum()):,} rows have no label; only the isolation forest and the scale "
            "see them."
        )
    return tuple(told)


TASK = Reliability()
