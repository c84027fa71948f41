"""The benchmark measures what it says and writes its table, on sizes as small as can be."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

ROOT = Path(__file__).parents[2]
BENCH = ROOT / "benchmarks" / "bench.py"
ROWS_US = {"bandwidth_predictor", "consensus_latency", "compression_selector", "node_reliability"}


def bench(*arguments):
    command = [sys.executable, BENCH, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture
def registry(tmp_path):
    """One small graph under the name of every model."""
    shape = ["batch", 3]
    node = helper.make_node("Identity", ["features"], ["answer"])
    graph = helper.make_graph(
        [node],
        "same",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    golden = [{"request": {"features": np.ones((1, 3)).tolist()}}]
    for name in ROWS_US:
        folder = tmp_path / "models" / name / "latest"
        folder.mkdir(parents=True)
        onnx.save(model, folder / "model.onnx")
        (folder / "metadata.json").write_text(json.dumps({"golden": golden}))
    return tmp_path / "models"


def test_parts_are_measured_one_at_a_time_and_stand_in_one_table(tmp_path, registry):
    fixed = ("--out", tmp_path, "--work", tmp_path, "--rounds", 1)
    bench("--only", "onnx", "score", "--models", registry, "--calls", 50, "--score-s", 0, *fixed)
    bench("--only", "simulate", "help", "--simulate-rows", 2000, *fixed)
    known = json.loads((tmp_path / "speed.json").read_text())
    assert set(known["parts"]) == {"onnx", "score", "simulate", "help"}
    figures = [f for part in known["parts"].values() for f in part["figures"]]
    assert all(f["value"] > 0 for f in figures)
    slow = next(f for f in figures if f["what"] == "dwcp --help")
    assert slow["met"] == (slow["value"] <= slow["bound"])
    page = (tmp_path / "speed.md").read_text()
    for figure in figures:
        assert f"| {figure['what']} |" in page
    assert "bench.py --only onnx --calls 50 --score-s 0 --rounds 1" in page
    assert str(tmp_path) not in page


def test_exponent_of_times_that_grow_with_the_square_is_two():
    sys.path.insert(0, str(BENCH.parent))
    try:
        from bench_data import exponent
    finally:
        sys.path.remove(str(BENCH.parent))
    rows = [1_000_000, 2_000_000, 5_000_000]
    assert exponent(rows, [r**2 for r in rows]) == pytest.approx(2)
    assert exponent(rows, [3 * r for r in rows]) == pytest.approx(1)
