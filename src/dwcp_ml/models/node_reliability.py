"""Node reliability: is an incident of this node in full effect, judged from one step?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from dwcp_ml.errors import TrainingError
from dwcp_ml.models.base import (
    Examples,
    Figure,
    GateRule,
    ModelParams,
    Outputs,
    Predictor,
    Tensor,
    TrainingLog,
)
from dwcp_ml.models.node_estimators import Kind, fit_both, record, score
from dwcp_ml.models.node_features import FEATURES, LABEL, counted, node_examples
from dwcp_ml.models.node_history import with_history
from dwcp_ml.models.node_metrics import METRICS, node_figures
from dwcp_ml.models.node_rivals import FLAG, SCORE, detector, fit_rivals

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from onnx import ModelProto

    from dwcp_ml.telemetry.dataset import Part

TYPES = ("crash", "network_failure", "disk_full", "memory_leak")


class NodeReliabilityParams(ModelParams):
    """Section ``node_reliability`` of params.yaml."""

    train_rows: int = Field(250_000, ge=100, description="rows taken from the train part")
    validation_rows: int = Field(100_000, ge=100)
    test_rows: int = Field(120_000, ge=100)
    onset_steps: int = Field(
        60, ge=0, description="rows before an incident left out of train and validation"
    )
    history_steps: int = Field(
        0, ge=0, le=1000, description="rows of rolling-window features; 0: the newest row alone"
    )
    forest_trees: int = Field(100, ge=1)
    forest_rows_per_tree: int = Field(256, ge=2)
    boosting_iterations: int = Field(300, ge=1)
    boosting_learning_rate: float = Field(0.08, gt=0)
    boosting_leaves: int = Field(31, ge=2)
    patience: int = Field(15, ge=1, description="boosting stages without gain on validation")
    threshold_percentile: float = Field(
        97.5, gt=50, lt=100, description="of the scores of normal validation rows"
    )
    max_false_positive_rate: float = 0.05
    min_average_precision: float = 0.90
    min_type_recall: float = 0.95
    slice_min_recall: float = 0.95


@dataclass(frozen=True)
class Fitted:
    """The estimator that won on validation, and by how much."""

    kind: Kind
    estimator: Any
    threshold: float
    percentile: float
    validation_average_precision: dict[Kind, float]
    history_steps: int = 0


class NodeReliability:
    """Isolation forest and gradient boosting; the better on validation is exported."""

    name = "node_reliability"
    title = "Node reliability"
    params_type = NodeReliabilityParams
    key_columns = FEATURES[:5]
    label_column = LABEL
    primary_metric = "average_precision"
    metrics = METRICS
    inputs = (
        Tensor(
            "features",
            "float32",
            (None, "history_steps", len(FEATURES)),
            "percent, 1/h, fraction, 1/s, ratio, ms",
            FEATURES,
            "Values of one step; with history_steps those of the newest steps, the newest last.",
        ),
    )
    outputs = (
        Tensor(SCORE, "float32", (None,), "1", (), "0 normal to 1 incident."),
        Tensor(FLAG, "int64", (None,), "bool"),
    )

    def span(self, params: NodeReliabilityParams) -> tuple[int, int]:
        """One row or its history, nothing ahead."""
        return max(params.history_steps, 1), 0

    def examples(self, part: Part, params: NodeReliabilityParams) -> Examples:
        """Rows of a part, thinned evenly to the number asked for."""
        limit = {"train": params.train_rows, "validation": params.validation_rows}
        most = limit.get(part.role, params.test_rows)
        return node_examples(part, most, params.onset_steps, params.history_steps)

    def fit(
        self, train: Examples, validation: Examples, params: NodeReliabilityParams, log: TrainingLog
    ) -> Fitted:
        """Fit both, choose by validation average precision, set the threshold on its normals."""
        from dwcp_ml.export.threshold import settled

        for part, examples in (("train", train), ("validation", validation)):
            if not {0, 1} <= set(np.unique(examples.targets[LABEL]).tolist()):
                raise TrainingError(
                    f"{self.name}: the {part} part needs normal rows and rows of incidents; give "
                    "more telemetry or check labeled_incidents.json"
                )
        estimators, figures = fit_both(train, validation, params)
        record(estimators["gradient_boosting"], log)
        best = max(figures, key=lambda kind: figures[kind])
        normal = validation.features[validation.targets[LABEL] == 0]
        scores = score(best, estimators[best], normal)
        threshold = settled(scores, params.threshold_percentile / 100)
        return Fitted(
            best,
            estimators[best],
            threshold,
            params.threshold_percentile,
            figures,
            train.features.shape[1] if train.features.ndim == 3 else 0,
        )

    def save(self, fitted: Fitted, folder: Path) -> None:
        """Write the estimator in skops' format and the numbers around it."""
        from dwcp_ml.export.native import save_sklearn
        from dwcp_ml.files import write_json

        save_sklearn(fitted.estimator, folder / "estimator.skops")
        numbers = {k: v for k, v in vars(fitted).items() if k != "estimator"}
        write_json(folder / "decision.json", numbers)

    def load(self, folder: Path) -> Fitted:
        """Read what ``save`` wrote."""
        import json

        from dwcp_ml.export.native import load_sklearn

        numbers = json.loads((folder / "decision.json").read_text())
        return Fitted(estimator=load_sklearn(folder / "estimator.skops"), **numbers)

    def predict(self, fitted: Fitted, features: NDArray[np.float32]) -> Outputs:
        """Answers of scikit-learn."""
        values = score(fitted.kind, fitted.estimator, features)
        return {SCORE: values, FLAG: (values > fitted.threshold).astype(np.int64)}

    def graph(self, fitted: Fitted) -> ModelProto:
        """The ONNX graph: one operator for all trees."""
        from dwcp_ml.export import trees

        export = {
            "isolation_forest": trees.from_isolation_forest,
            "gradient_boosting": trees.from_gradient_boosting,
        }[fitted.kind]
        graph = export(fitted.estimator, fitted.threshold)
        return with_history(graph, fitted.history_steps) if fitted.history_steps else graph

    def facts(self, fitted: Fitted) -> dict[str, object]:
        """Which of the two it is, and the threshold."""
        rolling = {"history_steps": fitted.history_steps} if fitted.history_steps else {}
        return {
            "scaler": None,
            **rolling,
            "estimator": fitted.kind,
            "validation_average_precision": fitted.validation_average_precision,
            "threshold": fitted.threshold,
            "threshold_percentile": fitted.percentile,
            "threshold_from": "normal validation rows",
        }

    def baselines(
        self, train: Examples, validation: Examples, params: NodeReliabilityParams
    ) -> Mapping[str, Predictor]:
        """Simple scores, and whichever of forest and boosting was not exported."""
        simple = fit_rivals(train, validation, params.threshold_percentile, params.seed)
        estimators, figures = fit_both(train, validation, params)
        loser = min(figures, key=lambda kind: figures[kind])
        rule = partial(score, loser, estimators[loser])
        return {**simple, loser: detector(rule, validation, params.threshold_percentile)}

    def ceiling(self, examples: Examples) -> Outputs | None:
        """The likelihood ratio of one who knows each node's base and every rate and size.

        Its threshold leaves 2.5 % of the normal rows it is shown above it.
        """
        if "incident_evidence" not in examples.truth:
            return None
        evidence = np.asarray(examples.truth["incident_evidence"], np.float64)
        normal = counted(examples) & (examples.targets[LABEL] == 0)
        bound = np.percentile(evidence[normal], 97.5)
        squeezed = 0.5 + 0.5 * evidence / (1 + np.abs(evidence))
        return {SCORE: squeezed, FLAG: (evidence > bound).astype(np.int64)}

    def gates(self, params: NodeReliabilityParams, *, simulated: bool) -> tuple[GateRule, ...]:
        """The targets; on simulated data every type of incident must be among the test rows."""
        p = params
        kinds = [f"incident_type={kind}" for kind in TYPES] if simulated else ["incident_type"]
        slices = [*kinds, "link_type"]
        floors = [p.min_type_recall] * len(kinds) + [p.slice_min_recall]
        return (
            GateRule("recall", "recall", p.target_accuracy, "min", headline=True),
            GateRule(
                "false_positive_rate",
                "false_positive_rate",
                p.max_false_positive_rate,
                "max",
                headline=True,
            ),
            GateRule(
                "average_precision",
                "average_precision",
                p.min_average_precision,
                "min",
                headline=True,
            ),
            *(
                GateRule(
                    f"above_{rival}",
                    "average_precision",
                    0.0,
                    "min",
                    against=rival,
                    headline=rival == "max_z",
                )
                for rival in ("max_z", "mean_z", "best_single")
            ),
            *(
                GateRule(f"recall_{name.split('=')[-1]}", "recall", floor, "min", slice=name)
                for name, floor in zip(slices, floors, strict=True)
            ),
        )

    def figures(
        self, examples: Examples, outputs: Outputs, rivals: Mapping[str, Outputs]
    ) -> tuple[Figure, ...]:
        """Precision and recall, recall by incident, false alarms by lookalike, inputs."""
        return node_figures(examples, outputs, rivals)


MODEL = NodeReliability()
