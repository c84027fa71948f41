"""Bad input: one clear sentence, its own exit code, and nothing written."""

import gzip
import json

import numpy as np
import pandas as pd
import pytest
from telemetry_table import INCIDENT, SCHEMA, telemetry, write_map, write_source

from dwcp_ml.errors import (
    DwcpError,
    GapError,
    MissingColumnError,
    MissingValuesError,
    OutOfRangeError,
    ParamsError,
    RowOrderError,
    TimeZoneError,
    UnreadableFileError,
)
from dwcp_ml.telemetry.incidents import read_incidents
from dwcp_ml.telemetry.ingest import ingest


def drop(*names):
    return lambda f: f.drop(columns=list(names))


def times(change):
    return lambda f: f.assign(timestamp=change(f["timestamp"]))


def at(row, name, value):
    def spoil(f):
        f = f.copy()
        if isinstance(value, str):
            f[name] = f[name].astype(str)
        f.loc[row, name] = value
        return f

    return spoil


def naive(stamps):
    return stamps.dt.tz_localize(None)


def half_naive(stamps):
    text = [t.isoformat() for t in stamps]
    return [t if i % 2 else t.removesuffix("+00:00") for i, t in enumerate(text)]


def clock_change(stamps):
    start = pd.Timestamp("2025-10-26T00:00:00")
    return [start + pd.Timedelta(minutes=i % 200) for i in range(len(stamps))]


CASES = {
    # what is wrong: (how the table is spoiled, column map, error, what the sentence says)
    "misspelt column": (
        lambda f: f.rename(columns={"rtt_ms": "rt_ms"}),
        {},
        MissingColumnError,
        r"lacks 1 column: rtt_ms \(did you mean 'rt_ms'\?\)\. Map each under columns, or list",
    ),
    "several columns missing": (
        drop("rtt_ms", "jitter_ms", "node_id"),
        {},
        MissingColumnError,
        r"lacks 3 columns: node_id .*, rtt_ms .*, jitter_ms",
    ),
    "mapped column missing": (
        lambda f: f.rename(columns={"rtt_ms": "ping_ms"}),
        {"columns": {"rtt_ms": "pingms"}},
        MissingColumnError,
        r"rtt_ms \(mapped from 'pingms'\) \(did you mean 'ping_ms'\?\)",
    ),
    "absent but there": (
        None,
        {"absent": ["rtt_ms"]},
        ParamsError,
        "has the column 'rtt_ms'; remo",
    ),
    "words where numbers are needed": (
        at(77, "rtt_ms", "fast"),
        {},
        MissingColumnError,
        r"column 'rtt_ms'.*(fast|numbers are needed).*'map'",
    ),
    "fractions where whole numbers are needed": (
        lambda f: f.assign(quorum_size=f["quorum_size"] + 0.5),
        {},
        MissingColumnError,
        r"whole numbers are needed in 'quorum_size' \(600 values\)",
    ),
    "percent for a fraction": (
        lambda f: f.assign(packet_loss=np.linspace(0, 40, 600)),
        {},
        OutOfRangeError,
        r"'packet_loss': 5\d\d of 600 values are outside 0 to 1 fraction, the worst is 40; "
        "it looks like percent: map it with unit: percent",
    ),
    "microseconds for milliseconds": (
        lambda f: f.assign(rtt_ms=f["rtt_ms"] * 1000),
        {},
        OutOfRangeError,
        "it looks like us: map it with unit: us",
    ),
    "two columns out of range": (
        lambda f: f.assign(packet_loss=2.5, error_rate=-0.25),
        {},
        OutOfRangeError,
        r"'packet_loss'.*worst is 2\.5.*'error_rate'.*worst is -0\.25",
    ),
    "infinite": (at(3, "rtt_ms", np.inf), {}, OutOfRangeError, "1 of 600 values.*worst is inf"),
    "a mark of missing": (
        at(3, "rtt_ms", -1),
        {},
        OutOfRangeError,
        r"if -1 means 'not measured', say missing: \[-1\]",
    ),
    "too large for its type": (
        lambda f: f.assign(compression_level=1000),
        {},
        OutOfRangeError,
        "'compression_level': 600 of 600 values are outside 0 to 9 level, the worst is 1000",
    ),
    "unknown word": (
        at(3, "link_type", "WAN"),
        {},
        OutOfRangeError,
        r"column 'link_type' holds 1 unknown words such as 'WAN'.*takes dc, metro, .*'map'",
    ),
    "unsorted": (
        lambda f: f.iloc[::-1],
        {},
        RowOrderError,
        r"time runs backwards in series \(node-000, node-001\) at .*sort: true",
    ),
    "duplicated": (
        lambda f: pd.concat([f.iloc[:9], f.iloc[8:]]),
        {},
        RowOrderError,
        r"series \(node-000, node-001\) at 2025-03-01T00:08:00\+00:00 occurs twice",
    ),
    "duplicated and sorted on request": (
        lambda f: pd.concat([f, f.iloc[8:9]]),
        {"sort": True},
        RowOrderError,
        "occurs twice",
    ),
    "a gap": (
        lambda f: f.drop(index=[50, 51]),
        {},
        GapError,
        r"series \(node-000, node-001\) at 2025-03-01T00:49:00\+00:00 is followed by a gap of 180 s"
        ".*gaps: allow",
    ),
    "another step": (None, {"step_s": 30}, GapError, "mostly 60 s apart, but step_s is 30"),
    "a row between two steps": (
        times(lambda t: t.where(t.index != 20, t - pd.Timedelta("10s"))),
        {"gaps": "allow"},
        GapError,
        "is followed by a row 50 s later, where the step is 60 s; resample",
    ),
    "more gaps than steps should be": (
        lambda f: f[f.index % 10 != 5],
        {"gaps": "allow"},
        GapError,
        r"60 of 537 steps are gaps, more than 5%",
    ),
    "too many missing": (
        lambda f: f.assign(rtt_ms=f["rtt_ms"].where(f.index >= 31)),
        {},
        MissingValuesError,
        r"more than 5% of the values are missing in 'rtt_ms' 5\.2% \(31 of 600 rows\)",
    ),
    "too many missing words": (
        lambda f: f.assign(link_type=f["link_type"].where(f.index >= 40)),
        {},
        MissingValuesError,
        r"'link_type' 6\.7%",
    ),
    "no node": (at(5, "node_id", ""), {}, MissingValuesError, "'node_id' has 1 empty values"),
    "no time": (at(5, "timestamp", pd.NaT), {}, MissingValuesError, "empty timestamps"),
    "naive times": (times(naive), {}, TimeZoneError, "has no time zone; say in the column map"),
    "mixed times": (times(half_naive), {}, TimeZoneError, "mixes times with and without"),
    "mixed times with a declared zone": (
        times(half_naive),
        {"timezone": "UTC"},
        TimeZoneError,
        "mixes times with and without",
    ),
    "clocks change": (
        times(clock_change),
        {"timezone": "Europe/Berlin"},
        TimeZoneError,
        "clocks change in that hour: export UTC",
    ),
    "numbers without a unit": (
        times(lambda t: t.astype("int64") // 10**9),
        {},
        ParamsError,
        r"holds numbers such as 1740787200.*timestamp_unit: s, ms or us",
    ),
    "milliseconds as seconds": (
        times(lambda t: t.astype("int64") // 10**6),
        {"timestamp_unit": "s"},
        OutOfRangeError,
        "in s is no time between 1970 and 2100; check timestamp_unit",
    ),
    "no time at all": (
        times(lambda t: ["noon"] * len(t)),
        {},
        MissingColumnError,
        "'noon'.*write ISO 8601",
    ),
}


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
@pytest.mark.parametrize("wrong", CASES)
def test_spoiled_rows_are_refused_in_one_sentence(ingest_frame, frame, tmp_path, wrong, ending):
    spoil, column_map, error, sentence = CASES[wrong]
    with pytest.raises(DwcpError, match=sentence) as caught:
        ingest_frame(spoil(frame) if spoil else frame, ending, **column_map)
    assert type(caught.value) is error
    assert "\n" not in str(caught.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["columns.yaml", f"source{ending}"]


def test_every_kind_of_failure_has_its_own_exit_code():
    kinds = DwcpError.__subclasses__()
    assert len({kind.exit_code for kind in kinds}) == len(kinds)


def truncated(data: bytes) -> bytes:
    return data[: len(data) // 2]


def csv(text: str):
    return lambda _: text.encode()


FILES = {
    # name: (bytes from those of a good file of that format, what the sentence says)
    "empty.csv": (lambda _: b"", "the file is empty"),
    "empty.parquet": (lambda _: b"", "the file is empty"),
    "header.csv": (lambda data: data.splitlines(keepends=True)[0], "column names but no rows"),
    "truncated.parquet": (truncated, "the Parquet file is truncated: its end is missing"),
    "damaged.parquet": (
        lambda data: data[:5000] + bytes(4000) + data[9000:],
        "the Parquet file is damaged",
    ),
    "text.parquet": (lambda _: b"timestamp,node_id\n1,2\n" * 9, "is not Parquet"),
    "truncated.csv.gz": (lambda data: truncated(gzip.compress(data)), "is truncated"),
    "plain.csv.gz": (lambda data: data, "is not readable CSV"),
    "ragged.csv": (lambda data: data + b"1,2,3\n", "Row #602: Expected 60 columns, got 3"),
    "latin.csv": (
        lambda data: data.replace(b"eu-1", b"Z\xfcrich", 1),
        r"is not readable CSV: .*invalid UTF8",
    ),
    "semicolons.csv": (
        lambda data: data.replace(b",", b";"),
        "separated by ';'; write them with c",
    ),
    "twice.csv": (csv("rtt_ms,rtt_ms\n1,2\n"), "two columns have the name 'rtt_ms'"),
    "table.xlsx": (lambda _: b"PK", r"must end in one of .csv, .csv.gz, .parquet, .pq"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_cannot_be_read_says_why(tmp_path, frame, name):
    change, sentence = FILES[name]
    good = write_source(frame, tmp_path / ("a.parquet" if "parquet" in name else "a.csv"))
    (tmp_path / name).write_bytes(change(good.read_bytes()))
    with pytest.raises(UnreadableFileError, match=sentence) as caught:
        ingest([tmp_path / name], write_map(tmp_path), tmp_path / "raw")
    assert name in str(caught.value)
    assert not (tmp_path / "raw").exists()
    assert not list(tmp_path.glob(".*"))


def test_a_file_that_is_not_there_and_a_folder_are_told_apart(tmp_path):
    column_map = write_map(tmp_path)
    with pytest.raises(UnreadableFileError, match="there is no such file"):
        ingest([tmp_path / "none.csv"], column_map, tmp_path / "raw")
    with pytest.raises(UnreadableFileError, match="is a folder; name its files"):
        ingest([tmp_path], column_map, tmp_path / "raw")
    with pytest.raises(UnreadableFileError, match="no file was named"):
        ingest([], column_map, tmp_path / "raw")


def test_an_empty_parquet_file_has_no_rows(tmp_path, frame):
    source = write_source(frame.iloc[:0], tmp_path / "a.parquet")
    with pytest.raises(UnreadableFileError, match="column names but no rows"):
        ingest([source], write_map(tmp_path), tmp_path / "raw")


def test_files_with_and_without_a_time_zone_do_not_mix(tmp_path, frame):
    one = write_source(frame.iloc[:200], tmp_path / "a.csv")
    other = write_source(
        frame.iloc[200:].assign(timestamp=lambda f: naive(f["timestamp"])), tmp_path / "b.csv"
    )
    with pytest.raises(TimeZoneError, match="between files"):
        ingest([one, other], write_map(tmp_path, timezone="UTC"), tmp_path / "raw")


def test_files_of_one_series_in_the_wrong_order_are_refused_unless_sorted(tmp_path):
    frame = telemetry(1, 50)
    files = [
        write_source(frame.iloc[25:], tmp_path / "a.csv"),
        write_source(frame.iloc[:25], tmp_path / "b.csv"),
    ]
    with pytest.raises(RowOrderError, match="give the files in the order of time"):
        ingest(files, write_map(tmp_path), tmp_path / "raw")
    assert ingest(files[::-1], write_map(tmp_path), tmp_path / "raw").rows == 50
    assert ingest(files, write_map(tmp_path, sort=True), tmp_path / "raw").rows == 50


def test_the_same_file_twice_is_a_duplicate_of_every_row(tmp_path, frame):
    source = write_source(frame, tmp_path / "a.csv")
    with pytest.raises(RowOrderError):
        ingest([source, source], write_map(tmp_path, sort=True), tmp_path / "raw")


def test_a_failed_ingest_leaves_the_old_telemetry_alone(ingest_frame, frame):
    manifest, raw = ingest_frame(frame)
    with pytest.raises(OutOfRangeError):
        ingest_frame(frame.assign(packet_loss=2))
    assert json.loads((raw / "telemetry.json").read_text())["rows"] == manifest.rows


INCIDENTS = {
    "not JSON": ("[{", UnreadableFileError, "is not JSON"),
    "no list": ({"a": 1}, UnreadableFileError, "must hold a list"),
    "no object": ([3], UnreadableFileError, "incident 0 is not an object"),
    "lacks a key": ([{**INCIDENT, "node_id": None}], MissingColumnError, "incident 0 lacks 'node_"),
    "type": ([{**INCIDENT, "type": "crush"}], OutOfRangeError, "'crush' .*did you mean 'crash'"),
    "severity": ([{**INCIDENT, "severity": "hi"}], OutOfRangeError, "severity 'hi' is none of"),
    "naive": ([{**INCIDENT, "end": "2025-03-01T01:00:00"}], TimeZoneError, "end .*no time zone"),
    "no time": ([{**INCIDENT, "start": "noon"}], TimeZoneError, "start 'noon' is not ISO 8601"),
    "ends before": (
        [{**INCIDENT, "end": INCIDENT["start"]}],
        OutOfRangeError,
        "end .* is not after start",
    ),
    "id twice": ([INCIDENT, INCIDENT], OutOfRangeError, "incident_id 'inc-1' occurs twice"),
}


@pytest.mark.parametrize("wrong", INCIDENTS)
def test_a_wrong_incident_is_told_with_its_number(tmp_path, wrong):
    content, error, sentence = INCIDENTS[wrong]
    path = tmp_path / "labeled_incidents.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(error, match=sentence) as caught:
        read_incidents(path, SCHEMA)
    assert str(path) in str(caught.value)


def test_incidents_of_other_nodes_only_are_refused_with_the_nearest_node(
    ingest_frame, frame, tmp_path
):
    (tmp_path / "found.json").write_text(json.dumps([{**INCIDENT, "node_id": "node-1"}]))
    with pytest.raises(ParamsError, match=r"for example 'node-1'; did you mean 'node-001'\?"):
        ingest_frame(frame, incidents="found.json")
