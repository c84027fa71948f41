"""The bandwidth backtest: its examples are the table's, and its figures come with baselines."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from dwcp_ml import backtest
from dwcp_ml.backtest.tables import read_table
from dwcp_ml.cli import main
from dwcp_ml.errors import BacktestError
from dwcp_ml.models.bandwidth_network import FEATURES
from dwcp_ml.models.bandwidth_predictor import BandwidthParams

TASK = backtest.get("bandwidth")
SECTION = BandwidthParams(epochs=1)


def days(links=2, days_=6, step_s=600):
    """A daily rhythm with noise of a random walk."""
    rng = np.random.default_rng(1)
    steps = days_ * 86400 // step_s
    time = 1_600_000_000 + step_s * np.arange(steps)
    rates = [
        50 * np.exp(np.sin(2 * np.pi * time / 86400) + np.cumsum(rng.normal(0, 0.02, steps)))
        for _ in range(links)
    ]
    return pd.DataFrame(
        {
            "link_id": np.repeat([f"l{i}" for i in range(links)], steps),
            "timestamp": np.tile(time, links),
            "throughput_mbps": np.concatenate(rates),
        }
    )


def prepared(table, tmp_path, by="time"):
    path = tmp_path / "t.csv"
    table.to_csv(path, index=False)
    return TASK.prepare(read_table(path, TASK), by, SECTION, "t.csv")


def test_the_target_is_the_next_row_and_what_was_not_measured_is_said(tmp_path):
    table = days()
    ready = prepared(table, tmp_path)
    test = ready.test
    rate = dict(zip(zip(table["link_id"], table["timestamp"]), table["throughput_mbps"]))  # noqa: B905
    values = np.sort(table["throughput_mbps"].to_numpy(np.float32))
    assert np.isin(test.features[:, -1, FEATURES.index("throughput_mbps")], values).all()
    last = max(t for _, t in rate)
    assert rate["l1", last] == pytest.approx(float(test.targets["forecast"][-1, 0]), rel=1e-6)
    assert any("Not measured" in note and "rtt_ms" in note for note in ready.notes)
    assert ready.section.head_weights == (1.0, 0.0, 0.0, 0.0)


def test_the_test_part_is_later_than_what_was_trained_on(tmp_path):
    ready = prepared(days(), tmp_path)
    assert ready.train.time_s.max() < ready.validation.time_s.min()
    assert ready.validation.time_s.max() < ready.test.time_s.min()


def test_series_of_days_are_told_the_hour_and_short_ones_are_not(tmp_path):
    long = prepared(days(), tmp_path)
    assert long.section.daily_phase
    assert long.train.features.shape[2] == len(FEATURES) + 1
    short = prepared(days(days_=2), tmp_path)
    assert not short.section.daily_phase
    assert short.train.features.shape[2] == len(FEATURES)


def test_measured_inputs_are_used(tmp_path):
    table = days(days_=2)
    table["rtt_ms"] = np.arange(len(table), dtype=float) + 1
    ready = prepared(table, tmp_path)
    newest = ready.test.features[-1, -1]
    assert newest[FEATURES.index("rtt_ms")] == len(table) - 1
    assert ready.section.head_weights[:2] == SECTION.head_weights[:2]


@pytest.mark.parametrize("value", [-1.0, np.nan])
def test_an_impossible_rate_is_refused(tmp_path, value):
    table = days()
    table.loc[7, "throughput_mbps"] = value
    with pytest.raises(BacktestError, match="row 9 of the sorted table: throughput_mbps is"):
        prepared(table, tmp_path)


def test_a_constant_link_is_refused(tmp_path):
    with pytest.raises(BacktestError, match="'l0': throughput_mbps is 5 throughout"):
        prepared(days().assign(throughput_mbps=5.0), tmp_path)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The command on a table that a daily rhythm rules, trained for real."""
    folder = tmp_path_factory.mktemp("bandwidth")
    days(links=2, days_=8).to_csv(folder / "days.csv", index=False)
    given = ["backtest", "bandwidth", "--data", str(folder / "days.csv"),
             "--out", str(folder / "reports"), "--page", str(folder / "page.md")]  # fmt: skip
    result = CliRunner().invoke(main, given, catch_exceptions=False)
    report = json.loads((folder / "reports/backtest.json").read_text())
    return result, report["backtests"][0], (folder / "page.md").read_text()


def test_the_command_scores_the_model_beside_every_baseline(ran):
    result, entry, _ = ran
    assert result.exit_code == 0
    wape = {r["predictor"]: r["value"] for r in entry["metrics"] if r["metric"] == "wape_pct"}
    assert set(wape) == {"model", "persistence", "ewma", "ridge", "gradient_boosting"}
    assert wape["model"] < wape["persistence"]
    assert {gate["name"] for gate in entry["gates"]} == {
        "correlation", "mape", "skill_persistence"
    }  # fmt: skip


def test_figures_come_with_intervals_and_the_page_with_its_command(ran):
    result, entry, page = ran
    model = next(r for r in entry["metrics"] if r["predictor"] == "model")
    assert model["ci_low"] <= model["value"] <= model["ci_high"]
    assert "dwcp backtest bandwidth --data" in page
    assert "persistence" in page
    assert "persistence" in result.output


def test_data_without_a_task_is_refused(tmp_path):
    result = CliRunner().invoke(main, ["backtest", "--data", str(tmp_path / "x.csv")])
    assert result.exit_code == 4
    assert "needs a TASK" in result.output
