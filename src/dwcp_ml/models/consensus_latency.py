"""Consensus latency: does a cluster's newest window hold an episode of high latency?"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dwcp_ml.errors import TrainingError
from dwcp_ml.export.quiet import keras
from dwcp_ml.models import consensus_network as net
from dwcp_ml.models.base import (
    Array,
    Examples,
    Figure,
    GateRule,
    Outputs,
    Predictor,
    Tensor,
    TrainingLog,
)
from dwcp_ml.models.consensus_context import CONTEXT, context, scales
from dwcp_ml.models.consensus_features import LATENCY, LEAST_HIGH, WINDOW, consensus_examples
from dwcp_ml.models.consensus_metrics import METRICS, consensus_figures
from dwcp_ml.models.consensus_params import ConsensusLatencyParams
from dwcp_ml.models.consensus_rivals import fit_rivals, normal
from dwcp_ml.models.keras_training import Schedule, train_network

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from onnx import ModelProto

    from dwcp_ml.telemetry.dataset import Part

CHUNK = 16_384  # rows through TensorFlow at once
EPISODES = ("leader_change", "level_shift", "ramp", "variance_burst")


@dataclass(frozen=True)
class Fitted:
    """The autoencoder and the numbers around it."""

    network: Any
    scale: float
    level_weight: float
    threshold: float
    percentile: float
    labelled: bool  # whether windows with the label were left out of training
    view: net.View = field(default_factory=net.View)

    def decision(self) -> Any:
        """The TensorFlow function from raw features to the decision."""
        return net.decision(self.network, self.view, self.scale, self.level_weight, self.threshold)


class ConsensusLatency:
    """LSTM autoencoder on log ratios to the cluster's own baseline."""

    name = "consensus_latency"
    title = "Consensus latency"
    params_type = ConsensusLatencyParams
    key_columns = (LATENCY,)
    label_column = None  # without the label it trains on all windows, and no gate is evaluated
    primary_metric = "balanced_accuracy"
    metrics = METRICS
    inputs = (
        Tensor(
            "features",
            "float32",
            (None, "steps", 1),
            "ms",
            (LATENCY,),
            f"Newest step last, {WINDOW} steps at least; the last {WINDOW} are judged against the "
            "median of those before them, of which about 900 serve best.",
            {"steps": "window"},
            {"context": CONTEXT},
        ),
    )
    outputs = (
        Tensor(net.SCORE, "float32", (None,), "1", (), "Reconstruction error plus level term."),
        Tensor(net.FLAG, "int64", (None,), "bool"),
    )

    def span(self, params: ConsensusLatencyParams) -> tuple[int, int]:
        """Baseline and window; nothing ahead."""
        return params.baseline_steps + params.window, 0

    def examples(self, part: Part, params: ConsensusLatencyParams) -> Examples:
        """Windows of the clusters that this part may use."""
        stride = {
            "train": params.train_stride,
            "validation": params.validation_stride,
            "test": params.test_stride,
            "fresh": params.fresh_stride,
        }[part.role]
        limit = {"train": params.train_windows, "validation": params.validation_windows}
        most = limit.get(part.role, params.test_windows)
        return consensus_examples(
            part,
            params.baseline_steps,
            stride,
            params.holdout,
            most,
            window=params.window,
            context=CONTEXT if params.context else (),
        )

    def fit(
        self,
        train: Examples,
        validation: Examples,
        params: ConsensusLatencyParams,
        log: TrainingLog,
    ) -> Fitted:
        """Train on normal windows; the threshold is a percentile of normal validation scores."""
        from dwcp_ml.export.threshold import settled

        keras(params.seed)
        calm = [e.features[normal(e)] for e in (train, validation)]
        if not all(len(part) for part in calm):
            raise TrainingError(
                f"{self.name}: no normal window of {params.baseline_steps + params.window} steps "
                "to train or validate on; lower baseline_steps or give longer series"
            )
        view, scale, sequences = _seen(calm, params)
        network = net.build(
            params.lstm_units, params.dropout, *sequences[0].shape[1:], attention=params.attention
        )
        schedule = Schedule(params.epochs, params.batch_size, params.learning_rate, params.patience)
        train_network(
            network, (sequences[0],) * 2, (sequences[1],) * 2, "mean_squared_error", schedule, log
        )
        labelled = bool(train.targets)
        draft = Fitted(
            network, scale, params.level_weight, 0.0, params.threshold_percentile, labelled, view
        )
        scores = self.predict(draft, calm[1])[net.SCORE]
        return _with_threshold(draft, settled(scores, params.threshold_percentile / 100))

    def save(self, fitted: Fitted, folder: Path) -> None:
        """Write the network and the numbers around it."""
        from dwcp_ml.export.native import save_keras
        from dwcp_ml.files import write_json

        save_keras(fitted.network, folder)
        write_json(folder / "decision.json", _numbers(fitted))

    def load(self, folder: Path) -> Fitted:
        """Read what ``save`` wrote."""
        import json

        from dwcp_ml.export.native import load_keras

        numbers = json.loads((folder / "decision.json").read_text())
        view = net.View(**numbers.pop("view"))
        return Fitted(load_keras(folder), view=view, **numbers)

    def predict(self, fitted: Fitted, features: NDArray[np.float32]) -> Outputs:
        """Answers of the TensorFlow function that the graph is made from."""
        decide = fitted.decision()
        parts = [decide(features[i : i + CHUNK]) for i in range(0, len(features), CHUNK)]
        return {k: np.concatenate([np.asarray(p[k]) for p in parts]) for k in parts[0]}

    def graph(self, fitted: Fitted) -> ModelProto:
        """The ONNX graph."""
        from dwcp_ml.export.keras_graph import from_tensorflow

        channels = 1 + len(fitted.view.context_scale)
        return from_tensorflow(fitted.decision(), {"features": (None, "steps", channels)})

    def facts(self, fitted: Fitted) -> dict[str, object]:
        """Scale, level term and threshold inside the graph."""
        own = {k: v for k, v in _numbers(fitted)["view"].items() if k != "window" and v}
        return {
            "scaler": {"kind": "log ratio to the trailing median", "scale": fitted.scale, **own},
            "level_weight": fitted.level_weight,
            "threshold": fitted.threshold,
            "threshold_percentile": fitted.percentile,
            "threshold_from": "normal validation windows"
            if fitted.labelled
            else "all validation windows, because the source has no label",
            "window_steps": fitted.view.window,
            "least_high_steps": LEAST_HIGH,
            "least_rise": {"steps": net.RISEN, "log_ratio": net.RISE},
        }

    def baselines(
        self, train: Examples, validation: Examples, params: ConsensusLatencyParams
    ) -> Mapping[str, Predictor]:
        """Median + MAD, the best order statistic, a global static threshold."""
        return fit_rivals(validation, params.threshold_percentile, params.window)

    def ceiling(self, examples: Examples) -> Outputs | None:
        """What one who knows the cluster's momentary base would flag."""
        if "looks_high" not in examples.truth:
            return None
        count = examples.truth["looks_high"]
        return {net.SCORE: count, net.FLAG: (count >= LEAST_HIGH).astype(np.int64)}

    def gates(self, params: ConsensusLatencyParams, *, simulated: bool) -> tuple[GateRule, ...]:
        """The targets; types of episodes and spikes are known on simulated data only."""
        figure = "balanced_accuracy"
        rules = [
            GateRule(figure, figure, params.target_accuracy, "min", headline=True),
            GateRule("above_median_mad", figure, 0.0, "min", against="median_mad", headline=True),
            GateRule(
                "by_link_type",
                figure,
                params.slice_min_balanced_accuracy,
                "min",
                slice="link_type",
            ),
        ]
        if simulated:
            rules += [
                GateRule(
                    f"recall_{kind}",
                    "recall",
                    params.min_episode_recall,
                    "min",
                    slice=f"episode={kind}",
                    headline=True,
                )
                for kind in EPISODES
            ]
            rules.append(
                GateRule(
                    "spike_alarms",
                    "false_positive_rate",
                    params.max_spike_alarms,
                    "max",
                    slice="spike=yes",
                    headline=True,
                )
            )
        return tuple(rules)

    def figures(
        self, examples: Examples, outputs: Outputs, rivals: Mapping[str, Outputs]
    ) -> tuple[Figure, ...]:
        """Precision and recall, recall by episode, delay, scores."""
        return consensus_figures(examples, outputs, rivals)


def _seen(
    calm: Sequence[Array], params: ConsensusLatencyParams
) -> tuple[net.View, float, list[Array]]:
    """What the network sees, the robust deviation of normal log ratios, and what it is fitted to.

    Args:
        calm: normal windows to train and to validate on, (n, steps, channels) each; the view is
            that of the first.
        params: of the model.
    """
    plain = net.View(params.window, params.spread_floor, (1.0,) * params.context)
    smooth = [_chunked(lambda x: net.prepare(x, plain), part) for part in calm]
    scale = max(float(1.4826 * np.median(np.abs(smooth[0]))), 1e-3)
    if not params.context:
        # As ``net.channels`` has it, without the medians a second time.
        return plain, scale, [(part / np.float32(scale))[:, :, None] for part in smooth]
    changes = _chunked(lambda x: context(x, params.window), calm[0])
    view = replace(plain, context_scale=scales(changes))
    return view, scale, [_chunked(lambda x: net.channels(x, view, scale), part) for part in calm]


def _chunked(function: Callable[[Array], Any], features: Array) -> Array:
    """A TensorFlow function of (n, ...) in chunks."""
    return np.concatenate(
        [np.asarray(function(features[i : i + CHUNK])) for i in range(0, len(features), CHUNK)]
    )


def _numbers(fitted: Fitted) -> dict[str, Any]:
    return {k: v for k, v in vars(fitted).items() if k != "network"} | {"view": asdict(fitted.view)}


def _with_threshold(fitted: Fitted, threshold: float) -> Fitted:
    return replace(fitted, threshold=threshold)


MODEL = ConsensusLatency()
