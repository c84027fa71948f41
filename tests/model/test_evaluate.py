"""The evaluation stage on a real ONNX file, real Parquet parts and real fresh seeds."""

import csv
import json
import math
import shutil

import numpy as np
import pytest
from toy_model import CREATED, NAME, TOY, make_artifact, make_workspace, toy_params, write_raw

from dwcp_ml import models
from dwcp_ml.errors import GapError, UnreadableFileError
from dwcp_ml.evaluation.comprehensive import COMPREHENSIVE, evaluate_all
from dwcp_ml.evaluation.evaluate import evaluate
from dwcp_ml.evaluation.figures import read_figure, training_figure
from dwcp_ml.evaluation.run import start
from dwcp_ml.evaluation.single_file import step_of
from dwcp_ml.evaluation.sources import stage_sources
from dwcp_ml.files import sha256

PLAN_KEYS = [
    "model_name", "version", "training_date", "target_metrics", "achieved_metrics",
    "test_set_size", "training_time_seconds", "model_size_mb", "success", "hyperparameters",
    "deployment_ready",
]  # fmt: skip


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    yield make_workspace(tmp_path_factory.mktemp("workspace"))
    models.available().pop(NAME, None)


@pytest.fixture(scope="module")
def report(workspace):
    return run(workspace)


def run(workspace, out="reports", **options):
    options = {"fresh": workspace / "data" / "fresh"} | options
    params = options.pop("params", toy_params())
    folders = workspace / "artifacts", workspace / "data" / "splits", workspace / out
    return evaluate(NAME, *folders, params, **options)


def row(report, predictor, metric, dataset="test"):
    wanted = (dataset, predictor, metric)
    return next(
        r for r in report["metrics"] if (r["dataset"], r["predictor"], r["metric"]) == wanted
    )


def gate(report, name, where):
    return next(g for g in report["gates"] if (g["name"], g["slice"]) == (name, where))


def test_the_report_on_disk_is_the_one_returned_and_has_the_plans_keys(workspace, report):
    assert json.loads((workspace / "reports" / f"{NAME}_report.json").read_text()) == report
    assert not set(PLAN_KEYS) - set(report)
    assert report["version"] is None  # the registry gives it
    assert report["training_date"] == CREATED
    assert report["target_metrics"] == {"mape": 20.0, "skill": 0.0, "recall": 0.5}
    assert report["achieved_metrics"]["mape"] == gate(report, "mape", "test:all")["value"]
    assert report["success"]
    assert report["deployment_ready"]
    assert report["onnx_sha256"] == sha256(workspace / "artifacts" / NAME / "model.onnx")


def test_figures_are_those_of_the_onnx_file(workspace, report):
    started = start(
        NAME,
        workspace / "artifacts" / NAME,
        stage_sources(workspace / "data" / "splits"),
        toy_params(),
        None,
    )
    examples = TOY.examples(started.sources.test, started.section)
    weights = TOY.load(workspace / "artifacts" / NAME / "native")
    error = np.abs(examples.features @ weights - examples.targets["mbps"])
    wanted = 100 * np.mean(error / examples.targets["mbps"])
    assert row(report, "model", "mape_pct")["value"] == pytest.approx(wanted, rel=1e-5)


def test_model_baselines_and_ceiling_stand_side_by_side_on_test_and_fresh(report):
    for dataset in ("test", "fresh"):
        ceiling, model, rival = (
            row(report, who, "mape_pct", dataset) for who in ("ceiling", "model", "persistence")
        )
        assert ceiling["value"] < model["value"] < rival["value"]
        assert model["ci_low"] < model["value"] < model["ci_high"]
        assert rival["kind"] == "baseline"
    assert row(report, "mean", "within_link_r")["value"] is None  # a constant has no correlation


def test_every_fresh_seed_has_a_figure_of_its_own_and_the_pool_has_all_examples(report):
    sizes = {d["name"]: (d["examples"], d["groups"]) for d in report["datasets"]}
    assert sizes["fresh"] == tuple(
        a + b for a, b in zip(sizes["seed-7"], sizes["seed-8"], strict=True)
    )
    assert row(report, "model", "mape_pct", "seed-7")["value"] > 0
    assert not [r for r in report["metrics"] if r["dataset"] == "seed-7" and r["kind"] != "model"]


def test_gates_cover_test_fresh_slices_and_the_common_limits(report):
    where = {(g["name"], g["slice"]) for g in report["gates"]}
    assert {
        ("mape", "test:all"),
        ("mape", "fresh:all"),
        ("mape_by_link", "fresh:link_type=3"),
    } <= where
    assert {(name, "all") for name in ("parity", "size", "latency", "training_time")} <= where
    assert ("champion", "test:all") not in where
    assert any("No champion" in note for note in report["notes"])


def test_slices_have_sizes_and_leave_the_empty_value_out(report):
    inner = [s for s in report["slices"] if (s["dataset"], s["slice"]) == ("test", "half")]
    assert [s["slice_value"] for s in inner] == ["inner"]
    assert 0 < inner[0]["examples"] < report["test_set_size"]


def test_prevalence_is_told_for_binary_targets_only(report):
    assert list(report["prevalence"]) == ["slow"]
    assert 0 < report["prevalence"]["slow"] < 1


def test_figures_are_csv_files_that_can_be_drawn_again(workspace, report):
    folder = workspace / "reports" / "figures"
    described = {d["name"]: d for d in report["figures"]}
    assert set(described) == {"predicted", "error_by_link", "training"}
    with (folder / described["predicted"]["file"]).open() as stream:
        assert next(csv.reader(stream)) == ["series", "x", "y"]
    bars = read_figure(described["error_by_link"], folder)
    assert list(bars.series) == ["model", "persistence", "mean"]
    assert list(bars.series["model"][0]) == ["dc", "metro", "wan", "edge"]


def test_a_training_log_without_a_loss_gives_no_figure():
    assert training_figure([]) is None
    assert training_figure([{"epoch": 1, "trees": 10}]) is None


def test_a_second_run_gives_the_same_report_but_for_the_clock(workspace, report):
    again = run(workspace, "again")
    timed = {"row_p99_ms", "gates"}
    assert {k: v for k, v in again.items() if k not in timed} == {
        k: v for k, v in report.items() if k not in timed
    }


def test_a_missed_target_is_recorded_and_never_raised(workspace):
    report = run(workspace, "failed", params=toy_params(max_mape_pct=0.1))
    assert not gate(report, "mape", "test:all")["passed"]
    assert not report["success"]
    assert not report["deployment_ready"]


def test_without_fresh_seeds_there_is_one_verdict_and_a_note(workspace):
    report = run(workspace, "nofresh", fresh=None)
    assert not [g for g in report["gates"] if g["slice"].startswith("fresh")]
    assert any("No fresh seeds" in note for note in report["notes"])


def test_simulated_data_whose_fresh_folder_is_empty_fails(workspace, tmp_path):
    found = gate(run(workspace, "emptyfresh", fresh=tmp_path), "fresh_seeds", "fresh:all")
    assert not found["passed"]
    assert "holds no seed" in found["why"]


def test_ingested_data_has_neither_ceiling_nor_fresh_verdict(tmp_path):
    workspace = make_workspace(tmp_path, source="ingest")
    shutil.rmtree(workspace / "data" / "fresh")
    (workspace / "data" / "fresh").mkdir()
    report = run(workspace)
    assert not report["simulated"]
    assert "ceiling" not in {r["kind"] for r in report["metrics"]}
    assert {d["name"] for d in report["datasets"]} == {"test"}
    assert report["deployment_ready"]


def test_the_champion_answers_the_same_examples(workspace):
    champion = workspace / "champion"
    shutil.copytree(workspace / "artifacts" / NAME, champion)
    report = run(workspace, "crowned", champion=champion)
    found = gate(report, "champion", "test:all")
    assert (found["value"], found["ci_low"], found["ci_high"]) == (0, 0, 0)
    assert found["passed"]
    assert row(report, "champion", "mape_pct")["value"] == row(report, "model", "mape_pct")["value"]
    assert report["champion"]["sha256"] == report["onnx_sha256"]


def test_a_champion_with_other_inputs_is_not_compared_and_a_note_says_so(workspace):
    import onnx
    from onnx import TensorProto, helper

    other = workspace / "other"
    shutil.copytree(workspace / "artifacts" / NAME, other)
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Identity", ["features"], ["next_mbps"])],
        "other",
        [tensor("features", TensorProto.FLOAT, ["batch", 9])],
        [tensor("next_mbps", TensorProto.FLOAT, ["batch", 9])],
    )
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), other / "model.onnx")
    report = run(workspace, "dethroned", champion=other)
    assert report["champion"] is None
    assert any("other inputs or outputs" in note for note in report["notes"])


def test_a_model_that_was_not_exported_is_named(workspace, tmp_path):
    with pytest.raises(UnreadableFileError, match="dwcp export toy"):
        evaluate(NAME, tmp_path, workspace / "data" / "splits", tmp_path / "out", toy_params())
    assert not (tmp_path / "out").exists()


def test_metadata_of_another_file_fails_parity(workspace, tmp_path):
    shutil.copytree(workspace / "artifacts", tmp_path / "artifacts")
    path = tmp_path / "artifacts" / NAME / "metadata.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"onnx_sha256": "0"}))
    splits = workspace / "data" / "splits"
    report = evaluate(NAME, tmp_path / "artifacts", splits, tmp_path / "out", toy_params())
    assert not gate(report, "parity", "all")["passed"]
    assert report["success"]
    assert not report["deployment_ready"]


def test_a_graph_that_answers_nan_passes_no_gate_on_its_figures(workspace, tmp_path):
    shutil.copytree(workspace / "artifacts", tmp_path / "artifacts")
    folder = tmp_path / "artifacts" / NAME
    import onnx

    model = TOY.graph(np.full(3, np.nan, np.float32))
    onnx.save(model, folder / "model.onnx")
    splits = workspace / "data" / "splits"
    report = evaluate(NAME, tmp_path / "artifacts", splits, tmp_path / "out", toy_params())
    found = gate(report, "mape", "test:all")
    assert found["value"] is None
    assert not found["passed"]
    assert math.isfinite(gate(report, "recall", "test:all")["value"])


def all_models(workspace, data, out):
    return evaluate_all(workspace / "artifacts", data, out, toy_params())


def test_the_evaluator_of_a_checkpoints_folder_approves_on_splits(workspace, tmp_path):
    summary = all_models(workspace, workspace / "data" / "splits", tmp_path)
    assert json.loads((tmp_path / COMPREHENSIVE).read_text()) == summary
    assert summary["deployment_recommendation"] == "APPROVED"
    assert (summary["models_evaluated"], summary["models_passed"]) == (1, 1)
    by_file = all_models(workspace, workspace / "data" / "splits" / "test.parquet", tmp_path / "b")
    assert (
        by_file["models"][NAME]["achieved_metrics"] == summary["models"][NAME]["achieved_metrics"]
    )


@pytest.mark.parametrize("kind", ["parquet", "csv", "raw"])
def test_a_lone_test_part_is_scored_but_skill_over_untuned_baselines_fails(
    kind, workspace, tmp_path
):
    write_raw(tmp_path / "raw", 3)
    data = tmp_path / "raw"
    if kind != "raw":
        import pyarrow.csv
        import pyarrow.parquet

        table = pyarrow.parquet.read_table(tmp_path / "raw" / "telemetry" / "part-00000.parquet")
        data = tmp_path / f"part.{kind}"
        write = pyarrow.csv.write_csv if kind == "csv" else pyarrow.parquet.write_table
        write(table, data)
    summary = all_models(workspace, data, tmp_path / "out")
    report = summary["models"][NAME]
    assert summary["deployment_recommendation"] == "FAILED"
    assert gate(report, "mape", "test:all")["passed"]
    assert "there is no baseline 'persistence'" in gate(report, "skill", "test:all")["why"]
    assert any("no baseline could be tuned" in note for note in report["notes"])


def test_the_step_of_a_file_is_its_most_frequent_distance(tmp_path):
    lines = ["node_id,peer_id,timestamp"]
    lines += [f"a,b,2025-01-01T00:0{m}:00Z" for m in (0, 2, 4, 9)] + ["c,b,2025-01-01T00:00:30Z"]
    file = tmp_path / "rows.csv"
    file.write_text("\n".join(lines) + "\n")
    assert step_of(file) == 120
    file.write_text("\n".join([lines[0], lines[1], lines[5]]) + "\n")
    with pytest.raises(GapError, match="no series has two rows"):
        step_of(file)


def test_an_empty_checkpoints_folder_and_odd_test_data_are_named(workspace, tmp_path):
    with pytest.raises(UnreadableFileError, match="holds no model"):
        evaluate_all(tmp_path, workspace / "data" / "splits", tmp_path / "out", toy_params())
    with pytest.raises(UnreadableFileError, match="neither a folder of splits"):
        all_models(workspace, tmp_path, tmp_path / "out")


def test_retraining_with_another_parameter_gives_another_digest(workspace, tmp_path, report):
    shutil.copytree(workspace / "data", tmp_path / "data")
    make_artifact(tmp_path, rounds=5)
    assert sha256(tmp_path / "artifacts" / NAME / "model.onnx") != report["onnx_sha256"]
