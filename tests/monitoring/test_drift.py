"""Drift is found where values change, and not where windows differ as they always did."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from dwcp_ml.cli import main
from dwcp_ml.errors import DriftError, MissingColumnError, UnreadableFileError
from dwcp_ml.monitoring.columns import Column, Table
from dwcp_ml.monitoring.distances import psi, shift
from dwcp_ml.monitoring.drift import Reference
from dwcp_ml.monitoring.metrics import text
from dwcp_ml.monitoring.show import write_reports
from dwcp_ml.monitoring.tables import read_values
from dwcp_ml.monitoring.watch import Rule, watch
from dwcp_ml.serving.samples import Sample, as_table

HOURS = Rule(window_h=1, k=2, n=3)
PUBLIC = Path(__file__).parents[2] / "data/public/services.csv.gz"


def days(rng, windows, columns=3, rows=120, move=0.0, level_sd=0.0):
    """Windows of an hour; each has a level of its own, as days have."""
    levels = rng.normal(0, level_sd, (windows, 1, columns)) + move
    values = (levels + rng.normal(size=(windows, rows, columns))).reshape(-1, columns)
    return Table.of_numbers("abc"[:columns], np.arange(windows * rows) * 3600 / rows, values)


def after(table, seconds):
    return replace(table, time_s=table.time_s + seconds)


def test_a_moved_column_is_found_by_name_and_the_others_are_not():
    rng = np.random.default_rng(10)
    live = days(rng, 4)
    live.values[:, 1] += 1
    verdict = watch(days(rng, 200), live, HOURS)
    assert verdict.retrain
    for window in verdict.windows:
        assert [c.name for c in window.columns if c.drifted] == ["b"]


def test_windows_that_differ_as_they_always_did_are_no_drift():
    rng = np.random.default_rng(1)
    verdict = watch(days(rng, 40, level_sd=0.8), days(rng, 40, level_sd=0.8), HOURS)
    assert sum(verdict.drifted) <= 4
    assert verdict.false_alarm_rate == pytest.approx(1 / 41)


def test_false_alarms_of_all_columns_together_are_as_rare_as_told():
    rng = np.random.default_rng(2)
    three = [Column(name) for name in "abc"]
    reference = Reference(three, [w for _, w in days(rng, 20, level_sd=0.3).windows(3600)])
    alarms = sum(
        any(c.drifted for c in reference.compare(w))
        for _, w in days(rng, 300, level_sd=0.3).windows(3600)
    )
    assert alarms / 300 < 2 * reference.false_alarm_rate


def test_a_move_too_small_to_matter_is_no_drift_however_many_rows():
    rng = np.random.default_rng(3)
    verdict = watch(days(rng, 6, rows=5000), days(rng, 3, rows=5000, move=0.05), HOURS)
    assert not any(verdict.drifted)


@settings(deadline=None, max_examples=30)
@given(st.floats(0.5, 100), st.floats(-1e4, 1e4), st.integers(0, 2**32 - 1))
def test_the_verdict_does_not_depend_on_unit_or_origin(scale, origin, seed):
    rng = np.random.default_rng(seed)
    was, now = days(rng, 6), days(rng, 2, move=rng.uniform(0, 0.6))

    def other(table):
        return replace(table, values=table.values * scale + origin)

    assert watch(was, now, HOURS).drifted == watch(other(was), other(now), HOURS).drifted


def test_a_column_that_always_wanders_can_still_drift():
    rng = np.random.default_rng(9)
    was = days(rng, 20, columns=2, level_sd=0.05)
    was.values[:, 1] += np.repeat(rng.normal(0, 2, 20), 120)  # distances near 1 are usual
    live = days(rng, 2, columns=2, level_sd=0.05)
    live.values[:, 1] += 50
    columns = watch(was, live, HOURS).windows[0].columns
    assert [c.name for c in columns if c.drifted] == ["b"]
    assert columns[1].limit < 1


def test_values_that_are_missing_now_are_a_drift():
    rng = np.random.default_rng(4)
    live = days(rng, 2)
    live.values[::2, 0] = np.nan
    verdict = watch(days(rng, 10), live, HOURS)
    (found,) = [c for c in verdict.windows[0].columns if c.drifted]
    assert (found.name, found.kind) == ("missing:a", "missing")
    assert found.distance == pytest.approx(0.5)


def test_the_rule_counts_the_newest_windows():
    rng = np.random.default_rng(5)
    was = days(rng, 20)
    moved, usual = days(rng, 2, move=2), days(rng, 3)
    live = Table(
        was.columns,
        np.concatenate([moved.time_s, usual.time_s + 2 * 3600]),
        np.concatenate([moved.values, usual.values]),
    )
    verdict = watch(was, live, HOURS)
    assert verdict.drifted == [True, True, False, False, False]
    assert not verdict.retrain
    assert verdict.since == verdict.windows[1].start


def test_stability_index_and_shift_are_those_of_the_textbook():
    rng = np.random.default_rng(6)
    x = rng.normal(size=100_000)
    assert psi(x, x) == pytest.approx(0, abs=1e-9)
    assert psi(x, rng.normal(size=100_000)) < 0.001
    assert psi(x, x + 1) == pytest.approx(0.97, abs=0.1)  # (m1 - m2)^2 / s^2 of two normals is 1
    assert shift(x, x + 1) == pytest.approx(1 / 1.349, rel=0.01)


@pytest.mark.parametrize("rule", [(1, 0, 3), (1, 4, 3), (0, 1, 1)])
def test_an_impossible_rule_is_refused(rule):
    with pytest.raises(DriftError, match="is no rule"):
        Rule(*rule)


def test_what_cannot_be_compared_is_refused():
    rng = np.random.default_rng(7)
    with pytest.raises(DriftError, match="has 3 windows"):
        watch(days(rng, 3), days(rng, 3), HOURS)
    other = Table.of_numbers("xyz", np.arange(10.0), np.zeros((10, 3)))
    with pytest.raises(DriftError, match="no column in common"):
        watch(days(rng, 10), other, HOURS)
    with pytest.raises(DriftError, match="no window of 1 hours"):
        watch(days(rng, 10), days(rng, 1, rows=20), HOURS)
    with pytest.raises(MissingColumnError, match="no column 'd'"):
        days(rng, 1).only(["d"])


@pytest.mark.parametrize(
    ("named", "columns"),
    [
        ({}, ["features[0]", "features[1]", "features[2]"]),
        ({"features": ("a", "b", "c")}, ["a", "b", "c"]),
    ],
)
def test_samples_of_the_server_are_read_step_by_step(tmp_path, named, columns):
    import pyarrow.parquet as pq

    features = np.arange(2 * 4 * 3, dtype=np.float32).reshape(2, 4, 3)
    asked, answered = {"features": features}, {"y": np.array([1.0, 2.0])}
    sample = Sample("m", "v1.0", "r", 5.0, asked, answered, named)
    (tmp_path / "m/v1.0").mkdir(parents=True)
    pq.write_table(as_table([sample]), tmp_path / "m/v1.0/5.parquet")
    read = read_values(tmp_path)
    assert set(read.names) == {"y", *columns}
    newest = read.only(columns).values
    np.testing.assert_array_equal(newest, features[:, -1])


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("time,x\n1,2\n", MissingColumnError, "no column 'timestamp'"),
        ("timestamp,x\nsoon,2\n", UnreadableFileError, "holds what is no time"),
        ("timestamp,node_id\n1,red\n", DriftError, "no column of numbers"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path, text, error, says):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(error, match=says):
        read_values(tmp_path / "t.csv")


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(UnreadableFileError, match="no Parquet file"):
        read_values(tmp_path)


def test_reports_are_whole_and_the_metrics_are_prometheus_text(tmp_path):
    from prometheus_client.parser import text_string_to_metric_families

    rng = np.random.default_rng(8)
    verdict = watch(days(rng, 10), days(rng, 3, move=2), HOURS)
    write_reports(verdict, tmp_path, "bandwidth_predictor")
    assert json.loads((tmp_path / "drift.json").read_text())["retrain"] is True
    assert "TRAIN AGAIN" in (tmp_path / "drift.html").read_text()
    families = {f.name: f for f in text_string_to_metric_families(text(verdict, "m", 1.0))}
    assert families["dwcp_drift_retrain"].samples[0].value == 1
    assert {s.labels["column"] for s in families["dwcp_drift_distance"].samples} == {"a", "b", "c"}


def service(number):
    table = pd.read_csv(PUBLIC)
    return table[table["entity_id"] == f"service{number}"].drop(columns=["is_anomaly"])


def test_a_real_service_changes_its_regime_and_a_shuffled_one_does_not(tmp_path):
    real = service(1)
    mixed = real.copy()
    values = [c for c in real.columns if c.startswith("metric")]
    mixed[values] = real[values].sample(frac=1, random_state=1).to_numpy()
    ends = {}
    for name, table in (("real", real), ("shuffled", mixed)):
        table.iloc[:5760].to_csv(tmp_path / "was.csv", index=False)
        table.iloc[5760:].to_csv(tmp_path / "now.csv", index=False)
        given = ["drift", "--reference", str(tmp_path / "was.csv"), "--live",
                 str(tmp_path / "now.csv"), "--out", str(tmp_path / name),
                 "--exit-code"]  # fmt: skip
        ends[name] = CliRunner().invoke(main, given).exit_code
    found = {n: json.loads((tmp_path / n / "drift.json").read_text()) for n in ends}
    assert ends == {"real": 32, "shuffled": 0}
    assert found["real"]["since"].startswith("2020-01-22")
    assert found["shuffled"]["since"] is None
