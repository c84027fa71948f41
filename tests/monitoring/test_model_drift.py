"""A real model's answers and performance: found where they change, quiet where they do not."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from watched_fleet import MODEL, dwcp, fleet, traffic

from dwcp_ml.errors import DriftError
from dwcp_ml.export.session import score
from dwcp_ml.monitoring.model import open_model
from dwcp_ml.monitoring.performance import Judged, judge
from dwcp_ml.monitoring.telemetry import as_part
from dwcp_ml.monitoring.truth import of_telemetry
from dwcp_ml.serving.samples import Sample, as_table

WINDOW = ("--window-h", 6)
DAY_S = 86_400.0


@pytest.fixture(scope="module")
def trained():
    return fleet()


@pytest.fixture(scope="module")
def watched(trained):
    return open_model(trained / "artifacts" / MODEL)


def look(trained, live, out, *more, code=0):
    """What is said, and the report."""
    said = dwcp(
        "drift", "--reference", trained / "splits/train.parquet", "--live", live,
        "--model", trained / "artifacts" / MODEL, "--out", out, *WINDOW, *more, code=code,
    )  # fmt: skip
    return said, json.loads((out / "drift.json").read_text()) if not code else None


def changed(trained, out, change):
    """The test part as a file of its own in which something is changed."""
    live = pq.read_table(trained / "splits/test.parquet").to_pandas()
    change(live)
    out.mkdir()
    pq.write_table(pa.Table.from_pandas(live, preserve_index=False), out / "live.parquet")
    return out / "live.parquet"


def columns_of(report):
    return {c["name"]: c for c in report["windows"][-1]["columns"]}


def test_inputs_answers_and_performance_of_days_like_the_others_are_as_usual(trained, tmp_path):
    said, report = look(trained, trained / "splits/test.parquet", tmp_path)
    assert "nothing to do" in said
    assert report["subject"] == MODEL
    assert {"rtt_ms", "output:anomaly_score", "output:is_anomaly"} <= set(columns_of(report))
    assert columns_of(report)["output:is_anomaly"]["kind"] == "output"
    assert report["performance"]["metric"] in {"average_precision", "recall"}
    assert report["windows"][-1]["performance"]["rows"] > 1000


def test_a_broken_sender_drifts_in_its_input_in_the_answers_and_in_performance(trained, tmp_path):
    def break_it(live):
        live["uptime_pct"] = 80.0
        live["packet_loss"] = (live["packet_loss"] * 20).clip(upper=1)
        live["error_budget_burn_rate"] *= 30

    said, report = look(trained, changed(trained, tmp_path / "in", break_it), tmp_path / "out")
    assert "train again" in said
    assert f"performance ({report['performance']['metric']})" in said
    kinds = {kind for window in report["windows"] for kind in window["kinds"]}
    assert kinds >= {"input", "output", "performance"}
    assert columns_of(report)["uptime_pct"]["note"] == "always 80 now"
    assert columns_of(report)["output:is_anomaly"]["drifted"]
    text = (tmp_path / "out/drift.prom").read_text()
    assert f'dwcp_drift_windows_violated{{kind="performance",model="{MODEL}"}}' in text


def test_values_that_are_missing_are_a_column_of_their_own_and_get_no_answer(trained, tmp_path):
    def lose(live):
        live.loc[live.index % 3 == 0, "retransmits"] = np.nan

    live = pq.read_table(trained / "splits/test.parquet").to_pandas()
    lose(live)
    folder = tmp_path / "splits"
    folder.mkdir()
    for name in ("split.json",):
        (folder / name).write_text((trained / "splits" / name).read_text())
    pq.write_table(pa.Table.from_pandas(live, preserve_index=False), folder / "test.parquet")
    _, report = look(trained, folder / "test.parquet", tmp_path / "out")
    found = columns_of(report)
    assert found["missing:retransmits"]["distance"] == pytest.approx(1 / 3, abs=0.01)
    assert found["missing:retransmits"]["drifted"]
    assert not found["retransmits"]["drifted"]


def log(watched, features, time_s, folder, shift=0.0):
    """What a server would have logged of these questions, through its own code."""
    answers = score(watched.session, features)
    if shift:
        answers = {k: v + v.dtype.type(shift) for k, v in answers.items()}
    folder.mkdir(parents=True)
    samples = [
        Sample(MODEL, "v1.0", "r", float(at), {"features": features[i : i + 1]},
               {k: v[i : i + 1] for k, v in answers.items()}, {"features": watched.inputs})
        for i, at in enumerate(time_s)
    ]  # fmt: skip
    pq.write_table(as_table(samples), folder / "1.parquet")


@pytest.fixture(scope="module")
def judged(trained, watched, tmp_path_factory):
    part = as_part(trained / "splits/test.parquet", tmp_path_factory.mktemp("none"))
    return of_telemetry(part, watched)


def test_logged_answers_are_used_as_they_are_and_joined_with_the_truth_by_their_questions(
    trained, watched, judged, tmp_path
):
    few = judged.examples.take(slice(None, None, 4))
    log(watched, few.features, few.time_s + 0.25, tmp_path / "log" / MODEL / "v1.0")
    _, without = look(trained, tmp_path / "log", tmp_path / "a")
    assert without["performance"] == {
        "unknown": "a log holds no truth; give the telemetry that came after it"
    }
    truth = ("--truth", trained / "splits/test.parquet")
    _, report = look(trained, tmp_path / "log", tmp_path / "b", *truth)
    assert report["performance"]["metric"] == "average_precision"
    told = sum(w["performance"]["rows"] for w in report["windows"] if w["performance"])
    assert 0.9 * len(few) < told <= len(few)
    assert not columns_of(report)["output:anomaly_score"]["drifted"]


def test_a_log_is_judged_by_what_was_answered_and_not_by_what_the_graph_says_today(
    trained, watched, judged, tmp_path
):
    few = judged.examples.take(slice(None, None, 4))
    log(watched, few.features, few.time_s, tmp_path / "log", shift=1)
    _, report = look(trained, tmp_path / "log", tmp_path / "out")
    assert columns_of(report)["output:anomaly_score"]["drifted"]
    assert columns_of(report)["output:is_anomaly"]["note"] == "not in the reference: 2"


def test_what_does_not_fit_together_is_told(trained, watched, judged, tmp_path):
    few = judged.examples.take(slice(0, 400))
    log(watched, few.features + np.float32(0.5), few.time_s, tmp_path / "log")
    test = trained / "splits/test.parquet"
    given = (trained, tmp_path / "log", tmp_path / "out")
    said, _ = look(*given, "--truth", test, code=DriftError.exit_code)
    assert "of 400 questions" in said
    assert "a question is found by its exact numbers" in said
    said, _ = look(trained, test, tmp_path / "out", "--truth", test, code=4)
    assert "which holds the truth about itself" in said
    log_as_reference = (
        "drift", "--reference", tmp_path / "log", "--live", test, "--model",
        trained / "artifacts" / MODEL, "--out", tmp_path / "out",
    )  # fmt: skip
    assert "as the reference of a model give telemetry" in dwcp(*log_as_reference, code=4)
    none = ("drift", "--reference", test, "--live", test, "--model")
    assert "did you mean" in dwcp(*none, trained / "artifacts" / MODEL[:-1], code=15)
    assert "no version 'v9.9'" in dwcp(*none, f"{trained}/artifacts/{MODEL}@v9.9", code=15)
    said = dwcp("drift", "--reference", test, "--live", test, "--truth", test, code=4)
    assert "name it with --model" in said


def test_telemetry_without_the_label_still_tells_of_answers(trained, tmp_path):
    live = pq.read_table(trained / "splits/test.parquet").drop_columns(["is_anomaly"])
    (tmp_path / "in").mkdir()
    pq.write_table(live, tmp_path / "in/test.parquet")
    (tmp_path / "in/split.json").write_text((trained / "splits/split.json").read_text())
    _, report = look(trained, tmp_path / "in/test.parquet", tmp_path / "out")
    assert report["performance"]["unknown"].startswith(f"no truth for {MODEL}")
    assert "output:is_anomaly" in columns_of(report)
    assert "Not known: no truth" in (tmp_path / "out/drift.html").read_text()


@pytest.mark.slow
def test_a_frozen_model_errs_on_one_real_day_and_the_same_errors_on_any_day_are_quiet(tmp_path):
    folder = traffic(tmp_path)
    known = open_model(folder / "artifacts/bandwidth_predictor")
    before, after = (
        of_telemetry(as_part(folder / f"splits/{name}.parquet", tmp_path), known)
        for name in ("train", "test")
    )
    found = judge(known, before, after, DAY_S)
    day = {str(pd.to_datetime(at, unit="s").date()): w for at, w in found.windows.items()}
    assert found.metric == "wape_pct"
    assert [at for at, w in day.items() if w.drifted] == ["2020-02-02"]
    worst = day["2020-02-02"]
    assert worst.value > 1.3 * found.usual
    assert found.usual < found.rival  # beats persistence as a rule
    order = np.random.default_rng(1).permutation(len(after.examples))
    mixed = replace(after.examples, time_s=after.examples.time_s[order])
    shuffled = judge(known, before, Judged(mixed, after.outputs), DAY_S)
    assert not any(w.drifted for w in shuffled.windows.values())
