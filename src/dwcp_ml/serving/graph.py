"""What a graph must be before ONNX Runtime may parse it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dwcp_ml.errors import RegistryError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onnx import GraphProto, ModelProto, ValueInfoProto

    from dwcp_ml.serving.manifest import Manifest

DOMAINS = {"", "ai.onnx", "ai.onnx.ml"}
MAX_OPSET = 17
DTYPES = {1: "float32", 7: "int64"}  # onnx.TensorProto.DataType


def check_graph(content: bytes, manifest: Manifest) -> None:
    """Refuse what ONNX Runtime should not be asked to run.

    Raises:
        RegistryError: no ONNX graph, another opset, external data, operators of other makers, or
            inputs and outputs other than the metadata says.
    """
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        model = onnx.load_model_from_string(content)
    except (DecodeError, ValueError) as error:
        raise RegistryError("model.onnx is no ONNX graph") from error
    opset = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0)
    if not 0 < opset <= MAX_OPSET:
        raise RegistryError(f"model.onnx uses opset {opset}, expected 1 to {MAX_OPSET}")
    for graph in _graphs(model):
        for tensor in graph.initializer:
            if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
                raise RegistryError(f"model.onnx keeps '{tensor.name}' in another file")
        for node in graph.node:
            if node.domain not in DOMAINS:
                raise RegistryError(
                    f"model.onnx needs operator {node.op_type} of domain '{node.domain}'"
                )
    _check_signature(model.graph, manifest)


def _graphs(model: ModelProto) -> Iterator[GraphProto]:
    """The graph and those inside its operators; RegistryError if it defines functions."""
    if model.functions:
        raise RegistryError("model.onnx defines functions of its own")
    waiting = [model.graph]
    while waiting:
        graph = waiting.pop()
        yield graph
        for node in graph.node:
            for attribute in node.attribute:
                waiting.extend(attribute.graphs)
                if attribute.HasField("g"):
                    waiting.append(attribute.g)


def _check_signature(graph: GraphProto, manifest: Manifest) -> None:
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [_signature(value) for value in graph.input if value.name not in constants]
    outputs = [_signature(value) for value in graph.output]
    for what, found, said in (
        ("inputs", inputs, manifest.inputs),
        ("outputs", outputs, manifest.outputs),
    ):
        recorded = [(t.name, t.dtype, tuple(_size(s) for s in t.shape)) for t in said]
        if found != recorded:
            raise RegistryError(f"the {what} of model.onnx are not those of metadata.json")


def _signature(value: ValueInfoProto) -> tuple[str, str, tuple[int, ...]]:
    tensor = value.type.tensor_type
    shape = tuple(d.dim_value if d.HasField("dim_value") else -1 for d in tensor.shape.dim)
    return value.name, DTYPES.get(tensor.elem_type, "another type"), shape


def _size(size: int | str) -> int:
    return size if isinstance(size, int) else -1
