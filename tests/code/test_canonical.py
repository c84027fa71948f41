"""Canonical bytes: what must not matter does not, and what cannot be served is refused."""

import random
import subprocess
import sys

import numpy as np
import onnx.parser
import pytest
from onnx import helper, numpy_helper

from dwcp_ml.errors import ExportError
from dwcp_ml.export.canonical import canonical, canonical_bytes
from dwcp_ml.export.session import open_session, score

TEXT = """
<ir_version: 8, opset_import: ["": 17, "ai.onnx.ml": 3]>
g (float[batch, 3] features) => (float[batch, 3] sum, float[batch, 3] twin, float[batch, 3] echo)
<float[1] one = {1}, float[1] uno = {1}, float[1] unread = {5}> {
  a = Add(features, one)
  b = Add(features, uno)
  left = Exp(a)
  right = Exp(b)
  sum = Mul(left, right)
  twin = Mul(right, left)
  echo = Identity(features)
  nobody = Neg(a)
}
"""


def test_canonical_import_leaves_tensorflow_and_onnx_alone():
    script = (
        "import sys; import dwcp_ml.export.canonical, dwcp_ml.export.keras_graph, "
        "dwcp_ml.export.trees, dwcp_ml.export.parity, dwcp_ml.export.native; "
        "heavy = {'tensorflow', 'keras', 'onnx', 'onnxruntime', 'sklearn', 'skops'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def scrambled(seed):
    """The same graph with other names, another order, notes, and attributes turned round."""
    model = onnx.parser.parse_model(TEXT)
    model.producer_name, model.doc_string = f"maker {seed}", f"made at {seed}"
    model.metadata_props.add(key="time", value=str(seed))
    shuffle = random.Random(seed)  # noqa: S311
    graph = model.graph
    names = {v: f"t{shuffle.random()}" for n in graph.node for v in n.output}
    names |= {t.name: f"t{shuffle.random()}" for t in graph.initializer}
    for kept in ("sum", "twin", "echo"):
        names[kept] = kept
    for node in graph.node:
        node.name, node.doc_string = f"n{shuffle.random()}", "note"
        node.input[:] = [names.get(v, v) for v in node.input]
        node.output[:] = [names.get(v, v) for v in node.output]
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        tensor.CopyFrom(helper.make_tensor(names[tensor.name], 1, values.shape, values))
    tensors = shuffle.sample(list(graph.initializer), len(graph.initializer))
    del graph.initializer[:]
    graph.initializer.extend(tensors)
    return model


def test_names_order_notes_and_storage_do_not_matter():
    digests = {canonical_bytes(scrambled(seed)) for seed in range(5)}
    assert digests == {canonical_bytes(onnx.parser.parse_model(TEXT))}


def test_canonical_form_is_its_own_canonical_form():
    once = canonical(onnx.parser.parse_model(TEXT))
    assert canonical_bytes(once) == once.SerializeToString(deterministic=True)


def test_equal_nodes_become_one_and_unread_ones_go():
    model = canonical(onnx.parser.parse_model(TEXT))
    operators = [node.op_type for node in model.graph.node]
    assert operators.count("Exp") == 1
    assert "Neg" not in operators
    assert len(model.graph.initializer) == 1
    assert [o.domain for o in model.opset_import] == [""]
    assert [o.name for o in model.graph.output] == ["sum", "twin", "echo"]


def test_answers_are_unchanged():
    rows = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    before = score(open_session(scrambled(1).SerializeToString()), rows)
    after = score(open_session(canonical_bytes(scrambled(1))), rows)
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value)


def test_another_constant_gives_other_bytes():
    other = TEXT.replace("uno = {1}", "uno = {2}")
    assert canonical_bytes(onnx.parser.parse_model(TEXT)) != canonical_bytes(
        onnx.parser.parse_model(other)
    )


def refused(change):
    model = onnx.parser.parse_model(TEXT)
    change(model)
    return model


def outside(model):
    tensor = model.graph.initializer[0]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")


def own_operator(model):
    model.graph.node[0].domain = "com.example"
    model.opset_import.append(helper.make_opsetid("com.example", 1))


def control_flow(model):
    branch = helper.make_graph([], "branch", [], [])
    model.graph.node[0].attribute.append(helper.make_attribute("body", branch))


def unmade(model):
    model.graph.node[0].input[0] = "ghost"


def unknown_operator(model):
    model.graph.node[0].op_type = "Sumo"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (outside, "outside the file"),
        (own_operator, "not one of ONNX"),
        (control_flow, "graph of its own"),
        (unmade, "nothing makes"),
        (unknown_operator, "not valid ONNX"),
    ],
)
def test_what_cannot_be_served_is_refused(change, sentence):
    with pytest.raises(ExportError, match=sentence):
        canonical(refused(change))
