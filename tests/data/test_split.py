"""Split: no row in two parts, the gap kept, every row accounted for, nothing out of order."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from telemetry_table import STEP_S, telemetry, write_raw

from dwcp_ml.errors import EmptySplitError, RowOrderError, UnreadableFileError
from dwcp_ml.params import SplitParams
from dwcp_ml.telemetry.schema import KEY
from dwcp_ml.telemetry.split import parts, raw_as_part, split
from dwcp_ml.telemetry.windows import read_columns

ROLES = ("train", "validation", "test")


def rows_of(path) -> pd.DataFrame:
    return pq.read_table(path, columns=[*KEY, "rtt_ms"]).to_pandas()


def add_truth(raw, frame, parts=1):
    """Latent truth that can be matched with its row: a copy of rtt_ms."""
    (raw / "truth").mkdir()
    for i, nodes in enumerate(np.array_split(frame["node_id"].unique(), parts)):
        chosen = frame[frame["node_id"].isin(nodes)]
        table = pa.table({"latent": chosen["rtt_ms"].to_numpy()})
        pq.write_table(table, raw / "truth" / f"part-{i:05d}.parquet")


def uneven(lengths, seed=0):
    """Series of these lengths that begin at different steps, with a gap in some."""
    rng = np.random.default_rng(seed)
    pieces = []
    for i, steps in enumerate(lengths):
        piece = telemetry(1, steps, seed=i)
        piece["node_id"] = f"node-{i:03d}"
        skipped = rng.integers(0, 20) + np.cumsum(rng.random(steps) < 0.01) * rng.integers(1, 9)
        piece["timestamp"] += pd.to_timedelta(skipped * STEP_S, "s")
        pieces.append(piece)
    return pd.concat(pieces, ignore_index=True)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.integers(1, 300), min_size=1, max_size=5),
    st.sampled_from(["time", "series_time"]),
    st.integers(1, 30),
    st.sampled_from([(0.7, 0.15, 0.15), (0.5, 0.25, 0.25), (0.4, 0.2, 0.4)]),
)
def test_no_row_is_shared_the_gap_is_kept_and_every_row_is_accounted_for(
    tmp_path_factory, lengths, by, gap_steps, fractions
):
    folder = tmp_path_factory.mktemp("split")
    frame = uneven([200, *lengths])
    raw = write_raw(frame, folder / "raw", parts=min(2, len(lengths)))
    add_truth(raw, frame, parts=min(2, len(lengths)))
    params = SplitParams(by=by, train=fractions[0], validation=fractions[1], test=fractions[2])
    try:
        summary = split(raw, params, folder / "splits", gap_steps=gap_steps)
    except EmptySplitError:
        assert not (folder / "splits").exists()
        return
    found = {role: rows_of(folder / "splits" / f"{role}.parquet") for role in ROLES}
    merged = pd.concat(found.values())
    assert not merged.duplicated(list(KEY)).any()
    assert len(merged) + summary.rows_left_out == len(frame)
    for role, rows in found.items():
        assert summary.parts[role].rows == len(rows)
        keys = [tuple(map(str, key)) for key in rows[list(KEY)].itertuples(index=False)]
        assert keys == sorted(keys)
        truth = pq.read_table(folder / "splits" / f"{role}_truth.parquet").to_pandas()
        np.testing.assert_array_equal(truth["latent"].astype(np.float32), rows["rtt_ms"])
    _check_gap(found, by, gap_steps)


def _check_gap(found, by, gap_steps):
    """Between two parts lie at least ``gap_steps`` whole steps, over all series or in each."""
    for earlier, later in (("train", "validation"), ("validation", "test")):
        before, after = found[earlier], found[later]
        if by == "time":
            distances = [after["timestamp"].min() - before["timestamp"].max()]
        else:
            ends = before.groupby("node_id", observed=True)["timestamp"].max()
            starts = after.groupby("node_id", observed=True)["timestamp"].min()
            distances = (starts - ends).dropna()
        assert all(d >= pd.Timedelta(seconds=(gap_steps + 1) * STEP_S) for d in distances)


def test_the_fractions_are_those_of_the_steps_outside_the_two_gaps(tmp_path):
    raw = write_raw(telemetry(2, 1020), tmp_path / "raw")
    summary = split(raw, SplitParams(), tmp_path / "splits", gap_steps=10)
    assert [summary.parts[role].rows for role in ROLES] == [1400, 300, 300]
    assert summary.rows_left_out == 2 * 2 * 10
    found = {role: rows_of(tmp_path / "splits" / f"{role}.parquet") for role in ROLES}
    train, validation = found["train"]["timestamp"], found["validation"]["timestamp"]
    assert validation.min() - train.max() == pd.Timedelta(seconds=11 * STEP_S)


def test_all_columns_types_and_values_survive_the_cut(tmp_path):
    frame = telemetry(2, 100)
    raw = write_raw(frame, tmp_path / "raw")
    split(raw, SplitParams(), tmp_path / "splits", gap_steps=5)
    whole = pq.read_table(raw / "telemetry" / "part-00000.parquet")
    train = pq.read_table(tmp_path / "splits" / "train.parquet")
    assert train.schema.equals(whole.schema)
    kept = whole.to_pandas()
    kept = kept[kept["timestamp"] <= train.to_pandas()["timestamp"].max()].reset_index(drop=True)
    pd.testing.assert_frame_equal(train.to_pandas(), kept)


def test_split_json_tells_what_was_done(tmp_path):
    raw = write_raw(
        telemetry(2, 200), tmp_path / "raw", source="ingest", absent_columns=("rtt_ms",)
    )
    split(raw, SplitParams(), tmp_path / "splits", gap_steps=5)
    told = json.loads((tmp_path / "splits" / "split.json").read_text())
    assert told["source"] == "ingest"
    assert (told["step_s"], told["gap_steps"], told["by"]) == (60, 5, "time")
    assert told["absent_columns"] == ["rtt_ms"]
    assert told["missing_labels"] == []
    assert set(told["parts"]) == set(told["boundaries"]) == set(ROLES)
    assert told["boundaries"]["train"][0] == "2025-03-01T00:00:00+00:00"
    assert told["boundaries"]["test"][1] == "2025-03-01T03:19:00+00:00"
    assert told["parts"]["test"]["end"] == "2025-03-01T03:19:00+00:00"
    incidents = (tmp_path / "splits" / "labeled_incidents.json").read_bytes()
    assert incidents == (raw / "labeled_incidents.json").read_bytes()


def test_series_of_different_days_need_a_cut_of_their_own(tmp_path):
    frame = telemetry(3, 200)
    days = frame["node_id"].map({"node-000": 0, "node-001": 2, "node-002": 9})
    frame["timestamp"] += pd.to_timedelta(days, "D")
    raw = write_raw(frame, tmp_path / "raw")
    with pytest.raises(EmptySplitError, match=r"validation has 0 rows.*by: series_time"):
        split(raw, SplitParams(), tmp_path / "splits", gap_steps=10)
    summary = split(raw, SplitParams(by="series_time"), tmp_path / "splits", gap_steps=10)
    assert {role: part.series for role, part in summary.parts.items()} == dict.fromkeys(ROLES, 3)
    assert [summary.parts[role].rows for role in ROLES] == [3 * 126, 3 * 27, 3 * 27]
    assert summary.boundaries is None


def test_a_series_too_short_to_be_cut_goes_to_train_whole(tmp_path):
    frame = uneven([200, 15])
    raw = write_raw(frame, tmp_path / "raw")
    split(raw, SplitParams(by="series_time"), tmp_path / "splits", gap_steps=10)
    rows = {role: rows_of(tmp_path / "splits" / f"{role}.parquet") for role in ROLES}
    short = {role: int((frame["node_id"] == "node-001").sum()) for role, frame in rows.items()}
    assert short == {"train": 15, "validation": 0, "test": 0}


@pytest.mark.parametrize("by", ["time", "series_time"])
def test_a_part_without_a_complete_window_is_refused(tmp_path, by):
    raw = write_raw(telemetry(2, 60), tmp_path / "raw")
    with pytest.raises(EmptySplitError, match="one window takes 12 unbroken steps") as caught:
        split(raw, SplitParams(by=by), tmp_path / "splits", gap_steps=12)
    assert caught.value.exit_code == 12
    assert not (tmp_path / "splits").exists()


def test_telemetry_shorter_than_the_gaps_is_refused(tmp_path):
    raw = write_raw(telemetry(2, 20), tmp_path / "raw")
    with pytest.raises(EmptySplitError, match="spans 20 steps, and two gaps of 10 steps"):
        split(raw, SplitParams(), tmp_path / "splits", gap_steps=10)


def test_unsorted_telemetry_is_refused(tmp_path):
    raw = write_raw(telemetry(2, 100).iloc[::-1], tmp_path / "raw")
    with pytest.raises(RowOrderError, match="rows are not sorted"):
        split(raw, SplitParams(), tmp_path / "splits", gap_steps=3)


def test_truth_of_other_rows_is_refused(tmp_path):
    frame = telemetry(2, 100)
    raw = write_raw(frame, tmp_path / "raw")
    add_truth(raw, frame.iloc[:150])
    with pytest.raises(UnreadableFileError, match="has 150 rows, its telemetry 200"):
        split(raw, SplitParams(), tmp_path / "splits", gap_steps=3)


def test_no_telemetry_and_no_split_say_which_command_makes_them(tmp_path):
    with pytest.raises(UnreadableFileError, match="run 'dwcp simulate' or 'dwcp ingest' first"):
        split(tmp_path, SplitParams(), tmp_path / "splits", gap_steps=3)
    with pytest.raises(UnreadableFileError, match="run 'dwcp split'"):
        parts(tmp_path)


def test_parts_and_whole_raw_folders_are_read_alike(tmp_path):
    frame = telemetry(4, 100)
    raw = write_raw(frame, tmp_path / "raw", parts=3)
    add_truth(raw, frame, parts=3)
    split(raw, SplitParams(), tmp_path / "splits", gap_steps=3)
    found = parts(tmp_path / "splits")
    assert {role: part.role for role, part in found.items()} == {role: role for role in ROLES}
    rows = [len(read_columns(found[role].telemetry, ["rtt_ms"])) for role in ROLES]
    assert rows == [len(read_columns(found[role].truth, ["latent"])) for role in ROLES]
    assert found["train"].step_s == STEP_S
    assert found["train"].incidents.exists()
    fresh = raw_as_part(raw, "fresh")
    assert fresh.role == "fresh"
    assert len(read_columns(fresh.telemetry, ["rtt_ms"])) == len(frame)
    latent = read_columns(fresh.truth, ["latent"])["latent"]
    np.testing.assert_array_equal(latent, frame["rtt_ms"])


def test_parts_without_truth_and_incidents_have_none(tmp_path):
    raw = write_raw(telemetry(2, 100), tmp_path / "raw")
    (raw / "labeled_incidents.json").unlink()
    split(raw, SplitParams(), tmp_path / "splits", gap_steps=3)
    part = parts(tmp_path / "splits")["test"]
    assert part.truth is None
    assert part.incidents is None
    assert raw_as_part(raw, "test").truth is None
