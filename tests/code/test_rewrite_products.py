"""Two constant matrices in a row become one; what only looks alike stays."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from dwcp_ml.export.rewrite import rewrite
from dwcp_ml.export.session import open_session
from dwcp_ml.export.slim import drop_unused

RNG = np.random.default_rng(5)
ROWS = RNG.normal(size=(4, 6)).astype(np.float32)


def graph(nodes, outputs=("y",), **shapes):
    """A model from x through MatMul nodes "in,matrix,out" with random matrices."""
    return helper.make_model(
        helper.make_graph(
            [helper.make_node("MatMul", n.split(",")[:2], n.split(",")[2:]) for n in nodes],
            "graph",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 6])],
            [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs],
            [
                numpy_helper.from_array(RNG.normal(size=shape).astype(np.float32), name)
                for name, shape in shapes.items()
            ],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )


CASES = {
    "a scaling before a layer": (graph(["x,a,h", "h,b,y"], a=(6, 6), b=(6, 8)), 1),
    "three in a row": (graph(["x,a,h", "h,b,i", "i,c,y"], a=(6, 6), b=(6, 6), c=(6, 3)), 1),
    "a narrow waist": (graph(["x,a,h", "h,b,y"], a=(6, 2), b=(2, 50)), 2),
    "two readers": (
        graph(["x,a,h", "h,b,y", "h,c,z"], ("y", "z"), a=(6, 6), b=(6, 6), c=(6, 6)),
        3,
    ),
    "an output between": (graph(["x,a,y", "y,b,z"], ("y", "z"), a=(6, 6), b=(6, 6)), 2),
}


@pytest.mark.parametrize("case", CASES)
def test_products_of_constants_are_one_matrix_and_the_answers_stay(case):
    model, nodes = CASES[case]
    before = open_session(model.SerializeToString()).run(None, {"x": ROWS})
    rewrite(model.graph)
    drop_unused(model.graph)
    after = open_session(model.SerializeToString()).run(None, {"x": ROWS})
    for one, two in zip(before, after, strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-5, atol=1e-5)
    assert len(model.graph.node) == nodes
