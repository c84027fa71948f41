"""Rolling-window features of a node's recent steps, computed by the same operators everywhere.

Trees compare features with thresholds, so that a difference in the last bit can change an answer.
Training, the native model and the served graph therefore run one and the same ONNX sub-graph.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

    from dwcp_ml.models.base import Array

SUMMARY = "summary"
CHUNK = 4096  # examples at once
PER_COLUMN = 4  # newest value, mean and deviation over the history, newest less mean


def summary(features: Array) -> Array:
    """What the trees read: (n, k) as it is; of a history (n, steps, k) its summary (n, 4 k)."""
    if features.ndim == 2:
        return features
    session = _session(*features.shape[1:])
    parts = [
        session.run(None, {"features": features[i : i + CHUNK]})[0]
        for i in range(0, len(features), CHUNK)
    ]
    return np.concatenate(parts) if parts else np.empty((0, PER_COLUMN * features.shape[2]), "f4")


def with_history(trees: ModelProto, steps: int) -> ModelProto:
    """A graph of trees on the summary, with the summary of ``steps`` rows in front."""
    from onnx import ModelProto

    model = ModelProto()
    model.CopyFrom(trees)
    graph = model.graph
    nodes, constants = _nodes()
    graph.node[0].input[0] = SUMMARY
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *rest])
    graph.initializer.extend(constants)
    width = graph.input[0].type.tensor_type.shape.dim[1].dim_value
    graph.input[0].CopyFrom(_input(steps, width // PER_COLUMN))
    return model


def _nodes() -> tuple[list[NodeProto], list[TensorProto]]:
    """From ``features`` (batch, steps, k) to ``summary`` (batch, 4 k)."""
    from onnx import helper, numpy_helper

    def node(operator: str, inputs: list[str], output: str, **attributes: Any) -> NodeProto:
        return helper.make_node(operator, inputs, [output], **attributes)

    nodes = [
        node("Gather", ["features", "newest_index"], "newest", axis=1),
        node("ReduceMean", ["features"], "kept_mean", axes=[1], keepdims=1),
        node("Sub", ["features", "kept_mean"], "off"),
        node("Mul", ["off", "off"], "off_squared"),
        node("ReduceMean", ["off_squared"], "variance", axes=[1], keepdims=0),
        node("Sqrt", ["variance"], "deviation"),
        node("Squeeze", ["kept_mean", "step_axis"], "mean"),
        node("Sub", ["newest", "mean"], "rise"),
        node("Concat", ["newest", "mean", "deviation", "rise"], SUMMARY, axis=1),
    ]
    constants = [
        numpy_helper.from_array(np.array(-1, np.int64), "newest_index"),
        numpy_helper.from_array(np.array([1], np.int64), "step_axis"),
    ]
    return nodes, constants


def _input(steps: int, columns: int) -> Any:
    from onnx import TensorProto, helper

    from dwcp_ml.export.trees import BATCH

    shape = [BATCH, steps, columns]
    return helper.make_tensor_value_info("features", TensorProto.FLOAT, shape)


@cache
def _session(steps: int, columns: int) -> Any:
    from onnx import TensorProto, helper

    from dwcp_ml.export.canonical import canonical_bytes
    from dwcp_ml.export.session import open_session
    from dwcp_ml.export.trees import BATCH, IR_VERSION, OPSET

    nodes, constants = _nodes()
    shape = [BATCH, PER_COLUMN * columns]
    graph = helper.make_graph(
        nodes,
        "summary",
        [_input(steps, columns)],
        [helper.make_tensor_value_info(SUMMARY, TensorProto.FLOAT, shape)],
        constants,
    )
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    return open_session(canonical_bytes(model))
