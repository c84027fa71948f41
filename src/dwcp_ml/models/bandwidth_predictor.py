"""Bandwidth predictor: the next step's throughput of a link, with RTT, loss and jitter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from dwcp_ml.export import quiet
from dwcp_ml.export.keras_graph import Serving, from_tensorflow
from dwcp_ml.models import bandwidth_fused
from dwcp_ml.models import bandwidth_network as net
from dwcp_ml.models.bandwidth_figures import bandwidth_figures
from dwcp_ml.models.bandwidth_metrics import METRICS
from dwcp_ml.models.bandwidth_rivals import RATE, answer, fit_rivals
from dwcp_ml.models.bandwidth_windows import bandwidth_windows, input_names, residuals
from dwcp_ml.models.base import (
    Examples,
    Figure,
    GateRule,
    Metric,
    ModelParams,
    Outputs,
    Predictor,
    Tensor,
    TrainingLog,
)
from dwcp_ml.models.ensemble import averaged, train_members
from dwcp_ml.models.keras_training import Schedule

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from onnx import ModelProto

    from dwcp_ml.telemetry.dataset import Part


class BandwidthParams(ModelParams):
    """Section ``bandwidth_predictor`` of params.yaml."""

    window: int = Field(10, ge=2, description="steps a prediction reads")
    train_windows: int = Field(150_000, ge=100, description="windows taken from the train part")
    validation_windows: int = Field(40_000, ge=100)
    test_windows: int = Field(450_000, ge=100, description="of the test part and of a fresh fleet")
    daily_phase: bool = Field(
        False, description="eighth input time_of_day, for sources whose days are alike"
    )
    attention: bool = Field(False, description="look back at all states of the window")
    lstm_units: tuple[int, int] = (64, 32)
    dense_units: int = Field(16, ge=1)
    dropout: float = Field(0.2, ge=0, lt=1)
    head_weights: tuple[float, float, float, float] = (1.0, 0.15, 0.15, 0.15)
    epochs: int = Field(14, ge=1)
    batch_size: int = Field(256, ge=1)
    learning_rate: float = Field(2e-3, gt=0)
    patience: int = Field(4, ge=1)
    ensemble: int = Field(
        1, ge=1, le=16, description="networks of successive seeds whose log residuals are averaged"
    )
    max_mape_pct: float = 5.0
    min_within_link_r: float = 0.98
    min_skill_over_persistence: float = 0.10
    min_class_change_accuracy: float = 0.60
    slice_max_mape_pct: float = 6.0


@dataclass(frozen=True)
class Fitted:
    """The trained network and the weight of the newest step in the base of throughput."""

    network: Any
    smoothing: float

    @property
    def shape(self) -> tuple[int, int]:
        """Steps and features of an input."""
        _, window, context = self.network.input_shape
        return int(window), len(net.FEATURES) + (context > net.CONTEXT)


class BandwidthPredictor:
    """LSTM on ten steps of seven measurements."""

    name = "bandwidth_predictor"
    title = "Bandwidth predictor"
    params_type = BandwidthParams
    key_columns = ("throughput_mbps",)
    label_column = None
    primary_metric = "wape_pct"
    inputs = (
        Tensor(
            "features",
            "float32",
            (None, "window", len(net.FEATURES)),
            "see features",
            net.FEATURES,
            "Newest step last; link_type dc 0, metro 1, wan 2, edge 3; network_tier 1-3.",
            joins={"daily_phase": (net.PHASE,)},
        ),
    )
    outputs = (
        Tensor("next_throughput_mbps", "float32", (None,), "Mbit/s"),
        Tensor("forecast", "float32", (None, 4), "Mbit/s, ms, fraction, ms", net.FORECASTS),
        Tensor("bandwidth_class", "int64", (None,), "good 0, degraded 1, bad 2"),
    )

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """All figures; see ``bandwidth_metrics``."""
        return METRICS

    def span(self, params: BandwidthParams) -> tuple[int, int]:
        """Window of the input and one step ahead."""
        return params.window, 1

    def examples(self, part: Part, params: BandwidthParams) -> Examples:
        """Windows of a part, thinned evenly to the number asked for."""
        limit = {"train": params.train_windows, "validation": params.validation_windows}
        most = limit.get(part.role, params.test_windows)
        return bandwidth_windows(part, params.window, input_names(params.daily_phase), most)

    def fit(
        self, train: Examples, validation: Examples, params: BandwidthParams, log: TrainingLog
    ) -> Fitted:
        """Fit the log residuals with an L1-like loss."""
        smoothing = net.fit_smoothing(train.features[:, :, RATE], train.targets["forecast"][:, 0])
        data = [residuals(e, smoothing) for e in (train, validation)]

        def build() -> tuple[Any, Any]:
            network = net.build(
                data[0][0].shape[1:],
                params.dropout,
                params.lstm_units,
                params.dense_units,
                attention=params.attention,
            )
            return network, net.head_loss(params.head_weights)

        schedule = Schedule(params.epochs, params.batch_size, params.learning_rate, params.patience)
        seeds = range(params.seed, params.seed + params.ensemble)
        members = train_members(build, data[0], data[1], schedule, seeds, log)
        return Fitted(averaged(members), smoothing)

    def save(self, fitted: Fitted, folder: Path) -> None:
        """Write the network as weights and configuration, and the smoothing."""
        from dwcp_ml.export.native import save_keras
        from dwcp_ml.files import write_json

        save_keras(fitted.network, folder)
        write_json(folder / "base.json", {"smoothing": fitted.smoothing})

    def load(self, folder: Path) -> Fitted:
        """Read what ``save`` wrote."""
        import json

        from dwcp_ml.export.native import load_keras

        base = json.loads((folder / "base.json").read_text())
        return Fitted(load_keras(folder), float(base["smoothing"]))

    def predict(self, fitted: Fitted, features: NDArray[np.float32]) -> Outputs:
        """Answers of the network as it was trained, which the graph must give too."""
        tf = quiet.tensorflow()

        decide = net.decision(fitted.network, fitted.smoothing)
        chunks = [
            decide(tf.constant(c)) for c in np.array_split(features, -(-len(features) // 4096))
        ]
        return {k: np.concatenate([np.asarray(c[k]) for c in chunks]) for k in chunks[0]}

    def graph(self, fitted: Fitted) -> ModelProto:
        """The ONNX graph."""
        served = self.serving(fitted)
        return from_tensorflow(served.function, served.signature)

    def serving(self, fitted: Fitted) -> Serving:
        """What the ONNX graph and a SavedModel are made from."""
        plain = fitted.shape[1] == len(net.FEATURES)  # only those are fused
        decide = (bandwidth_fused if plain else net).decision(fitted.network, fitted.smoothing)
        return Serving(decide, {"features": (None, *fitted.shape)}, fitted.network)

    def facts(self, fitted: Fitted) -> dict[str, object]:
        """The scaling inside the graph; its scales are fixed, its smoothing is fitted."""
        return {
            "scaler": {
                "kind": "log residual to the window, fixed scales",
                "base_smoothing": fitted.smoothing,
                "floors": net.FLOORS.tolist(),
            },
            "threshold": None,
            "class_boundaries": list(net.class_boundaries()),
            "reference_mbps": net.reference_table().tolist(),
        }

    def baselines(
        self, train: Examples, validation: Examples, params: BandwidthParams
    ) -> Mapping[str, Predictor]:
        """Persistence, a tuned EWMA, ridge regression and gradient boosting."""
        return fit_rivals(train, validation, params.seed)

    def ceiling(self, examples: Examples) -> Outputs | None:
        """What one who knows load, drop and announcement exactly would predict."""
        if "expected_next_mbps" not in examples.truth:
            return None
        rate = np.asarray(examples.truth["expected_next_mbps"], np.float32)
        return answer(examples, rate, None)

    def gates(self, params: BandwidthParams, *, simulated: bool) -> tuple[GateRule, ...]:
        """The targets, skill over every baseline and a floor for slices."""
        p = params
        rules = [
            GateRule("correlation", "within_link_r", p.min_within_link_r, "min", headline=True),
            GateRule("mape", "mape_pct", p.max_mape_pct, "max", headline=True),
            GateRule(
                "skill_persistence",
                "wape_pct",
                p.min_skill_over_persistence,
                "min",
                against="persistence",
                headline=True,
            ),
            GateRule("skill_ewma", "wape_pct", 0.0, "min", against="ewma"),
            GateRule("skill_ridge", "wape_pct", 0.0, "min", against="ridge"),
            GateRule(
                "class_accuracy", "class_accuracy_far", p.target_accuracy, "min", headline=True
            ),
            GateRule(
                "class_change",
                "class_change_accuracy",
                p.min_class_change_accuracy,
                "min",
                headline=True,
            ),
            GateRule(
                "mape_by_link_type", "mape_pct", p.slice_max_mape_pct, "max", slice="link_type"
            ),
            GateRule("mape_by_tier", "mape_pct", p.slice_max_mape_pct, "max", slice="tier"),
        ]
        heads = ("rtt", "loss", "jitter")
        rules += [
            GateRule(f"skill_{h}", f"{h}_mae", 0.0, "min", against="persistence") for h in heads
        ]
        return tuple(rules)

    def figures(
        self, examples: Examples, outputs: Outputs, rivals: Mapping[str, Outputs]
    ) -> tuple[Figure, ...]:
        """Predicted against true, error by hour and around level drops."""
        return bandwidth_figures(examples, outputs, rivals)


MODEL = BandwidthPredictor()
