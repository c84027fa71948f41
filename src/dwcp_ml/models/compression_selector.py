"""Compression selector: the level that moves a payload fastest over the next step's link."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from dwcp_ml.export.keras_graph import Serving, from_tensorflow
from dwcp_ml.models import compression_network as net
from dwcp_ml.models.base import (
    Array,
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
from dwcp_ml.models.compression_figures import compression_figures
from dwcp_ml.models.compression_metrics import METRICS
from dwcp_ml.models.compression_rivals import choose, fit_rivals
from dwcp_ml.models.ensemble import merged, train_members
from dwcp_ml.models.keras_training import Schedule
from dwcp_ml.models.sampling import latent, sampled
from dwcp_ml.telemetry.simulator.compression import cost_table, gains
from dwcp_ml.telemetry.windows import SEGMENT_COLUMNS, hour_of_day

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from onnx import ModelProto

    from dwcp_ml.telemetry.blocks import Block
    from dwcp_ml.telemetry.dataset import Part

LABEL = "optimal_compression"
NEEDED = (*net.FEATURES, LABEL)
SIGNATURE = {"features": (None, len(net.FEATURES))}
TRUTH = ("machine", "payload", "cpu_share", "next_latent_mbps", "expected_next_mbps")


class CompressionParams(ModelParams):
    """Section ``compression_selector`` of params.yaml."""

    train_rows: int = Field(150_000, ge=100, description="rows taken from the train part")
    validation_rows: int = Field(40_000, ge=100)
    test_rows: int = Field(120_000, ge=100)
    units: tuple[int, ...] = (64, 32, 16)
    dropout: float = Field(0.3, ge=0, lt=1)
    temperature: float = Field(
        0.02, gt=0, description="log gain that counts as a clear win in the soft labels"
    )
    epochs: int = Field(40, ge=1)
    batch_size: int = Field(512, ge=1)
    learning_rate: float = Field(3e-3, gt=0)
    patience: int = Field(8, ge=1)
    ensemble: int = Field(
        1, ge=1, le=16, description="networks of successive seeds whose logits are averaged"
    )
    clear_margin: float = Field(0.05, ge=0, description="top-two margin of a clear oracle")
    max_mean_regret_pct: float = 2.0
    slice_min_clear_agreement: float = 0.95


@dataclass(frozen=True)
class Fitted:
    """The network and the scaling of its continuous inputs, (5,) each."""

    network: Any
    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]


class CompressionSelector:
    """Policy network trained on the softened choice of the offline oracle."""

    name = "compression_selector"
    title = "Compression selector"
    params_type = CompressionParams
    key_columns = ("throughput_mbps", "hde_compression_ratio", "amst_transfer_rate")
    label_column = LABEL
    primary_metric = "mean_regret_pct"
    inputs = (
        Tensor(
            "features",
            "float32",
            (None, len(net.FEATURES)),
            "see features",
            net.FEATURES,
            "Ratio, hit rate and transfer rate come from a level-1 probe of the payload on the "
            "sender; link_type dc 0, metro 1, wan 2, edge 3.",
        ),
    )
    outputs = (
        Tensor("compression_level", "int64", (None,), "zlib level, 0 is none"),
        Tensor("probabilities", "float32", (None, net.LEVELS), "1"),
    )

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Agreement with the oracle, regret and gain."""
        return METRICS

    def span(self, params: CompressionParams) -> tuple[int, int]:
        """One row in, the next step's best level out."""
        return 1, 1

    def examples(self, part: Part, params: CompressionParams) -> Examples:
        """Rows of a part, thinned evenly to the number asked for."""

        def rows(block: Block) -> NDArray[np.int64]:
            known = np.isfinite(block.columns.matrix(NEEDED)).all(axis=1)
            return np.flatnonzero(known)

        limit = {"train": params.train_rows, "validation": params.validation_rows}
        found = sampled(
            part,
            rows,
            lambda block, rows: _examples(block, rows, params.clear_margin),
            limit.get(part.role, params.test_rows),
            needs=NEEDED,
            more=(*SEGMENT_COLUMNS, "network_tier", "region"),
            truth=TRUTH,
        )
        return replace(found, group=np.unique(found.group, return_inverse=True)[1])

    def fit(
        self, train: Examples, validation: Examples, params: CompressionParams, log: TrainingLog
    ) -> Fitted:
        """Cross-entropy to softmax(log gain / temperature), or to the label without gains."""
        values = net.plain_inputs(train.features)
        mean = values.mean(axis=0).astype(np.float32)
        deviation = np.maximum(values.std(axis=0), 1e-3).astype(np.float32)
        data = [
            (
                np.asarray(net.prepare(e.features, mean, deviation)),
                soft_labels(e, params.temperature),
            )
            for e in (train, validation)
        ]

        def build(times: int = 1) -> Any:
            return net.build(tuple(times * width for width in params.units), params.dropout)

        schedule = Schedule(params.epochs, params.batch_size, params.learning_rate, params.patience)
        seeds = range(params.seed, params.seed + params.ensemble)
        members = train_members(
            lambda: (build(), net.loss()), data[0], data[1], schedule, seeds, log
        )
        return Fitted(merged(members, build), mean, deviation)

    def save(self, fitted: Fitted, folder: Path) -> None:
        """Write the network and the scaler."""
        from dwcp_ml.export.native import save_keras
        from dwcp_ml.files import write_json

        save_keras(fitted.network, folder)
        scaler = {"mean": fitted.mean.tolist(), "deviation": fitted.deviation.tolist()}
        write_json(folder / "scaler.json", scaler)

    def load(self, folder: Path) -> Fitted:
        """Read what ``save`` wrote."""
        import json

        from dwcp_ml.export.native import load_keras

        scaler = json.loads((folder / "scaler.json").read_text())
        return Fitted(
            load_keras(folder),
            np.array(scaler["mean"], np.float32),
            np.array(scaler["deviation"], np.float32),
        )

    def predict(self, fitted: Fitted, features: NDArray[np.float32]) -> Outputs:
        """Answers of the network as it was trained, which the graph must give too."""
        answer = net.decision(fitted.network, fitted.mean, fitted.deviation)
        return {k: np.asarray(v) for k, v in answer(features).items()}

    def graph(self, fitted: Fitted) -> ModelProto:
        """The ONNX graph."""
        served = self.serving(fitted)
        return from_tensorflow(served.function, served.signature)

    def serving(self, fitted: Fitted) -> Serving:
        """What the ONNX graph and a SavedModel are made from."""
        answer = net.decision(fitted.network, fitted.mean, fitted.deviation, fused=True)
        return Serving(answer, SIGNATURE, fitted.network)

    def facts(self, fitted: Fitted) -> dict[str, object]:
        """The scaling inside the graph."""
        names = [f"log {net.FEATURES[i]}" for i in net.SCALED]
        scaler = {
            "kind": f"hyperbolic tangent of the standard score over {net.REACH:g}",
            "inputs": names,
            "mean": fitted.mean.tolist(),
            "deviation": fitted.deviation.tolist(),
            "ramps": {
                "log(throughput_mbps / amst_transfer_rate)": net.SHARE_RAMPS.tolist(),
                "log hde_compression_ratio": net.RATIO_RAMPS.tolist(),
            },
        }
        return {"scaler": scaler, "threshold": None}

    def baselines(
        self, train: Examples, validation: Examples, params: CompressionParams
    ) -> Mapping[str, Predictor]:
        """Fixed levels, a shallow tree, a forest and the oracle under measurement noise."""
        return fit_rivals(train, params.seed)

    def ceiling(self, examples: Examples) -> Outputs | None:
        """The oracle, told the latent state of the link now instead of its next step."""
        t = examples.truth
        if "expected_next_mbps" not in t:
            return None
        expected = gains(t["machine"], t["payload"], t["cpu_share"], t["expected_next_mbps"])
        return choose(expected.argmax(axis=1))

    def gates(self, params: CompressionParams, *, simulated: bool) -> tuple[GateRule, ...]:
        """The targets and every baseline beaten; without gains regret cannot be evaluated."""
        p = params
        return (
            GateRule("clear_agreement", "clear_agreement", p.target_accuracy, "min", headline=True),
            GateRule("regret", "mean_regret_pct", p.max_mean_regret_pct, "max", headline=True),
            GateRule("gain", "throughput_gain_pct", 0.0, "min", headline=True),
            GateRule(
                "gain_over_fixed",
                "throughput_gain_pct",
                0.0,
                "min",
                against="best_fixed",
                headline=True,
            ),
            GateRule("regret_below_tree", "mean_regret_pct", 0.0, "min", against="tree_depth_4"),
            GateRule(
                "agreement_by_link_type",
                "clear_agreement",
                p.slice_min_clear_agreement,
                "min",
                slice="link_type",
            ),
            GateRule(
                "agreement_by_tier",
                "clear_agreement",
                p.slice_min_clear_agreement,
                "min",
                slice="tier",
            ),
        )

    def figures(
        self, examples: Examples, outputs: Outputs, rivals: Mapping[str, Outputs]
    ) -> tuple[Figure, ...]:
        """Regret by bandwidth, levels chosen, agreement by level."""
        return compression_figures(examples, outputs, rivals)


def soft_labels(examples: Examples, temperature: float) -> Array:
    """Shares of the levels, (n, 10): softmax of log gain, or one-hot labels without gains."""
    if "log_gain" not in examples.targets:
        return np.eye(net.LEVELS, dtype=np.float32)[examples.targets["level"]]
    logits = examples.targets["log_gain"] / temperature
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True), np.float32)


def _examples(block: Block, rows: NDArray[np.int64], clear_margin: float) -> Examples:
    columns = block.columns
    best = np.asarray(columns[LABEL][rows], np.int64)
    time_s = np.asarray(columns["timestamp"][rows], np.int64)
    targets: dict[str, Array] = {"level": best}
    slices: dict[str, Array] = {
        "link_type": columns.text("link_type", rows),
        "tier": columns.text("network_tier", rows),
        "region": columns.text("region", rows),
        "hour": hour_of_day(time_s),
        "level": best.astype(str),
    }
    truth = latent(block, TRUTH, rows)
    if truth:
        log_gain = np.log(
            gains(truth["machine"], truth["payload"], truth["cpu_share"], truth["next_latent_mbps"])
        )
        top = np.sort(log_gain, axis=1)[:, -2:]
        targets["log_gain"] = log_gain
        targets["clear"] = np.exp(top[:, 0] - top[:, 1]) < 1 - clear_margin
        slices["payload"] = np.array(cost_table().payloads)[truth["payload"]]
    features = columns.matrix(net.FEATURES)[rows]
    return Examples(features, targets, columns.link(rows), time_s, slices, truth)


MODEL = CompressionSelector()
