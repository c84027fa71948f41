"""A small real model and small real data, so that whole stages run in a second."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from dwcp_ml import metrics as m
from dwcp_ml import models
from dwcp_ml.files import write_json
from dwcp_ml.models.base import Examples, Figure, GateRule, Metric, ModelParams, Tensor
from dwcp_ml.models.export import export_model
from dwcp_ml.models.log import History
from dwcp_ml.models.train import train_model
from dwcp_ml.params import EvaluateParams, Params, SplitParams
from dwcp_ml.telemetry.dataset import Manifest, write_manifest
from dwcp_ml.telemetry.parquet import RowGroups
from dwcp_ml.telemetry.schema import arrow_schema, load_schema
from dwcp_ml.telemetry.split import split
from dwcp_ml.telemetry.windows import SEGMENT_COLUMNS, read_columns, segments, window_ends

NAME = "toy"
WINDOW, SLOW_MBPS = 3, 90.0
CREATED = "2025-02-03T04:05:06+00:00"


class ToyParams(ModelParams):
    """The rounds only change the parameters' digest and the weights a little."""

    rounds: int = 3
    max_mape_pct: float = 20.0
    min_recall: float = 0.5


class Toy:
    """Least squares on the last three throughputs of a link."""

    name, title, params_type = NAME, "Toy predictor", ToyParams
    key_columns, label_column, primary_metric = ("throughput_mbps",), None, "mape_pct"
    inputs = (Tensor("features", "float32", (None, WINDOW), "Mbit/s", ("throughput_mbps",)),)
    outputs = (
        Tensor("next_mbps", "float32", (None,), "Mbit/s"),
        Tensor("is_slow", "int64", (None,), "bool"),
    )
    metrics = (
        Metric("mape_pct", "%", "lower", m.prepared(
            lambda e, o: m.mape(e.targets["mbps"], o["next_mbps"], floor=1.0)), "MAPE"),
        Metric("within_link_r", "1", "higher", m.prepared(
            lambda e, o: m.median_group_correlation(e.targets["mbps"], o["next_mbps"], e.group)),
            "Within-link correlation"),
        Metric("recall", "1", "higher", m.prepared(
            lambda e, o: m.recall(e.targets["slow"], o["is_slow"])), "Recall of slow steps"),
        Metric("ap", "1", "higher", m.prepared(
            lambda e, o: m.average_precision(e.targets["slow"], -o["next_mbps"])),
            "Average precision"),
    )  # fmt: skip

    def span(self, params):
        return WINDOW, 1

    def examples(self, part, params):
        columns = read_columns(part.telemetry, (*SEGMENT_COLUMNS, "throughput_mbps", "link_type"))
        ends = window_ends(segments(columns, part.step_s), WINDOW, 1)
        mbps = columns["throughput_mbps"]
        latent = {}
        if part.truth is not None:
            latent = {"mbps": read_columns(part.truth, ["latent_mbps"])["latent_mbps"][ends + 1]}
        time_s = np.asarray(columns["timestamp"][ends], np.int64)
        return Examples(
            np.stack([mbps[ends - 2], mbps[ends - 1], mbps[ends]], axis=1).astype(np.float32),
            {"mbps": mbps[ends + 1], "slow": (mbps[ends + 1] < SLOW_MBPS).astype(np.int8)},
            columns.text("node_id", ends),
            time_s,
            {
                "link_type": columns["link_type"][ends].astype(int).astype(str),
                "half": np.where(columns["link_type"][ends] == 3, "", "inner"),
            },
            latent,
        )

    def fit(self, train, validation, params, log):
        weights = np.linalg.lstsq(train.features, train.targets["mbps"], rcond=None)[0]
        for i in range(params.rounds):
            log.epoch(i + 1, params.rounds, {"loss": 1 / (i + 1), "val_loss": 1.5 / (i + 1)})
        return weights.astype(np.float32) * np.float32(1 + params.rounds / 1e5)

    def save(self, fitted, folder):
        (folder / "weights.json").write_text(json.dumps(fitted.tolist()))

    def load(self, folder):
        return np.array(json.loads((folder / "weights.json").read_text()), np.float32)

    def predict(self, fitted, features):
        return _answer(features @ fitted)

    def graph(self, fitted):
        import onnx
        from onnx import TensorProto, helper

        nodes = [
            helper.make_node("MatMul", ["features", "w"], ["next_mbps"]),
            helper.make_node("Less", ["next_mbps", "slow"], ["low"]),
            helper.make_node("Cast", ["low"], ["is_slow"], to=TensorProto.INT64),
        ]
        graph = helper.make_graph(
            nodes,
            "toy",
            [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", WINDOW])],
            [
                helper.make_tensor_value_info("next_mbps", TensorProto.FLOAT, ["batch"]),
                helper.make_tensor_value_info("is_slow", TensorProto.INT64, ["batch"]),
            ],
            [
                helper.make_tensor("w", TensorProto.FLOAT, [WINDOW], fitted),
                helper.make_tensor("slow", TensorProto.FLOAT, [], [SLOW_MBPS]),
            ],
        )
        opsets = [helper.make_opsetid("", 17)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        onnx.checker.check_model(model)
        return model

    def facts(self, fitted):
        return {"threshold": SLOW_MBPS}

    def baselines(self, train, validation, params):
        usual = float(np.mean(train.targets["mbps"]))
        return {
            "persistence": lambda e: _answer(e.features[:, -1]),
            "mean": lambda e: _answer(np.full(len(e), usual)),
        }

    def ceiling(self, examples):
        return _answer(examples.truth["mbps"]) if "mbps" in examples.truth else None

    def gates(self, params, *, simulated):
        return (
            GateRule("mape", "mape_pct", params.max_mape_pct, "max", headline=True),
            GateRule("skill", "mape_pct", 0.0, "min", against="persistence", headline=True),
            GateRule("recall", "recall", params.min_recall, "min"),
            GateRule("mape_by_link", "mape_pct", 30.0, "max", slice="link_type"),
        )

    def figures(self, examples, outputs, rivals):
        few = slice(0, 200)
        pairs = {"model": (examples.targets["mbps"][few], outputs["next_mbps"][few])}
        links = np.array(["dc", "metro", "wan", "edge"])
        bars = {who: (links, np.arange(4) / (i + 2)) for i, who in enumerate(["model", *rivals])}
        return (
            Figure("predicted", "Predicted against true", "scatter", "true, Mbit/s",
                   "predicted, Mbit/s", pairs, diagonal=True),
            Figure("error_by_link", "Error by link type", "bar", "link type", "MAPE, %", bars),
        )  # fmt: skip


def _answer(mbps):
    values = np.asarray(mbps, np.float32)
    return {"next_mbps": values, "is_slow": (values < SLOW_MBPS).astype(np.int64)}


TOY = Toy()


def toy_params(**section) -> Params:
    """Parameters with few resamples; ``section`` is the toy's own."""
    limits = EvaluateParams(resamples=60, max_row_p99_ms=200)
    return Params(models=(NAME,), evaluate=limits, sections={NAME: section})


def write_raw(folder: Path, seed: int, *, source="simulator", nodes=6, steps=300) -> None:
    """A raw folder: links around 100 Mbit/s, each a slow walk seen through noise."""
    schema, rng = load_schema(), np.random.default_rng(seed)
    rows = nodes * steps
    frame = {c.name: [c.neutral] * rows for c in schema.columns if c.role == "input"}
    frame |= {c.name: [0] * rows for c in schema.columns if c.role == "label"}
    frame["node_id"] = np.repeat([f"node-{i}" for i in range(nodes)], steps)
    frame["peer_id"] = np.repeat([f"node-{(i + 1) % nodes}" for i in range(nodes)], steps)
    times = pd.date_range("2025-01-06", periods=steps, freq="60s", tz="UTC")
    frame["timestamp"] = np.tile(times, nodes)
    links = [("dc", "metro", "wan", "edge")[i % 4] for i in range(nodes)]
    frame["link_type"] = np.repeat(links, steps)
    walk = np.cumsum(rng.normal(0, 0.02, (nodes, steps)), axis=1) + rng.normal(0, 0.2, (nodes, 1))
    latent = (100 * np.exp(walk)).reshape(-1)
    frame["throughput_mbps"] = latent * rng.lognormal(0, 0.05, rows)
    plain = pd.DataFrame(frame)
    table = {**plain, **_derived(plain)}
    kinds = arrow_schema(schema)
    (folder / "telemetry").mkdir(parents=True)
    (folder / "truth").mkdir()
    with RowGroups(folder / "telemetry" / "part-00000.parquet", kinds) as file:
        file.write(pa.table({f.name: pa.array(table[f.name], f.type) for f in kinds}))
    if source == "simulator":
        truth = pa.table({"latent_mbps": pa.array(latent, pa.float32())})
        with RowGroups(folder / "truth" / "part-00000.parquet", truth.schema) as file:
            file.write(truth)
    span = times[0].isoformat(), times[-1].isoformat()
    write_manifest(folder, Manifest(source, schema.version, 60, rows, nodes, *span, seed=seed))


def _derived(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    time = frame["timestamp"].dt
    return {
        "epoch_time": (frame["timestamp"].astype("int64") // 10**9).to_numpy(),
        "time_of_day": (time.hour + time.minute / 60).to_numpy(),
        "day_of_week": time.dayofweek.to_numpy(),
    }


def make_workspace(root: Path, *, source="simulator") -> Path:
    """data/splits, data/fresh/seed-*, artifacts/toy: made by the real stages."""
    models.available()[NAME] = TOY
    write_raw(root / "data" / "raw", 42, source=source)
    split(root / "data" / "raw", SplitParams(), root / "data" / "splits", gap_steps=WINDOW + 1)
    for seed in (7, 8):
        write_raw(root / "data" / "fresh" / f"seed-{seed}", seed)
    make_artifact(root)
    return root


def make_artifact(root: Path, **section) -> None:
    """Train and export the toy; other ``rounds`` give another ONNX file."""
    splits, out = root / "data" / "splits", root / "artifacts"
    params = models.section(toy_params(**section), NAME)
    train_model(TOY, splits, params, out, History(), started=CREATED)
    revisions = {"git_commit": "abc123", "dvc_revision": None}
    export_model(TOY, out, splits, params, revisions)


def write_quality(reports: Path, *, success: bool) -> None:
    """A data_quality.json with one expectation."""
    result = {"columns": ["rtt_ms"], "title": "within 0 to 10000", "success": success, "why": "no"}
    write_json(
        reports / "data_quality.json",
        {
            "success": success,
            "expectations_written": 1,
            "expectations_evaluated": 1,
            "expectations_failed": int(not success),
            "rows": 1800,
            "incidents": 0,
            "telemetry": {"absent_columns": [], "missing_labels": ["is_anomaly"]},
            "results": [result],
        },
    )
