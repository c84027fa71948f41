"""Canonical bytes: two graphs that compute the same in the same way become the same file.

Converters number their values and order their nodes by memory address or by call. Here the
order follows from the outputs alone (depth first, inputs left to right), equal nodes and equal
tensors become one, and every name but those of the graph's inputs and outputs is made anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dwcp_ml.errors import ExportError

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

DOMAINS = {"": "", "ai.onnx": "", "ai.onnx.ml": "ai.onnx.ml"}  # the first has two spellings


def canonical_bytes(model: ModelProto) -> bytes:
    """Serialise the canonical form of a graph; see ``canonical``."""
    return bytes(canonical(model).SerializeToString(deterministic=True))


def canonical(model: ModelProto) -> ModelProto:
    """The canonical form of a graph; names of inputs and outputs and their order are kept.

    Raises:
        ExportError: the graph is invalid or holds external data, functions, control flow or
            operators outside ONNX and ONNX-ML.
    """
    import onnx
    from onnx import helper

    _refuse(model)
    order = _Order(model.graph)
    order.add_outputs()
    graph = helper.make_graph(
        order.nodes,
        "graph",
        [_bare(value) for value in model.graph.input],
        [_bare(value) for value in model.graph.output],
        order.tensors,
    )
    used = {"", *(node.domain for node in order.nodes)}
    versions = {DOMAINS[o.domain]: o.version for o in model.opset_import if o.domain in DOMAINS}
    opsets = [helper.make_opsetid(domain, versions[domain]) for domain in sorted(used)]
    result = helper.make_model(graph, opset_imports=opsets, ir_version=model.ir_version)
    try:
        onnx.checker.check_model(result, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"the graph is not valid ONNX: {error}") from error
    return result


def _refuse(model: ModelProto) -> None:
    from onnx import AttributeProto, external_data_helper

    if model.functions:
        raise ExportError("the graph holds functions; inline them")
    for tensor in model.graph.initializer:
        if external_data_helper.uses_external_data(tensor):
            raise ExportError(f"tensor '{tensor.name}' lies outside the file; store it inside")
    for node in model.graph.node:
        if node.domain not in DOMAINS:
            raise ExportError(f"operator {node.domain}.{node.op_type} is not one of ONNX")
        if any(a.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) for a in node.attribute):
            raise ExportError(f"operator {node.op_type} holds a graph of its own")


@dataclass
class _Order:
    """Nodes and tensors in canonical order, filled from the outputs on.

    A node's serialised form, whose inputs bear canonical names already, is its structural hash.
    """

    graph: GraphProto
    nodes: list[NodeProto] = field(default_factory=list)
    tensors: list[TensorProto] = field(default_factory=list)
    known: dict[tuple[tuple[bool, ...], bytes], list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Index the given graph; ``names`` leads from its values to the canonical ones."""
        self.names = {value.name: value.name for value in self.graph.input} | {"": ""}
        self.stored = {tensor.name: tensor for tensor in self.graph.initializer}
        self.makers = {value: node for node in self.graph.node for value in node.output if value}

    def add_outputs(self) -> None:
        """Add what the outputs need, then give the values that are outputs their own names."""
        from onnx import helper

        for output in self.graph.output:
            self._add(output.name)
        made = {value for node in self.nodes for value in node.output}
        own: dict[str, str] = {}
        copies = []
        for output in self.graph.output:
            value = self.names[output.name]
            if value in made and value not in own:
                own[value] = output.name
            else:  # an input, a tensor, or the value of another output
                copies.append(helper.make_node("Identity", [value], [output.name]))
        self.nodes.extend(copies)
        for node in self.nodes:
            for values in (node.input, node.output):
                values[:] = [own.get(value, value) for value in values]

    def _add(self, name: str) -> None:
        """Depth first without recursion: graphs are deeper than Python's stack."""
        stack = [name]
        while stack:
            value = stack[-1]
            if value in self.names:
                stack.pop()
            elif value in self.stored:
                self._add_tensor(stack.pop())
            elif value not in self.makers:
                raise ExportError(f"the graph reads '{value}', which nothing makes")
            else:
                waiting = [i for i in self.makers[value].input if i not in self.names]
                stack.extend(reversed(waiting))
                if not waiting:
                    self._add_node(self.makers[stack.pop()])

    def _add_tensor(self, name: str) -> None:
        tensor = _plain(self.stored[name])
        key = ((), tensor.SerializeToString(deterministic=True))
        if key not in self.known:
            tensor.name = f"_c{len(self.tensors)}"
            self.tensors.append(tensor)
            self.known[key] = [tensor.name]
        self.names[name] = self.known[key][0]

    def _add_node(self, node: NodeProto) -> None:
        from onnx import helper

        inputs = [self.names[value] for value in node.input]
        if node.op_type == "Identity":
            self.names[node.output[0]] = inputs[0]
            return
        new = helper.make_node(node.op_type, _trimmed(inputs), [], domain=DOMAINS[node.domain])
        new.attribute.extend(sorted(map(_attribute, node.attribute), key=lambda a: str(a.name)))
        key = (tuple(map(bool, node.output)), new.SerializeToString(deterministic=True))
        if key not in self.known:
            number = len(self.nodes)
            outputs = [f"_v{number}_{i}" if v else "" for i, v in enumerate(node.output)]
            new.output.extend(outputs)
            self.nodes.append(new)
            self.known[key] = outputs
        self.names.update(zip(node.output, self.known[key], strict=True))
        self.names[""] = ""


def _trimmed(values: list[str]) -> list[str]:
    """Without the empty names at the end, which say nothing."""
    while values and not values[-1]:
        values = values[:-1]
    return values


def _plain(tensor: TensorProto) -> TensorProto:
    """The same values stored one way (raw little-endian bytes), without a name."""
    from onnx.numpy_helper import from_array, to_array

    return from_array(to_array(tensor))


def _attribute(attribute: AttributeProto) -> AttributeProto:
    copy = type(attribute)()
    copy.CopyFrom(attribute)
    copy.ClearField("doc_string")
    if copy.HasField("t"):
        copy.t.CopyFrom(_plain(attribute.t))
    return copy


def _bare(value: ValueInfoProto) -> ValueInfoProto:
    copy = type(value)()
    copy.CopyFrom(value)
    copy.ClearField("doc_string")
    del copy.metadata_props[:]
    return copy
