"""Is a graph what the model declares: names, types, shapes, opset?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from dwcp_ml.errors import ExportError

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto

OPSETS = {"": 17, "ai.onnx.ml": 3}
BATCH = "batch"


class Declared(Protocol):
    """What is read of a declared tensor; ``shape`` holds None for the batch, a word for an axis."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def dtype(self) -> str: ...  # noqa: D102
    @property
    def shape(self) -> tuple[int | str | None, ...]: ...  # noqa: D102


def check_signature(
    model: ModelProto, inputs: Sequence[Declared], outputs: Sequence[Declared]
) -> None:
    """Compare a graph with the declared tensors.

    Raises:
        ExportError: the graph has not exactly one input, or a name, order, type, axis or opset
            differs; the message shows both sides.
    """
    if len(model.graph.input) != 1 or len(inputs) != 1:
        names = ", ".join(value.name for value in model.graph.input)
        raise ExportError(f"the graph must have one input, not {len(model.graph.input)}: {names}")
    for values, declared in ((model.graph.input, inputs), (model.graph.output, outputs)):
        found = [_found(value) for value in values]
        wanted = [_wanted(tensor) for tensor in declared]
        if found != wanted:
            raise ExportError(
                f"the graph has {'; '.join(found)} where the model declares {'; '.join(wanted)}"
            )
    for opset in model.opset_import:
        if OPSETS.get(opset.domain) != opset.version:
            raise ExportError(
                f"the graph uses opset {opset.version} of '{opset.domain or 'ai.onnx'}', not "
                f"{OPSETS.get(opset.domain, 'any')}"
            )


def _found(value: ValueInfoProto) -> str:
    from onnx import TensorProto

    tensor = value.type.tensor_type
    word = {TensorProto.FLOAT: "float32", TensorProto.INT64: "int64"}.get(tensor.elem_type, "other")
    dims = [str(d.dim_value) if d.HasField("dim_value") else d.dim_param for d in tensor.shape.dim]
    return f"{value.name} {word} ({', '.join(dims)})"


def _wanted(tensor: Declared) -> str:
    dims = [BATCH if size is None else str(size) for size in tensor.shape]
    return f"{tensor.name} {tensor.dtype} ({', '.join(dims)})"
