"""From a TensorFlow function around a Keras network to ONNX, opset 17."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dwcp_ml.errors import ExportError
from dwcp_ml.export import quiet
from dwcp_ml.export.slim import slim

if TYPE_CHECKING:
    from pathlib import Path

    from onnx import ModelProto, ValueInfoProto

OPSET = 17
IR_VERSION = 8  # the oldest that holds opset 17, so that old runtimes read it
BATCH = "batch"
CONTROL_FLOW = {"Loop", "Scan", "If", "SequenceAt"}

Shape = tuple[int | str | None, ...]
Function = Callable[..., Mapping[str, Any]]


@dataclass(frozen=True)
class Serving:
    """A TensorFlow function from raw features to decision, as both formats are made from it.

    Attributes:
        function: takes the inputs in the signature's order; its dict's keys name the outputs.
        signature: shape of each input; see ``from_tensorflow``.
        network: the Keras model whose variables the function reads.
    """

    function: Function
    signature: Mapping[str, Shape]
    network: Any


def from_tensorflow(function: Function, signature: Mapping[str, Shape]) -> ModelProto:
    """Convert a function of float32 tensors to ONNX.

    Put everything from the raw features to the decision into the function: pre-processing with
    numpy constants, ``network(x, training=False)``, post-processing. Not ``keras.layers.
    Normalization``: its statistics would become inputs of the graph. Recurrent layers keep the
    fused operator if they are plain ``LSTM`` (a GRU, Masking or recurrent dropout becomes a loop).
    ``tf.squeeze`` and ``tf.expand_dims`` make fewer nodes than ``x[:, :, 0]`` and ``x[..., None]``.

    Args:
        function: takes the inputs in the signature's order; its dict's keys name the outputs,
            in that order. The first axis of every output is the batch.
        signature: shape of each input; None for the batch, a word for another dynamic axis,
            for example ``{"features": (None, "steps", 1)}``.

    Raises:
        ExportError: the graph holds a loop, an input that was not asked for (a variable that
            could not be frozen), or an output with a dynamic axis besides the batch.
    """
    tf, tf2onnx = quiet.tensorflow(), quiet.tf2onnx()
    specs = tensor_specs(signature)
    order: list[str] = []

    def traced(*inputs: Any) -> Mapping[str, Any]:
        outputs = function(*inputs)
        order[:] = list(outputs)
        return outputs

    graph_function = tf.function(traced, input_signature=specs, autograph=False)
    model, _ = tf2onnx.convert.from_function(graph_function, input_signature=specs, opset=OPSET)
    model.ir_version = IR_VERSION
    _name_axes(model, signature, order)
    slim(model)
    loops = sorted({node.op_type for node in model.graph.node} & CONTROL_FLOW)
    if loops:
        raise ExportError(
            f"the graph holds {', '.join(loops)}: a recurrent layer was not fused; use plain LSTM "
            "layers without masking or recurrent dropout, and a batch of None"
        )
    return model


def save_saved_model(serving: Serving, folder: Path) -> None:
    """Write a TensorFlow SavedModel with one signature, ``serving_default``.

    Args:
        serving: what the ONNX graph is made from too.
        folder: receives saved_model.pb and its variables.
    """
    tf = quiet.tensorflow()
    module = tf.Module()
    module.network = serving.network
    specs = tensor_specs(serving.signature)
    module.serve = tf.function(serving.function, input_signature=specs, autograph=False)
    tf.saved_model.save(module, str(folder), signatures=module.serve)


def tensor_specs(signature: Mapping[str, Shape]) -> list[Any]:
    """TensorFlow's specification of each input; a word becomes a dynamic axis."""
    tf = quiet.tensorflow()
    return [
        tf.TensorSpec([n if isinstance(n, int) else None for n in shape], tf.float32, name=name)
        for name, shape in signature.items()
    ]


def _name_axes(model: ModelProto, signature: Mapping[str, Shape], order: list[str]) -> None:
    """Name the dynamic axes, which the converter numbers, and put the outputs in order."""
    graph = model.graph
    extra = sorted({value.name for value in graph.input} - set(signature))
    if extra:
        raise ExportError(
            f"the graph has inputs that nobody asked for: {', '.join(extra)}; use numpy constants "
            "in place of layers that hold statistics"
        )
    for value in graph.input:
        for axis, size in enumerate(signature[value.name]):
            if not isinstance(size, int):
                value.type.tensor_type.shape.dim[axis].dim_param = size or BATCH
    outputs = {value.name: value for value in graph.output}
    for value in outputs.values():
        _name_batch(value)
    del graph.output[:]
    graph.output.extend(outputs[name] for name in order)
    del graph.value_info[:]


def _name_batch(output: ValueInfoProto) -> None:
    dims = output.type.tensor_type.shape.dim
    if not dims or any(not dim.HasField("dim_value") for dim in dims[1:]):
        raise ExportError(
            f"output '{output.name}' needs the shape (batch, ...) with fixed sizes after the "
            "batch; use tf.ensure_shape"
        )
    dims[0].dim_param = BATCH
