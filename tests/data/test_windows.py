"""Windows: none crosses a series or a gap, and there are as many as the formula says."""

import time

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from telemetry_table import telemetry, write_raw

from dwcp_ml.errors import MissingColumnError, OutOfRangeError, UnreadableFileError
from dwcp_ml.telemetry.windows import (
    SEGMENT_COLUMNS,
    Columns,
    Segments,
    gather,
    read_columns,
    segments,
    window_ends,
)

STEP_S = 10


@st.composite
def tables(draw):
    """Sorted series with gaps, and some rows that may not be used."""
    node, peer, time_s = [], [], []
    for name in range(draw(st.integers(1, 4))):
        distances = draw(st.lists(st.sampled_from([1, 1, 1, 1, 2, 5]), min_size=0, max_size=30))
        rows = 1 + len(distances)
        node += [name // 2] * rows
        peer += [name % 2] * rows
        time_s += list(np.cumsum([draw(st.integers(0, 3)), *distances]) * STEP_S)
    valid = draw(st.lists(st.sampled_from([True] * 9 + [False]), min_size=len(node)))
    columns = Columns(
        {
            "node_id": np.array(node),
            "peer_id": np.array(peer),
            "timestamp": np.array(time_s, np.int64),
            "value": np.arange(len(node), dtype=np.float32),
        }
    )
    return columns, np.array(valid[: len(node)])


@settings(max_examples=200, deadline=None)
@given(tables(), st.integers(1, 6), st.integers(0, 3), st.integers(1, 4))
def test_no_window_crosses_a_series_a_gap_or_an_unusable_row(drawn, window, horizon, stride):
    columns, valid = drawn
    ends = window_ends(segments(columns, STEP_S, valid), window, horizon, stride)
    for end in ends:
        rows = np.arange(end - window + 1, end + horizon + 1)
        assert rows[0] >= 0
        assert valid[rows].all()
        assert len(set(columns["node_id"][rows])) == len(set(columns["peer_id"][rows])) == 1
        assert (np.diff(columns["timestamp"][rows]) == STEP_S).all()


@settings(max_examples=200, deadline=None)
@given(tables(), st.integers(1, 6), st.integers(0, 3), st.integers(1, 4))
def test_there_are_as_many_windows_as_the_formula_says_and_none_is_missed(
    drawn, window, horizon, stride
):
    columns, valid = drawn
    runs = segments(columns, STEP_S, valid)
    ends = window_ends(runs, window, horizon, stride)
    room = np.maximum(0, runs.stop - runs.start - window - horizon + 1)
    assert len(ends) == np.ceil(room / stride).sum()
    if stride == 1:  # by brute force over every row
        every = [
            end
            for end in range(window - 1, len(columns) - horizon)
            if _unbroken(columns, valid, np.arange(end - window + 1, end + horizon + 1))
        ]
        assert list(ends) == every


def _unbroken(columns, valid, rows):
    same = all((columns[n][rows] == columns[n][rows[0]]).all() for n in ("node_id", "peer_id"))
    return same and valid[rows].all() and (np.diff(columns["timestamp"][rows]) == STEP_S).all()


def test_segments_of_no_rows_are_none():
    empty = Columns({name: np.zeros(0, np.int64) for name in SEGMENT_COLUMNS})
    runs = segments(empty, STEP_S)
    assert len(runs.start) == runs.longest() == 0
    assert len(window_ends(runs, 3)) == 0


def test_gathered_windows_hold_the_rows_before_and_at_their_end():
    rng = np.random.default_rng(0)
    columns = Columns({"a": rng.random(50), "b": rng.integers(0, 9, 50)})
    ends = np.array([4, 7, 49])
    windows = gather(columns, ["a", "b"], ends, 5)  # (3, 5, 2)
    assert windows.shape == (3, 5, 2)
    assert windows.dtype == np.float32
    assert windows.flags["C_CONTIGUOUS"]
    for i, end in enumerate(ends):
        for j, name in enumerate(["a", "b"]):
            expected = columns[name][end - 4 : end + 1].astype(np.float32)
            np.testing.assert_array_equal(windows[i, :, j], expected)


def test_a_window_beyond_the_table_is_refused():
    columns = Columns({"a": np.zeros(5)})
    with pytest.raises(IndexError):
        gather(columns, ["a"], np.array([1]), 3)
    with pytest.raises(IndexError):
        gather(columns, ["a"], np.array([5]), 3)
    with pytest.raises(ValueError, match="at least 1"):
        window_ends(Segments(np.array([0]), np.array([5])), 0)


def test_columns_come_back_as_numbers_codes_and_seconds_with_missing_as_nan(tmp_path):
    frame = telemetry(nodes=3, steps=5)
    frame.loc[2, "rtt_ms"] = np.nan
    frame.loc[3, "link_type"] = None
    frame["bytes_tx"] = frame["bytes_tx"].astype("Int64")
    frame.loc[4, "bytes_tx"] = pd.NA
    raw = write_raw(frame, tmp_path / "raw", parts=2)
    names = ["timestamp", "node_id", "link_type", "network_tier", "rtt_ms", "bytes_tx"]
    columns = read_columns(raw / "telemetry", names)
    assert len(columns) == len(frame)
    assert list(columns["timestamp"]) == [int(t.timestamp()) for t in frame["timestamp"]]
    assert list(columns.text("node_id", np.arange(15))) == list(frame["node_id"])
    tiers = {"tier1": 1, "tier2": 2, "tier3": 3}
    assert list(columns["network_tier"]) == [tiers[word] for word in frame["network_tier"]]
    assert columns["network_tier"].dtype == np.int8
    assert np.flatnonzero(np.isnan(columns["rtt_ms"])).tolist() == [2]
    assert np.flatnonzero(np.isnan(columns["link_type"])).tolist() == [3]
    assert np.flatnonzero(np.isnan(columns["bytes_tx"])).tolist() == [4]
    words = columns.text("link_type", np.arange(15))
    assert list(words) == list(frame["link_type"].fillna(""))


def test_text_codes_sort_as_the_words_do(tmp_path):
    frame = telemetry(nodes=4, steps=2)
    raw = write_raw(frame.iloc[::-1], tmp_path / "raw")  # words first met in reverse order
    columns = read_columns(raw / "telemetry", ["node_id"])
    assert list(columns["node_id"]) == [3, 3, 2, 2, 1, 1, 0, 0]


def test_reading_a_column_that_is_not_there_names_the_nearest(tmp_path):
    raw = write_raw(telemetry(2, 3), tmp_path / "raw")
    with pytest.raises(MissingColumnError, match=r"no column 'rtt'; did you mean 'rtt_ms'\?"):
        read_columns(raw / "telemetry", ["rtt"])
    with pytest.raises(UnreadableFileError, match="there is no such file"):
        read_columns(tmp_path / "nowhere.parquet", ["rtt_ms"])


def test_a_word_that_the_schema_does_not_know_is_refused(tmp_path):
    frame = telemetry(2, 3)
    frame["link_type"] = "tunnel"
    raw = write_raw(frame, tmp_path / "raw")
    with pytest.raises(OutOfRangeError, match="'tunnel'"):
        read_columns(raw / "telemetry", ["link_type"])


def test_two_million_rows_are_cut_into_segments_in_less_than_two_seconds():
    rows, steps = 2_000_000, 500
    series = np.repeat(np.arange(rows // steps), steps)
    time_s = np.tile(np.arange(steps) * STEP_S, rows // steps)
    columns = Columns({"node_id": series, "peer_id": series, "timestamp": time_s})
    start = time.process_time()
    ends = window_ends(segments(columns, STEP_S), 10, 1)
    assert time.process_time() - start < 2
    assert len(ends) == rows // steps * (steps - 10)


def test_a_missing_name_is_the_empty_text():
    from dwcp_ml.telemetry.arrays import decode

    numbers, words = decode("region", pa.chunked_array([pa.array(["b", None, "a"])]))
    assert list(numbers) == [1, -1, 0]
    assert list(Columns({"region": numbers}, {"region": words}).text("region", np.arange(3))) == [
        *("b", "", "a")
    ]


def test_a_single_flipped_byte_in_a_stored_column_is_noticed(tmp_path):
    raw = write_raw(telemetry(nodes=3, steps=500), tmp_path / "raw")
    part = raw / "telemetry" / "part-00000.parquet"
    good = part.read_bytes()
    about = pq.ParquetFile(part).metadata.row_group(0)
    names = about.to_dict()["columns"]
    rtt = next(c for c in names if c["path_in_schema"] == "rtt_ms")
    first, size = (
        rtt["dictionary_page_offset"] or rtt["data_page_offset"],
        rtt["total_compressed_size"],
    )
    for place in range(first + size // 4, first + size - 8, size // 20):
        part.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        with pytest.raises(UnreadableFileError, match="damaged"):
            read_columns(part, ["rtt_ms"])
