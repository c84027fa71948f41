"""Write a registry of four tiny ONNX models with the real models' inputs and outputs.

The Go tests run on it where no trained registry is at hand. Usage: make_models.py FOLDER
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

F, INT = TensorProto.FLOAT, TensorProto.INT64


def const(name: str, values: object, dtype: type = np.float32) -> onnx.TensorProto:
    """An initializer."""
    return numpy_helper.from_array(np.asarray(values, dtype), name)


def bandwidth(scale: float) -> tuple[list, list, list, list]:
    """Forecast is the mean step times ``scale``; below 50 Mbit/s is degraded."""
    nodes = [
        helper.make_node("Gather", ["features", "columns"], ["four"], axis=2),
        helper.make_node("ReduceMean", ["four"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("Mul", ["mean", "scale"], ["forecast"]),
        helper.make_node("Gather", ["forecast", "first"], ["next_throughput_mbps"], axis=1),
        helper.make_node("Less", ["next_throughput_mbps", "bound"], ["low"]),
        helper.make_node("Cast", ["low"], ["bandwidth_class"], to=INT),
    ]
    consts = [
        const("columns", [2, 0, 3, 1], np.int64),
        const("first", 0, np.int64),
        const("scale", scale),
        const("bound", 50.0),
    ]
    outputs = [
        ("next_throughput_mbps", F, ["batch"]),
        ("forecast", F, ["batch", 4]),
        ("bandwidth_class", INT, ["batch"]),
    ]
    return nodes, consts, ["batch", 10, 7], outputs


def compression() -> tuple[list, list, list, list]:
    """A linear layer and a softmax."""
    weights = np.random.default_rng(42).normal(0, 0.004, (6, 10))
    nodes = [
        helper.make_node("MatMul", ["features", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["logits"], ["compression_level"], axis=1, keepdims=0),
    ]
    outputs = [("compression_level", INT, ["batch"]), ("probabilities", F, ["batch", 10])]
    return nodes, [const("weights", weights)], ["batch", 6], outputs


def reliability() -> tuple[list, list, list, list]:
    """A logistic layer; the score is above a half where uptime is low."""
    nodes = [
        helper.make_node("MatMul", ["features", "weights"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["anomaly_score"]),
        helper.make_node("Greater", ["anomaly_score", "half"], ["over"]),
        helper.make_node("Cast", ["over"], ["is_anomaly"], to=INT),
    ]
    consts = [
        const("weights", [-0.5, 0.2, 1, 0.01, 0.1, 0]),
        const("bias", 45.0),
        const("half", 0.5),
    ]
    return (
        nodes,
        consts,
        ["batch", 6],
        [("anomaly_score", F, ["batch"]), ("is_anomaly", INT, ["batch"])],
    )


def consensus() -> tuple[list, list, list, list]:
    """The mean of the last 20 steps over the mean of all; above 1.5 is high."""
    nodes = [
        helper.make_node("Slice", ["features", "from", "to", "axis"], ["window"]),
        helper.make_node("ReduceMean", ["window"], ["now"], axes=[1, 2], keepdims=0),
        helper.make_node("ReduceMean", ["features"], ["usual"], axes=[1, 2], keepdims=0),
        helper.make_node("Div", ["now", "usual"], ["reconstruction_error"]),
        helper.make_node("Greater", ["reconstruction_error", "bound"], ["over"]),
        helper.make_node("Cast", ["over"], ["is_high_latency"], to=INT),
    ]
    consts = [
        const("from", [-20], np.int64),
        const("to", [2**62], np.int64),
        const("axis", [1], np.int64),
        const("bound", 1.5),
    ]
    outputs = [("reconstruction_error", F, ["batch"]), ("is_high_latency", INT, ["batch"])]
    return nodes, consts, ["batch", "steps", 1], outputs


EXAMPLES = {
    "bandwidth_predictor": np.tile(
        np.array([10.5, 2.3, 150.0, 0.01, 1, 2, 65536], np.float32), (1, 10, 1)
    )
    * np.linspace(0.9, 1.1, 10, dtype=np.float32)[None, :, None],
    "compression_selector": np.array([[60, 115, 2, 2.8, 0.6, 214]], np.float32),
    "node_reliability": np.array([[99.4, 1.7, 0.0013, 12.5, 1.35, 115.7]], np.float32),
    "consensus_latency": np.linspace(20, 40, 40, dtype=np.float32)[None, :, None],
}


def described(name: str, kind: int, shape: list) -> dict:
    """A tensor as metadata.json has it."""
    return {"name": name, "dtype": "float32" if kind == F else "int64", "shape": shape}


def write(root: Path, name: str, version: str, parts: tuple[list, list, list, list]) -> None:
    """One version: graph, metadata, golden pair."""
    nodes, consts, shape, outputs = parts
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("features", F, shape)],
        [helper.make_tensor_value_info(*output) for output in outputs],
        consts,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    content = model.SerializeToString(deterministic=True)
    session = onnxruntime.InferenceSession(content)
    names = [output[0] for output in outputs]
    answers = session.run(names, {"features": EXAMPLES[name]})
    metadata = {
        "name": name,
        "version": version,
        "created": "2025-01-01T00:00:00+00:00",
        "inputs": [described("features", F, shape)],
        "outputs": [described(*o) for o in outputs],
        "onnx_sha256": hashlib.sha256(content).hexdigest(),
        "onnx_bytes": len(content),
        "golden": [
            {
                "request": {"features": EXAMPLES[name].tolist()},
                "response": {n: a.tolist() for n, a in zip(names, answers, strict=True)},
            }
        ],
    }
    folder = root / name / version
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(content)
    (folder / "metadata.json").write_text(json.dumps(metadata) + "\n")
    latest = root / name / "latest"
    latest.unlink(missing_ok=True)
    latest.symlink_to("v1.0")


if __name__ == "__main__":
    target = Path(sys.argv[1])
    write(target, "bandwidth_predictor", "v1.0", bandwidth(1.0))
    write(target, "bandwidth_predictor", "v1.1", bandwidth(1.1))
    write(target, "compression_selector", "v1.0", compression())
    write(target, "node_reliability", "v1.0", reliability())
    write(target, "consensus_latency", "v1.0", consensus())
