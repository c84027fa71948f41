"""Fewer nodes for what TensorFlow says in several: every node costs a row half a microsecond."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from onnx import GraphProto, NodeProto

LAST = [-1]  # start of the slice that takes the newest step of a sequence


def rewrite(graph: GraphProto) -> None:
    """Rewrite five idioms in place; what becomes unused stays, see ``slim.drop_unused``.

    * A transpose and its inverse: Keras puts the batch first between recurrent layers, ONNX time.
    * The newest step sliced from all the states of an LSTM: the operator has an output for it.
    * ``tf.clip_by_value``, which comes out as Min and Max.
    * Two constant matrices in a row, such as a scaling and a layer: their product is one.
    * A constant matrix before a recurrent layer: the layer's input weights take it in.
    """
    for old, new in _double_transposes(graph):
        _replace(graph, old, new)
    for old, new in _last_states(graph):
        _replace(graph, old, new)
    _clips(graph)
    _products(graph)
    _recurrent_inputs(graph)


def _double_transposes(graph: GraphProto) -> Iterator[tuple[str, str]]:
    makers = _makers(graph)
    for node in graph.node:
        before = makers.get(node.input[0]) if node.op_type == "Transpose" else None
        if before is not None and before.op_type == "Transpose":
            inner, outer = _attribute(before, "perm"), _attribute(node, "perm")
            if inner and outer and [inner[axis] for axis in outer] == sorted(inner):
                yield node.output[0], before.input[0]


def _last_states(graph: GraphProto) -> Iterator[tuple[str, str]]:
    """Slices [-1:] of time of a forward LSTM's Y without its direction: equal to Y_h."""
    makers, tensors = _makers(graph), _tensors(graph)
    for node in graph.node:
        squeeze = makers.get(node.input[0]) if node.op_type == "Slice" else None
        lstm = makers.get(squeeze.input[0]) if squeeze and squeeze.op_type == "Squeeze" else None
        if not (squeeze and lstm and lstm.op_type == "LSTM" and len(node.input) in (4, 5)):
            continue
        starts, ends, axes = (tensors.get(name) for name in node.input[1:4])
        step = tensors.get(node.input[4]) if len(node.input) == 5 else None
        whole_end = ends is not None and ends.size == 1 and int(ends[0]) >= 2**31 - 1
        newest = _is(starts, LAST) and whole_end and _is(axes, [0]) and (step is None or step == 1)
        one_way = _attribute(lstm, "direction") in (None, b"forward") and not any(lstm.input[4:5])
        direction = len(squeeze.input) == 2 and _is(tensors.get(squeeze.input[1]), [1])
        if newest and one_way and direction and squeeze.input[0] == lstm.output[0]:
            if len(lstm.output) < 2:
                lstm.output.append("")
            lstm.output[1] = lstm.output[1] or f"{lstm.output[0]}_h"
            yield node.output[0], lstm.output[1]


def _clips(graph: GraphProto) -> None:
    """Max(Min(x, high), low) of scalars low <= high becomes one Clip."""
    makers, tensors = _makers(graph), _tensors(graph)
    for node in graph.node:
        before = makers.get(node.input[0]) if node.op_type == "Max" else None
        if before is None or before.op_type != "Min":
            continue
        if not len(node.input) == len(before.input) == 2:
            continue
        low, high = tensors.get(node.input[1]), tensors.get(before.input[1])
        if low is not None and high is not None and low.shape == high.shape == () and low <= high:
            node.op_type = "Clip"
            node.input[:] = [before.input[0], node.input[1], before.input[1]]


def _products(graph: GraphProto) -> None:
    """(x A) B becomes x (A B) where nothing else reads x A and A B is no larger than both."""
    import numpy as np
    from onnx.numpy_helper import from_array, to_array

    makers = _makers(graph)
    matrices = {t.name: t for t in graph.initializer if len(t.dims) == 2}
    read = Counter(name for node in graph.node for name in node.input)
    read.update(value.name for value in graph.output)
    for node in (n for n in graph.node if n.op_type == "MatMul"):
        before = makers.get(node.input[0])
        if before is None or before.op_type != "MatMul" or read[node.input[0]] > 1:
            continue
        names = before.input[1], node.input[1]
        if not all(name in matrices for name in names):
            continue
        first, second = (to_array(matrices[name]) for name in names)
        if len(first) * second.shape[1] > first.size + second.size:
            continue
        product = first.astype(np.float64) @ second.astype(np.float64)
        name = f"{node.output[0]}_product"
        matrices[name] = from_array(product.astype(first.dtype), name)
        graph.initializer.append(matrices[name])
        node.input[:] = [before.input[0], name]


def _recurrent_inputs(graph: GraphProto) -> None:
    """LSTM(x A) with input weights W becomes LSTM(x) with W A', perhaps across a transpose.

    A has as many rows as columns, so that the layer has no more to do than before, and nothing
    else reads the product; a transpose leaves the last axis where it is.
    """
    import numpy as np
    from onnx.numpy_helper import from_array, to_array

    makers = _makers(graph)
    constants = {t.name: t for t in graph.initializer if len(t.dims) in (2, 3)}
    read = Counter(name for node in graph.node for name in node.input)
    read.update(value.name for value in graph.output)
    for lstm in [n for n in graph.node if n.op_type == "LSTM"]:
        reader, maker = lstm, makers.get(lstm.input[0])
        if maker and maker.op_type == "Transpose" and read[lstm.input[0]] == 1:
            if (_attribute(maker, "perm") or [0])[-1] != 2:
                continue
            reader, maker = maker, makers.get(maker.input[0])
        if not (maker and maker.op_type == "MatMul" and read[reader.input[0]] == 1):
            continue
        if not all(name in constants for name in (maker.input[1], lstm.input[1])):
            continue
        matrix, weights = (to_array(constants[n]) for n in (maker.input[1], lstm.input[1]))
        if matrix.shape[0] != matrix.shape[1]:
            continue
        taken = weights.astype(np.float64) @ matrix.T.astype(np.float64)
        name = f"{lstm.input[1]}_with_{maker.input[1]}"
        graph.initializer.append(from_array(taken.astype(weights.dtype), name))
        lstm.input[1] = name
        reader.input[0] = maker.input[0]


def _replace(graph: GraphProto, old: str, new: str) -> None:
    """Let every reader of a value read another one; outputs of the graph keep theirs."""
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]


def _makers(graph: GraphProto) -> dict[str, NodeProto]:
    return {value: node for node in graph.node for value in node.output if value}


def _tensors(graph: GraphProto) -> dict[str, NDArray[Any]]:
    """Values of the graph's small constants; weights are left alone."""
    from onnx.numpy_helper import to_array

    return {t.name: to_array(t) for t in graph.initializer if len(t.dims) <= 1}


def _is(tensor: NDArray[Any] | None, values: list[int]) -> bool:
    return tensor is not None and tensor.tolist() == values


def _attribute(node: NodeProto, name: str) -> Any:
    from onnx.helper import get_attribute_value

    found = [get_attribute_value(a) for a in node.attribute if a.name == name]
    return found[0] if found else None
