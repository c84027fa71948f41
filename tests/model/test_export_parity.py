"""Parity, signature and session on small graphs whose answers are known."""

from dataclasses import dataclass

import numpy as np
import onnx.parser
import pytest

from dwcp_ml.errors import (
    EmptySplitError,
    ExportError,
    MissingValuesError,
    UnreadableFileError,
)
from dwcp_ml.export.parity import check_parity
from dwcp_ml.export.session import open_session, row_latency, score
from dwcp_ml.export.signature import check_signature

GRAPH = onnx.parser.parse_model("""
<ir_version: 8, opset_import: ["": 17]>
g (float[batch, 3] features) => (float[batch] total, int64[batch] big)
<int64[1] axis = {1}, float limit = {1.5}> {
  total = ReduceSum<keepdims=0>(features, axis)
  above = Greater(total, limit)
  big = Cast<to=7>(above)
}
""")
ROWS = np.random.default_rng(0).random((1000, 3)).astype(np.float32)


@dataclass(frozen=True)
class Tensor:
    name: str
    dtype: str
    shape: tuple


INPUTS = (Tensor("features", "float32", (None, 3)),)
OUTPUTS = (Tensor("total", "float32", (None,)), Tensor("big", "int64", (None,)))


@pytest.fixture(scope="module")
def session():
    return open_session(GRAPH.SerializeToString())


def native(rows, factor=1.0, limit=1.5):
    total = rows.sum(1, dtype=np.float64) * factor
    return {"total": total, "big": (total > limit).astype(np.int64)}


def test_equal_models_pass_and_the_result_says_how_close(session):
    parity = check_parity(session, native, ROWS)
    assert parity.rows == 1000
    assert parity.single_rows == 64
    assert parity.worst_absolute["total"] < 1e-6
    assert parity.as_dict()["boundary_labels"] == {"big": 0}


def test_a_value_off_by_a_thousandth_is_refused_with_both_values(session):
    with pytest.raises(ExportError, match=r"'total' differs at batch 1, row \d+: ONNX"):
        check_parity(session, lambda rows: native(rows, 1.001), ROWS)


def test_another_threshold_is_refused_though_the_values_agree(session):
    with pytest.raises(ExportError, match="'big' differs"):
        check_parity(session, lambda rows: native(rows, limit=1.49), ROWS)


def test_a_row_on_the_boundary_may_fall_to_either_side(session):
    rows = np.where(np.arange(1000)[:, None] == 3, np.float32(0.5), ROWS)
    parity = check_parity(session, lambda rows: native(rows, limit=1.5 - 1e-9), rows)
    assert parity.boundary_labels == {"big": 1}


def test_a_missing_output_is_refused(session):
    with pytest.raises(ExportError, match="the graph answers big, total"):
        check_parity(session, lambda rows: {"total": native(rows)["total"]}, ROWS)


def test_signature_that_matches_passes():
    check_signature(GRAPH, INPUTS, OUTPUTS)


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ((Tensor("features", "float32", (None, 4)),), OUTPUTS),
        ((Tensor("inputs", "float32", (None, 3)),), OUTPUTS),
        ((Tensor("features", "float32", (1, 3)),), OUTPUTS),
        (INPUTS, OUTPUTS[::-1]),
        (INPUTS, OUTPUTS[:1]),
        (INPUTS, (OUTPUTS[0], Tensor("big", "float32", (None,)))),
        (INPUTS * 2, OUTPUTS),
    ],
)
def test_signature_that_differs_is_refused(inputs, outputs):
    with pytest.raises(ExportError):
        check_signature(GRAPH, inputs, outputs)


def test_another_opset_is_refused():
    model = onnx.ModelProto()
    model.CopyFrom(GRAPH)
    model.opset_import[0].version = 18
    with pytest.raises(ExportError, match="opset 18"):
        check_signature(model, INPUTS, OUTPUTS)


def test_chunks_give_the_same_answers_as_one_run(session):
    whole = score(session, ROWS, chunk=1000)
    for chunk in (1, 7, 128):
        parts = score(session, ROWS, chunk=chunk)
        assert {k: v.dtype for k, v in parts.items()} == {k: v.dtype for k, v in whole.items()}
        np.testing.assert_array_equal(parts["big"], whole["big"])


def test_no_rows_and_missing_values_are_refused_before_the_runtime_sees_them(session):
    with pytest.raises(EmptySplitError):
        score(session, ROWS[:0])
    spoilt = ROWS.copy()
    spoilt[17, 1] = np.nan
    with pytest.raises(MissingValuesError, match="first row 17"):
        score(session, spoilt)


def test_a_file_that_is_no_graph_is_refused(tmp_path):
    with pytest.raises(UnreadableFileError, match="cannot read"):
        open_session(tmp_path / "none.onnx")
    (tmp_path / "torn.onnx").write_bytes(GRAPH.SerializeToString()[:40])
    with pytest.raises(UnreadableFileError, match="cannot load"):
        open_session(tmp_path / "torn.onnx")


def test_row_latency_has_its_percentiles_in_order(session):
    latency = row_latency(session, ROWS, runs=200, warmup=10)
    assert 0 < latency.p50_ms <= latency.p99_ms
