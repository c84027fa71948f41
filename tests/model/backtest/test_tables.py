"""Tables are read whole or refused with one sentence that says what, where and what to do."""

import gzip

import numpy as np
import pandas as pd
import pytest

from dwcp_ml import backtest
from dwcp_ml.backtest.series import TEST, TRAIN, VALIDATION, refuse_constant, to_series
from dwcp_ml.backtest.tables import read_table
from dwcp_ml.errors import (
    BacktestError,
    GapError,
    MissingColumnError,
    ParamsError,
    UnreadableFileError,
)

BANDWIDTH = backtest.get("bandwidth")


def csv(tmp_path, text, name="t.csv"):
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    return path


def table(links, steps, step_s=60, start=0):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "link_id": np.repeat([f"l{i}" for i in range(links)], steps),
            "timestamp": np.tile(start + step_s * np.arange(steps, dtype=float), links),
            "throughput_mbps": rng.uniform(1, 2, links * steps),
        }
    )


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_rows_are_sorted_and_times_are_epoch_seconds(tmp_path, name):
    text = (
        "link_id,timestamp,throughput_mbps\n"
        "7,2020-01-01T00:05:00Z,2\n7,2020-01-01T00:00:00Z,1\n10,2020-01-01T00:00:00Z,3\n"
    )
    read = read_table(csv(tmp_path, text, name), BANDWIDTH)
    assert read["link_id"].tolist() == ["10", "7", "7"]
    assert read["timestamp"].tolist() == [1577836800, 1577836800, 1577837100]
    assert read["throughput_mbps"].tolist() == [3, 1, 2]


def test_parquet_gives_what_csv_gives(tmp_path):
    given = table(2, 5)
    given.to_parquet(tmp_path / "t.parquet")
    given.to_csv(tmp_path / "t.csv", index=False)
    pd.testing.assert_frame_equal(
        read_table(tmp_path / "t.parquet", BANDWIDTH), read_table(tmp_path / "t.csv", BANDWIDTH)
    )


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("link_id,timestamp,throughput\na,1,2\n", MissingColumnError, "'throughput_mbps' is not"),
        ("link_id,timestamp,throughput_mbps\n", UnreadableFileError, "holds no row"),
        ("", UnreadableFileError, "not a readable CSV"),
        ("link_id,timestamp,throughput_mbps\na,soon,2\n", BacktestError, "row 2: 'soon' is no"),
        ("link_id,timestamp,throughput_mbps\na,1,fast\n", BacktestError, "'fast' is not a number"),
    ],
)
def test_an_unusable_table_is_refused_by_name(tmp_path, text, error, says):
    with pytest.raises(error, match=says):
        read_table(csv(tmp_path, text), BANDWIDTH)


def test_a_missing_column_suggests_the_nearest(tmp_path):
    with pytest.raises(MissingColumnError, match="did you mean 'throughput'"):
        read_table(csv(tmp_path, "link_id,timestamp,throughput\na,1,2\n"), BANDWIDTH)


def test_an_unknown_task_suggests_the_nearest():
    with pytest.raises(ParamsError, match="did you mean 'bandwidth'"):
        backtest.get("bandwith")


def test_a_cut_gzip_is_refused(tmp_path):
    whole = csv(tmp_path, "link_id,timestamp,throughput_mbps\n" + "a,1,2\n" * 500, "t.csv.gz")
    whole.write_bytes(whole.read_bytes()[:-20])
    with pytest.raises(UnreadableFileError, match="not a readable CSV"):
        read_table(whole, BANDWIDTH)


def test_parts_follow_each_other_in_time_and_no_window_crosses_them():
    series = to_series(table(3, 200), "link_id", "time", 11, "t")
    for part in (TRAIN, VALIDATION, TEST):
        for end in series.ends(part, 10, 1):
            rows = slice(end - 9, end + 2)
            assert len(set(series.entity[rows])) == 1
            assert set(series.part[rows]) == {part}
    for entity in range(3):
        mine = series.part[series.entity == entity]
        assert (np.diff(mine) >= 0).all()
        assert np.bincount(mine).tolist() == [140, 30, 30]


def test_by_entity_no_entity_is_in_two_parts():
    series = to_series(table(9, 50), "link_id", "entity", 11, "t")
    of = [set(series.part[series.entity == e]) for e in range(9)]
    assert all(len(parts) == 1 for parts in of)
    assert {p for parts in of for p in parts} == {TRAIN, VALIDATION, TEST}


def test_no_window_crosses_a_gap():
    given = table(1, 400).drop(index=range(100, 103)).reset_index(drop=True)
    series = to_series(given, "link_id", "time", 11, "t")
    for end in series.ends(TRAIN, 10, 1):
        assert series.time_s[end + 1] - series.time_s[end - 9] == 600


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.assign(timestamp=t["timestamp"].replace(60.0, 0.0)), "two rows have the time"),
        (lambda t: t.assign(timestamp=np.cumsum(1 + np.arange(len(t)) % 7 * 0.3)), "no constant"),
        (lambda t: t.head(1), "no entity has two rows"),
    ],
)
def test_an_irregular_step_is_refused(change, says):
    with pytest.raises(GapError, match=says):
        to_series(change(table(1, 300)), "link_id", "time", 11, "t")


def test_a_series_too_short_to_split_is_refused():
    with pytest.raises(BacktestError, match="no stretch of 11 rows without a gap in the"):
        to_series(table(2, 30), "link_id", "time", 11, "t")


def test_one_entity_cannot_be_split_by_entity_and_says_so():
    with pytest.raises(BacktestError, match=r"one entity only .* use --by time"):
        to_series(table(1, 300), "link_id", "entity", 11, "t")


def test_one_entity_is_resampled_in_blocks_of_time_and_says_so():
    series = to_series(table(1, 3000), "link_id", "time", 11, "t")
    ends = series.ends(TEST, 10, 1)
    assert len(np.unique(series.groups(ends))) == 20
    assert "one entity only" in series.interval_note(ends)
    many = to_series(table(6, 300), "link_id", "time", 11, "t")
    assert len(np.unique(many.groups(many.ends(TEST, 10, 1)))) == 6


def test_a_constant_series_is_refused_by_name():
    series = to_series(table(2, 200), "link_id", "time", 11, "t")
    values = np.where(series.entity == 1, 3.0, np.arange(400.0))
    with pytest.raises(BacktestError, match="'l1': throughput_mbps is 3 throughout"):
        refuse_constant(values, series, "throughput_mbps", "t")
