"""Ingest: what comes out is what a plain pandas program would have made of the same files."""

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from telemetry_table import INCIDENT, SCHEMA, START, telemetry, write_map, write_source

from dwcp_ml.files import sha256
from dwcp_ml.telemetry.dataset import read_manifest
from dwcp_ml.telemetry.ingest import ingest
from dwcp_ml.telemetry.schema import KEY, arrow_schema


def stored(raw: Path) -> pd.DataFrame:
    """All rows of a raw folder in the order of its parts, text as plain text."""
    parts = sorted((raw / "telemetry").glob("part-*.parquet"))
    frame = pd.concat([pq.read_table(part).to_pandas() for part in parts], ignore_index=True)
    for name in frame.select_dtypes("category"):
        frame[name] = frame[name].astype(object)
    return frame


def expected(frame: pd.DataFrame) -> pd.DataFrame:
    """The same rows by pandas alone, in the types of the schema."""
    frame = frame.sort_values(list(KEY)).reset_index(drop=True)
    time = frame["timestamp"].dt.tz_convert("UTC")
    frame["timestamp"] = time.dt.as_unit("us")
    frame["epoch_time"] = (time - pd.Timestamp(0, tz="UTC")) // pd.Timedelta("1s")
    frame["time_of_day"] = time.dt.hour + time.dt.minute / 60 + time.dt.second / 3600
    frame["day_of_week"] = time.dt.dayofweek
    kinds = {c.name: c.type for c in SCHEMA.columns if c.type not in ("string", "timestamp")}
    return frame[[n for n in SCHEMA.names() if n in frame]].astype(kinds)


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".parquet"])
def test_a_file_with_the_schemas_columns_needs_no_entry(ingest_frame, frame, ending):
    manifest, raw = ingest_frame(frame, ending)
    pd.testing.assert_frame_equal(stored(raw), expected(frame), rtol=1e-6)
    assert (manifest.rows, manifest.series, manifest.step_s) == (600, 3, 60)
    assert (manifest.start, manifest.end) == (
        *("2025-03-01T00:00:00+00:00", "2025-03-01T03:19:00+00:00"),
    )
    assert manifest.missing_labels == manifest.absent_columns == ()
    assert read_manifest(raw) == manifest
    assert json.loads((raw / "labeled_incidents.json").read_text()) == []
    assert sorted(p.name for p in raw.iterdir()) == [
        *("labeled_incidents.json", "telemetry", "telemetry.json")
    ]


def test_the_stored_types_are_those_of_the_schema(ingest_frame, frame):
    _, raw = ingest_frame(frame, ".csv")
    assert pq.read_schema(raw / "telemetry" / "part-00000.parquet").equals(arrow_schema(SCHEMA))


def test_the_manifest_holds_the_digest_of_each_file(ingest_frame, frame, tmp_path):
    manifest, _ = ingest_frame(frame)
    assert manifest.files == {"source.parquet": sha256(tmp_path / "source.parquet")}
    assert manifest.source == "ingest"


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_shuffled_rows_over_several_files_and_buckets_become_what_pandas_makes(
    tmp_path_factory, data
):
    folder = tmp_path_factory.mktemp("files")
    frame = telemetry(nodes=data.draw(st.integers(1, 6)), steps=data.draw(st.integers(2, 40)))
    shuffled = frame.sample(frac=1, random_state=data.draw(st.integers(0, 99)))
    files = data.draw(st.integers(1, 4))
    endings = data.draw(st.lists(st.sampled_from([".csv", ".parquet"]), min_size=files))
    paths = [
        write_source(shuffled.iloc[i::files], folder / f"{i}{endings[i]}")
        for i in range(files)
        if len(shuffled.iloc[i::files])
    ]
    bucket_bytes = data.draw(st.sampled_from([4_000, 40_000, 10**9]))
    part_rows = data.draw(st.sampled_from([1, 30, 10**6]))
    column_map = write_map(folder, sort=True)
    manifest = ingest(
        paths, column_map, folder / "raw", bucket_bytes=bucket_bytes, part_rows=part_rows
    )
    pd.testing.assert_frame_equal(stored(folder / "raw"), expected(frame), rtol=1e-6)
    assert manifest.rows == len(frame)


def test_a_series_never_spans_two_parts_and_parts_follow_each_other(tmp_path):
    source = write_source(telemetry(nodes=9, steps=20), tmp_path / "a.parquet")
    ingest([source], write_map(tmp_path), tmp_path / "raw", bucket_bytes=9_000, part_rows=40)
    parts = sorted((tmp_path / "raw" / "telemetry").glob("*.parquet"))
    assert len(parts) == 5
    series = [pq.read_table(p, columns=list(KEY[:2])).to_pandas().drop_duplicates() for p in parts]
    everything = [tuple(row) for part in series for row in part.to_numpy()]
    assert everything == sorted(set(everything))
    assert len(everything) == 9


def test_own_names_units_words_constants_and_marks_of_missing_are_translated(ingest_frame, frame):
    frame = frame.rename(columns={"rtt_ms": "ping"})
    frame["ping"] /= 1000
    frame["loss in %"] = frame.pop("packet_loss") * 100
    frame["mbytes"] = frame.pop("throughput_mbps") / 8
    frame["kind"] = frame.pop("link_type").map({"dc": 0, "metro": 1, "wan": 2, "edge": 3})
    frame["celsius"] = frame["cpu_usage"] * 1.8 + 32
    frame = frame.drop(columns=["cpu_usage", "peer_id", "leader_changes"])
    frame.loc[7, "jitter_ms"] = -1
    _, raw = ingest_frame(
        frame,
        columns={
            "rtt_ms": {"from": "ping", "unit": "s"},
            "packet_loss": {"from": "loss in %", "unit": "percent"},
            "throughput_mbps": {"from": "mbytes", "unit": "MB/s"},
            "link_type": {"from": "kind", "map": {0: "dc", 1: "metro", 2: "wan", 3: "edge"}},
            "cpu_usage": {"from": "celsius", "scale": 1 / 1.8, "offset": -32 / 1.8},
            "peer_id": {"value": "gateway"},
            "leader_changes": {"value": 2},
            "jitter_ms": {"missing": [-1]},
        },
    )
    plain, found = telemetry(), stored(raw)
    for name in ("rtt_ms", "packet_loss", "throughput_mbps", "cpu_usage"):
        np.testing.assert_allclose(found[name], plain[name], rtol=1e-5)
    assert list(found["link_type"]) == list(plain["link_type"])
    assert set(found["peer_id"]) == {"gateway"}
    assert set(found["leader_changes"]) == {2}
    assert np.flatnonzero(found["jitter_ms"].isna()).tolist() == [7]


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_one_source_column_may_feed_a_name_and_a_number(ingest_frame, frame, ending):
    frame["bytes_tx"] = np.repeat([100, 200, 300], 200)
    _, raw = ingest_frame(frame, ending, columns={"cluster_id": "bytes_tx"})
    found = stored(raw)
    assert list(found["cluster_id"]) == [str(n) for n in found["bytes_tx"]]


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_words_for_a_number_and_marks_of_missing_that_are_words(ingest_frame, frame, ending):
    frame["is_anomaly"] = frame["is_anomaly"].map({0: False, 1: True})
    frame["disk_io"] = frame["disk_io"].astype(str)
    frame.loc[3, "disk_io"] = "unplugged"
    columns = {
        "is_anomaly": {"map": {True: 1, False: 0}},
        "disk_io": {"missing": ["unplugged"]},
    }
    if ending == ".csv":
        frame["is_anomaly"] = frame["is_anomaly"].astype(str).str.lower()
    _, raw = ingest_frame(frame, ending, columns=columns)
    found = stored(raw)
    assert list(found["is_anomaly"]) == list(telemetry()["is_anomaly"])
    assert np.flatnonzero(found["disk_io"].isna()).tolist() == [3]


def test_absent_inputs_hold_the_neutral_value_and_the_manifest_says_so(ingest_frame, frame):
    gone = [c.name for c in SCHEMA.columns if c.group == "amst_metrics"]
    frame = frame.drop(columns=[*gone, "region"])
    manifest, raw = ingest_frame(frame, absent=["amst_metrics", "region"])
    assert manifest.absent_columns == ("region", *gone)
    found = stored(raw)
    for name in manifest.absent_columns:
        neutral = SCHEMA.column(name).neutral
        assert set(found[name]) == {neutral if isinstance(neutral, str) else np.float32(neutral)}


def test_missing_labels_are_left_out_and_recorded(ingest_frame, frame):
    manifest, raw = ingest_frame(frame.drop(columns=["is_anomaly", "is_high_latency"]))
    assert manifest.missing_labels == ("is_anomaly", "is_high_latency")
    assert not {"is_anomaly", "is_high_latency"} & set(stored(raw))


def test_the_anomaly_label_follows_from_the_incidents(ingest_frame, frame, tmp_path):
    (tmp_path / "found.json").write_text(json.dumps([INCIDENT]))
    frame = frame.drop(columns="is_anomaly")
    manifest, raw = ingest_frame(frame, incidents="found.json")
    found = stored(raw)
    minutes = (found["timestamp"] - START) / pd.Timedelta("1min")
    inside = (found["node_id"] == "node-001") & (minutes >= 30) & (minutes < 60)
    assert list(found["is_anomaly"]) == list(inside.astype(int))
    assert inside.sum() == 30
    assert manifest.missing_labels == ()
    assert json.loads((raw / "labeled_incidents.json").read_text()) == [INCIDENT]


def test_an_anomaly_label_of_the_source_is_not_overwritten_by_incidents(
    ingest_frame, frame, tmp_path
):
    (tmp_path / "found.json").write_text(json.dumps([INCIDENT]))
    _, raw = ingest_frame(frame, incidents="found.json")
    assert list(stored(raw)["is_anomaly"]) == list(frame["is_anomaly"])


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_epoch_numbers_are_read_in_the_declared_unit(ingest_frame, frame, unit, ending):
    size = {"s": 10**9, "ms": 10**6, "us": 10**3}[unit]
    times = frame["timestamp"].copy()
    frame["timestamp"] = times.astype("int64") // size
    _, raw = ingest_frame(frame, ending, timestamp_unit=unit)
    assert list(stored(raw)["timestamp"]) == list(times)


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_naive_times_are_read_in_the_declared_zone(ingest_frame, frame, ending):
    times = frame["timestamp"].copy()
    frame["timestamp"] = times.dt.tz_convert("Asia/Tokyo").dt.tz_localize(None)
    _, raw = ingest_frame(frame, ending, timezone="Asia/Tokyo")
    assert list(stored(raw)["timestamp"]) == list(times)


def test_offsets_within_one_file_may_differ_as_each_is_a_definite_time(ingest_frame, frame):
    times = frame["timestamp"].copy()
    text = [t.tz_convert("Asia/Tokyo").isoformat() for t in times]
    text[: len(text) // 2] = [t.isoformat() for t in times[: len(text) // 2]]
    frame["timestamp"] = text
    _, raw = ingest_frame(frame, ".csv")
    assert list(stored(raw)["timestamp"]) == list(times)


def test_a_few_missing_values_stay_missing(ingest_frame, frame):
    frame.loc[:19, "rtt_ms"] = np.nan
    frame["bytes_rx"] = frame["bytes_rx"].astype("Int64")
    frame.loc[5, "bytes_rx"] = pd.NA
    frame.loc[9, "region"] = None
    _, raw = ingest_frame(frame)
    found = stored(raw)
    assert found["rtt_ms"].isna().sum() == 20
    assert found["bytes_rx"].isna().sum() == found["region"].isna().sum() == 1


def test_allowed_gaps_stay_and_sorting_is_done_on_request(ingest_frame, frame):
    kept = frame.drop(index=[50, 51, 52]).sample(frac=1, random_state=1)
    manifest, raw = ingest_frame(kept, gaps="allow", sort=True)
    assert manifest.rows == 597
    pd.testing.assert_frame_equal(stored(raw), expected(frame.drop(index=[50, 51, 52])), rtol=1e-6)


def test_a_region_called_na_is_a_region(ingest_frame, frame):
    frame["region"] = "NA"
    _, raw = ingest_frame(frame, ".csv")
    assert set(stored(raw)["region"]) == {"NA"}


def test_progress_reaches_its_total(tmp_path, frame):
    seen = []
    source = write_source(frame, tmp_path / "a.csv")
    ingest([source], write_map(tmp_path), tmp_path / "raw", tick=lambda *at: seen.append(at))
    assert seen[-1][0] == seen[-1][1]
    assert seen == sorted(seen)


def test_a_new_ingest_replaces_the_old_folder_whole(ingest_frame, frame):
    _, raw = ingest_frame(frame)
    (raw / "telemetry" / "part-99999.parquet").write_text("left over")
    ingest_frame(frame)
    assert [p.name for p in (raw / "telemetry").iterdir()] == ["part-00000.parquet"]


def test_a_plain_and_a_packed_csv_give_the_same_rows(tmp_path, frame):
    plain = write_source(frame, tmp_path / "a.csv")
    packed = tmp_path / "b.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    for path in (plain, packed):
        ingest([path], write_map(tmp_path), tmp_path / path.name[0])
    name = "telemetry/part-00000.parquet"
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
