"""Rewritten graphs hold fewer nodes and answer as before; what only looks alike stays."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from dwcp_ml.export.rewrite import rewrite
from dwcp_ml.export.session import open_session
from dwcp_ml.export.slim import drop_unused

RNG = np.random.default_rng(3)
HIDDEN = 4
ROWS = RNG.normal(0, 3, (5, 3, 2)).astype(np.float32)  # (time, batch, inputs)


def graph(nodes, tensors=None):
    """A model from x, three axes, to y, whose nodes are (operator, inputs, outputs, attributes)."""
    made = [helper.make_node(op, i.split(","), o.split(","), **a) for op, i, o, a in nodes]
    return helper.make_model(
        helper.make_graph(
            made,
            "graph",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["a", "b", 2])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(np.asarray(v), k) for k, v in (tensors or {}).items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )


def answer(model):
    return open_session(model.SerializeToString()).run(None, {"x": ROWS})[0]


def rewritten(model):
    """Operators afterwards; the answers are the same."""
    before = answer(model)
    rewrite(model.graph)
    drop_unused(model.graph)
    np.testing.assert_allclose(answer(model), before, rtol=1e-6, atol=1e-7)
    return [node.op_type for node in model.graph.node]


def lstm(directions, start, end, **attributes):
    states = RNG.normal(0, 0.3, (directions, 4 * HIDDEN, HIDDEN)).astype(np.float32)
    inputs = RNG.normal(0, 0.3, (directions, 4 * HIDDEN, 2)).astype(np.float32)
    step = (
        ("Squeeze", "all,one", "flat", {}) if directions == 1 else ("Identity", "all", "flat", {})
    )
    return graph(
        [
            ("LSTM", "x,w,r,,,", "all", {"hidden_size": HIDDEN, **attributes}),
            step,
            ("Slice", "flat,start,end,zero", "newest", {}),
            ("Identity", "newest", "y", {}),
        ],
        {"w": inputs, "r": states, "one": [1], "zero": [0], "start": [start], "end": [end]},
    )


@pytest.mark.parametrize(
    ("second", "left"), [([1, 0, 2], ["Neg"]), ([2, 0, 1], ["Transpose", "Transpose", "Neg"])]
)
def test_only_a_transpose_and_its_inverse_vanish(second, left):
    model = graph(
        [
            ("Transpose", "x", "t", {"perm": [1, 0, 2]}),
            ("Transpose", "t", "u", {"perm": second}),
            ("Neg", "u", "y", {}),
        ]
    )
    assert rewritten(model) == left


def test_three_axes_turned_and_turned_back_vanish():
    model = graph(
        [
            ("Transpose", "x", "t", {"perm": [1, 2, 0]}),
            ("Transpose", "t", "u", {"perm": [2, 0, 1]}),
            ("Neg", "u", "y", {}),
        ]
    )
    assert rewritten(model) == ["Neg"]


def test_newest_step_of_an_lstm_is_its_own_output():
    model = lstm(1, -1, 2**31 - 1)
    assert rewritten(model) == ["LSTM", "Identity"]
    assert list(model.graph.node[0].output) == ["", "all_h"]


@pytest.mark.parametrize(
    "model",
    [
        lstm(1, -2, 2**31 - 1),
        lstm(1, 0, 1),
        lstm(1, -1, 2**31 - 1, direction="reverse"),
        lstm(2, -1, 2**31 - 1, direction="bidirectional"),
    ],
    ids=["two steps", "the oldest", "backwards", "both ways"],
)
def test_other_slices_of_an_lstm_stay(model):
    assert "Slice" in rewritten(model)


def test_min_and_max_of_scalars_become_one_clip():
    nodes = [("Min", "x,high", "m", {}), ("Max", "m,low", "y", {})]
    bounds = {"high": np.float32(2), "low": np.float32(-1)}
    assert rewritten(graph(nodes, bounds)) == ["Clip"]


@pytest.mark.parametrize(
    "bounds",
    [
        {"high": np.float32(-1), "low": np.float32(2)},
        {"high": np.array([1, 2], np.float32), "low": np.float32(-1)},
    ],
    ids=["crossed", "one a column"],
)
def test_other_bounds_stay_min_and_max(bounds):
    nodes = [("Min", "x,high", "m", {}), ("Max", "m,low", "y", {})]
    assert rewritten(graph(nodes, bounds)) == ["Min", "Max"]


def recurrent(*before, columns=2, axes=(1, 0, 2)):
    """An LSTM of what ``before`` makes of x; ``columns`` of the matrix in front of it."""
    matrix = RNG.normal(0, 0.5, (2, columns)).astype(np.float32)
    return graph(
        [*before, ("LSTM", "seen,w,r", "all,newest", {"hidden_size": HIDDEN}),
         ("Identity", "newest", "y", {})],
        {
            "a": matrix,
            "w": RNG.normal(0, 0.3, (1, 4 * HIDDEN, columns)).astype(np.float32),
            "r": RNG.normal(0, 0.3, (1, 4 * HIDDEN, HIDDEN)).astype(np.float32),
        },
    )  # fmt: skip


def test_a_matrix_before_a_recurrent_layer_goes_into_its_weights():
    assert rewritten(recurrent(("MatMul", "x,a", "seen", {}))) == ["LSTM", "Identity"]


def test_it_does_so_across_a_transpose_of_time_and_batch():
    turned = ("Transpose", "m", "seen", {"perm": [1, 0, 2]})
    assert rewritten(recurrent(("MatMul", "x,a", "m", {}), turned)) == [
        "Transpose",
        "LSTM",
        "Identity",
    ]


def test_a_matrix_that_makes_the_layer_wider_stays():
    model = recurrent(("MatMul", "x,a", "seen", {}), columns=1)
    assert "MatMul" in rewritten(model)


def test_a_matrix_that_another_node_reads_stays():
    model = recurrent(("MatMul", "x,a", "seen", {}), ("Neg", "seen", "z", {}))
    model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, None))
    assert "MatMul" in rewritten(model)
