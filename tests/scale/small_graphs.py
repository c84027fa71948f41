"""Registered versions of small random graphs with the inputs of the real models."""

import hashlib
import json

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from dwcp_ml.models.base import resolved


def register(root, model, params):
    """Write ROOT/NAME/v1.0 with a recurrent layer for histories, a dense one for single rows."""
    (tensor,) = resolved(model.inputs, params)
    shape = tensor.shape[1:]
    graph = recurrent(shape) if len(shape) == 2 else dense(shape[0])
    content = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()
    folder = root / model.name / "v1.0"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(content)
    about = {"version": "v1.0", "onnx_sha256": hashlib.sha256(content).hexdigest()}
    (folder / "metadata.json").write_text(json.dumps(about))
    return folder


def values(name, *shape):
    made = np.random.default_rng(3).normal(0, 0.1, shape)
    return numpy_helper.from_array(made.astype(np.float32), name)


def described(name, kind, *shape):
    return helper.make_tensor_value_info(name, kind, shape)


def recurrent(shape, hidden=64):
    steps, width = shape
    nodes = [
        helper.make_node("Transpose", ["features"], ["time_first"], perm=[1, 0, 2]),
        helper.make_node("LSTM", ["time_first", "w", "r"], ["", "state"], hidden_size=hidden),
        helper.make_node("Squeeze", ["state", "zero"], ["last"]),
        helper.make_node("MatMul", ["last", "head"], ["forecast"]),
    ]
    constants = [
        values("w", 1, 4 * hidden, width),
        values("r", 1, 4 * hidden, hidden),
        values("head", hidden, 4),
        numpy_helper.from_array(np.array([0]), "zero"),
    ]
    features = described("features", TensorProto.FLOAT, "batch", steps, width)
    answers = [described("forecast", TensorProto.FLOAT, "batch", 4)]
    return helper.make_graph(nodes, "small", [features], answers, constants)


def dense(width):
    nodes = [
        helper.make_node("MatMul", ["features", "w"], ["scores"]),
        helper.make_node("ArgMax", ["scores"], ["choice"], axis=1, keepdims=0),
    ]
    features = described("features", TensorProto.FLOAT, "batch", width)
    answers = [
        described("scores", TensorProto.FLOAT, "batch", 10),
        described("choice", TensorProto.INT64, "batch"),
    ]
    return helper.make_graph(nodes, "small", [features], answers, [values("w", width, 10)])
