"""A registry of three tiny real graphs, written as `dwcp register` writes one."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

LINEAR, RECURRENT, SERIES = "linear", "recurrent", "series"
NAMES = (LINEAR, RECURRENT, SERIES)
LINEAR_ROW = [1.5, 2.5, 1.0]


def _value(name, kind, shape):
    return helper.make_tensor_value_info(name, kind, shape)


def _constant(name, value):
    return onnx.numpy_helper.from_array(np.asarray(value), name)


def _model(nodes, inputs, outputs, constants, *, opset=17):
    graph = helper.make_graph(nodes, "small", inputs, outputs, constants)
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def linear(slope=2.0, *, opset=17):
    """(batch, 3) -> slope * (a + b) * factor[c], and whether it is above 10.

    The third feature looks up a table of three, so a fourth value fails inside the runtime.
    """
    nodes = [
        helper.make_node("Gather", ["features", "first_two"], ["pair"], axis=1),
        helper.make_node("ReduceSum", ["pair", "one"], ["sum"], keepdims=0),
        helper.make_node("Gather", ["features", "two"], ["code"], axis=1),
        helper.make_node("Cast", ["code"], ["index"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "index"], ["factor"]),
        helper.make_node("Mul", ["sum", "factor"], ["score"]),
        helper.make_node("Greater", ["score", "ten"], ["high"]),
        helper.make_node("Cast", ["high"], ["is_high"], to=TensorProto.INT64),
    ]
    constants = [
        _constant("first_two", np.array([0, 1])),
        _constant("one", np.array([1])),
        _constant("two", np.array(2)),
        _constant("table", np.array([1, slope, slope**2], np.float32)),
        _constant("ten", np.array(10, np.float32)),
    ]
    outputs = [
        _value("score", TensorProto.FLOAT, ["batch"]),
        _value("is_high", TensorProto.INT64, ["batch"]),
    ]
    features = _value("features", TensorProto.FLOAT, ["batch", 3])
    return _model(nodes, [features], outputs, constants, opset=opset)


def recurrent():
    """(batch, 4, 2) -> last state of an LSTM, which ends a process on an empty batch."""
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("Transpose", ["features"], ["steps"], perm=[1, 0, 2]),
        helper.make_node("LSTM", ["steps", "w", "r"], ["", "state"], hidden_size=3),
        helper.make_node("Squeeze", ["state", "zero"], ["last"]),
    ]
    constants = [
        _constant("w", rng.normal(size=(1, 12, 2)).astype(np.float32)),
        _constant("r", rng.normal(size=(1, 12, 3)).astype(np.float32)),
        _constant("zero", np.array([0])),
    ]
    features = _value("features", TensorProto.FLOAT, ["batch", 4, 2])
    outputs = [_value("last", TensorProto.FLOAT, ["batch", 3])]
    return _model(nodes, [features], outputs, constants)


def series():
    """(batch, steps, 1), 3 steps at least -> mean of the steps."""
    nodes = [helper.make_node("ReduceMean", ["features"], ["mean"], axes=[1, 2], keepdims=0)]
    features = _value("features", TensorProto.FLOAT, ["batch", "steps", 1])
    return _model(nodes, [features], [_value("mean", TensorProto.FLOAT, ["batch"])], [])


GRAPHS = {LINEAR: linear, RECURRENT: recurrent, SERIES: series}
REQUESTS = {
    LINEAR: [LINEAR_ROW],
    RECURRENT: np.linspace(-1, 1, 8).reshape(1, 4, 2).tolist(),
    SERIES: [[[1.0], [2.0], [4.5]]],
}


def _described(value):
    tensor = value.type.tensor_type
    shape = [d.dim_param or d.dim_value for d in tensor.shape.dim]
    dtype = {TensorProto.FLOAT: "float32", TensorProto.INT64: "int64"}[tensor.elem_type]
    return {"name": value.name, "dtype": dtype, "shape": shape}


def register(root: Path, name: str, version: str, graph=None, **changes) -> Path:
    """Write a version and move ``latest`` to it; ``changes`` replace keys of the metadata."""
    folder = root / name / version
    folder.mkdir(parents=True)
    model = graph or GRAPHS[name]()
    content = model if isinstance(model, bytes) else model.SerializeToString()
    metadata = {
        "name": name,
        "version": version,
        "created": "2025-01-01T00:00:00+00:00",
        "onnx_sha256": hashlib.sha256(content).hexdigest(),
    }
    if not isinstance(model, bytes):
        metadata["inputs"] = [_described(value) for value in model.graph.input]
        metadata["outputs"] = [_described(value) for value in model.graph.output]
        if name == SERIES:
            metadata["inputs"][0]["least"] = {"steps": 3}
        rows = REQUESTS.get(name, [LINEAR_ROW])
        answers = _answers(content, rows)
        metadata["golden"] = [{"request": {"features": rows}, "response": answers}]
    (folder / "model.onnx").write_bytes(content)
    (folder / "metadata.json").write_text(json.dumps(metadata | changes))
    (folder / "card.md").write_text(f"# {name} {version}\n")
    move_latest(root / name, version)
    return folder


def _answers(content, rows):
    try:
        session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
        outputs = session.run(None, {"features": np.array(rows, np.float32)})
    except Exception:  # a graph that the server must refuse before it comes this far
        return {"score": [8.0]}
    names = [output.name for output in session.get_outputs()]
    return {name: value.tolist() for name, value in zip(names, outputs, strict=True)}


def move_latest(folder: Path, version: str) -> None:
    """Swap the link as the registry does."""
    draft = folder / ".latest.part"
    draft.symlink_to(version)
    draft.replace(folder / "latest")


def small_registry(root: Path) -> Path:
    """All three, version v1.0."""
    for name in NAMES:
        register(root, name, "v1.0")
    return root
