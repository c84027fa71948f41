"""The contract finds each planted defect, and a check that did not run is a failure."""

import dataclasses
import json
import logging

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from telemetry_table import SCHEMA, telemetry, write_raw

from dwcp_ml.errors import ContractError, MissingColumnError, UnreadableFileError
from dwcp_ml.telemetry import frames
from dwcp_ml.telemetry.contract import validate
from dwcp_ml.telemetry.dataset import Manifest
from dwcp_ml.telemetry.expectations import (
    LAYOUT,
    ORDER,
    PAIRS,
    WHOLE,
    Expected,
    between,
    suite,
)


def failures(raw, out, **options):
    """(columns, expectation) of what failed, after the stage raised and wrote its reports."""
    with pytest.raises(ContractError) as caught:
        validate(raw, out, **options)
    assert caught.value.exit_code == 11
    report = json.loads((out / "data_quality.json").read_text())
    assert report["success"] is False
    failed = [r for r in report["results"] if not r["success"]]
    assert all(r["why"] for r in failed)
    return report, {(", ".join(r["columns"]), r["title"]): r for r in failed}


def some(*names, **facts):
    """The expectations of some frames: Great Expectations takes 5 ms for each, however few rows."""
    manifest = Manifest("simulator", SCHEMA.version, 60, 180, 3, "", "")
    written = suite(SCHEMA, dataclasses.replace(manifest, **facts))
    return [e for e in written if e.frame in names]


def test_good_telemetry_passes_and_every_expectation_written_was_evaluated(tmp_path):
    raw = write_raw(telemetry(4, 60), tmp_path / "raw", parts=3)
    report = validate(raw, tmp_path / "reports")
    told = json.loads((tmp_path / "reports" / "data_quality.json").read_text())
    assert report.success is told["success"] is True
    assert told["expectations_written"] == told["expectations_evaluated"] == len(told["results"])
    assert told["expectations_written"] > 180
    assert (told["rows"], told["parts"], told["incidents"]) == (240, 3, 1)
    by_rows = [r for r in told["results"] if r["title"].startswith("at most 5%")]
    assert {r["checked"] for r in by_rows} == {240}
    assert [c["name"] for c in told["columns"]] == list(SCHEMA.names())
    rtt = next(c for c in told["columns"] if c["name"] == "rtt_ms")
    assert 40 < rtt["least"] < rtt["mean"] < rtt["most"] < 60
    assert rtt["missing_percent"] == 0


def test_every_rule_of_the_schema_is_in_the_suite():
    manifest = Manifest("simulator", SCHEMA.version, 60, 10, 1, "", "")
    written = suite(SCHEMA, manifest)
    asked = {(e.type, e.columns) for e in written}
    for column in SCHEMA.columns:
        about = (column.name,)
        if column.required:
            assert ("expect_column_values_to_not_be_null", about) in asked
        if column.enum:
            assert ("expect_column_values_to_be_in_set", about) in asked
        if column.min is not None:
            assert ("expect_column_values_to_be_between", about) in asked
    pairs = {e.columns for e in written if "pair" in e.type}
    assert pairs == set(SCHEMA.ordered_columns)


VALUES = {
    # column: (what is planted, the rule that must find it)
    "packet_loss": (lambda f: f["packet_loss"].where(f.index != 7, 1.5), "within 0 to 1 fraction"),
    "rtt_ms": (lambda f: f["rtt_ms"].where(f.index != 7, np.inf), "within 0 to 10000 ms"),
    "optimal_compression": (lambda f: 12, "within 0 to 9 level"),
    "link_type": (
        lambda f: f["link_type"].where(f.index != 7, "tunnel"),
        "one of dc, metro, wan, edge",
    ),
    "jitter_ms": (
        lambda f: f["jitter_ms"].where(f.index >= 10),
        "at most 5% of the values are missing",
    ),
    "p50_latency_ms, p95_latency_ms": (
        lambda f: f["p95_latency_ms"] + 1,
        "p50_latency_ms is at most p95_latency_ms",
    ),
    "time_of_day, timestamp": (
        lambda f: (f["timestamp"].dt.hour + 1.0) % 24,
        "agrees with the timestamp",
    ),
}


def test_planted_values_are_each_found_by_their_rule_and_nothing_else_is_blamed(tmp_path):
    frame = telemetry(3, 60)
    planted = {name.split(",")[0]: change(frame) for name, (change, _) in VALUES.items()}
    frame = frame.assign(
        **planted, day_of_week=5, epoch_time=frame["timestamp"].astype("int64") // 10**9
    )
    raw = write_raw(frame, tmp_path / "raw")
    _, failed = failures(raw, tmp_path / "reports")
    assert set(failed) == {(name, title) for name, (_, title) in VALUES.items()}
    assert all(r["unexpected"] > 0 for r in failed.values())


UNIQUE = ("node_id, peer_id, timestamp", "no key occurs twice")
SORTED = ("node_id, peer_id, timestamp", "rows are sorted by node_id, peer_id, timestamp")
CONSTANT = ("timestamp", "each row is 60 s after the one before")
FORWARD = ("timestamp", "time runs forward by 60 s or more within a series")
ROWS = {
    "duplicate": (
        lambda f: pd.concat([f.iloc[:9], f.iloc[8:]]),
        {UNIQUE, SORTED, CONSTANT, FORWARD},
    ),
    "step that is not constant": (lambda f: f.drop(index=20), {CONSTANT}),
    "time that runs backwards": (
        lambda f: f.iloc[[*range(20), 21, 20, *range(22, 180)]],
        {SORTED, CONSTANT, FORWARD},
    ),
    "series out of order": (
        lambda f: pd.concat([f[f["node_id"] == f"node-{i:03d}"] for i in (1, 0, 2)]),
        {SORTED},
    ),
}


@pytest.mark.parametrize("defect", ROWS)
def test_rows_out_of_order_twice_or_lost_are_found(tmp_path, defect):
    change, expected = ROWS[defect]
    raw = write_raw(change(telemetry(3, 60)), tmp_path / "raw")
    _, failed = failures(raw, tmp_path / "reports", expectations=some(ORDER))
    assert set(failed) == expected
    assert all(r["unexpected"] > 0 for r in failed.values())


def test_the_report_says_where_the_step_breaks(tmp_path):
    raw = write_raw(telemetry(3, 60).drop(index=20), tmp_path / "raw")
    _, failed = failures(raw, tmp_path / "reports", expectations=some(ORDER))
    assert "1 of 176 values disagree" in failed[CONSTANT]["why"]
    place = "first at series (node-000, node-001), 2025-03-01T00:21:00+00:00"
    assert place in failed[CONSTANT]["why"]


def test_a_few_missing_values_are_within_the_contract(tmp_path):
    frame = telemetry(3, 60)
    frame.loc[:8, "rtt_ms"] = np.nan
    raw = write_raw(frame, tmp_path / "raw")
    assert validate(raw, tmp_path / "reports", expectations=some("latency_metrics")).success


def test_gaps_of_ingested_telemetry_are_within_the_contract_while_they_are_few(tmp_path):
    frame = telemetry(3, 60).drop(index=20)
    raw = write_raw(frame, tmp_path / "raw", source="ingest")
    written = some(ORDER, source="ingest")
    assert validate(raw, tmp_path / "reports", expectations=written).success


def test_counts_are_added_over_batches_and_a_series_may_span_two(tmp_path, monkeypatch):
    monkeypatch.setattr(frames, "BATCH_ROWS", 50)
    frame = telemetry(3, 60)
    frame.loc[:8, "rtt_ms"] = np.nan  # 18 % of the first batch, 5 % of all
    frame.loc[[3, 170], "packet_loss"] = 2
    raw = write_raw(frame, tmp_path / "raw", parts=2)
    written = some(ORDER, "latency_metrics", "reliability_metrics")
    report, failed = failures(raw, tmp_path / "reports", expectations=written)
    assert set(failed) == {("packet_loss", "within 0 to 1 fraction")}
    result = failed["packet_loss", "within 0 to 1 fraction"]
    assert (result["checked"], result["unexpected"], result["sample"]) == (180, 2, ["2", "2"])
    steps = next(r for r in report["results"] if r["title"].startswith("each row is 60 s"))
    assert steps["checked"] == 177  # three series have a first row


def test_parts_out_of_order_and_rows_that_the_manifest_does_not_count_are_found(tmp_path):
    raw = write_raw(telemetry(4, 60), tmp_path / "raw", parts=2)
    first, second = sorted((raw / "telemetry").iterdir())
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    written = some(ORDER, LAYOUT, WHOLE, rows=240, series=4)
    _, failed = failures(raw, tmp_path / "reports", expectations=written)
    assert set(failed) == {SORTED, (SORTED[0], "each part begins after the last one")}
    first.unlink()
    _, failed = failures(raw, tmp_path / "reports", expectations=written)
    assert {title for _, title in failed} == {
        *("as many rows as the manifest says: 240", "as many series as the manifest says: 4")
    }


def test_another_type_and_an_unknown_column_are_found(tmp_path):
    raw = write_raw(telemetry(2, 60), tmp_path / "raw")
    part = raw / "telemetry" / "part-00000.parquet"
    table = pq.read_table(part)
    place = table.schema.get_field_index("rtt_ms")
    table = table.set_column(place, "rtt_ms", table["rtt_ms"].cast("float64"))
    pq.write_table(table.append_column("colour", table["region"]), part)
    _, failed = failures(raw, tmp_path / "reports", expectations=some(LAYOUT))
    assert set(failed) == {
        ("rtt_ms", "stored as float"),
        ("", "no column that the schema does not know"),
    }


def test_an_expectation_that_raises_fails_the_contract(tmp_path):
    raw = write_raw(telemetry(2, 60).drop(columns="rtt_ms"), tmp_path / "raw")
    written = some("latency_metrics", LAYOUT)
    report, failed = failures(raw, tmp_path / "reports", expectations=written)
    assert set(failed) == {
        ("rtt_ms", "at most 5% of the values are missing"),
        ("rtt_ms", "within 0 to 10000 ms"),
        ("rtt_ms", "stored as float"),
    }
    assert failed["rtt_ms", "within 0 to 10000 ms"]["why"].startswith("raised: ")
    assert report["expectations_evaluated"] == report["expectations_written"] - 2


def test_an_expectation_that_is_dropped_fails_the_contract(tmp_path, caplog):
    raw = write_raw(telemetry(2, 60), tmp_path / "raw")
    good = between("latency_metrics", "rtt_ms", 0, 1000, columns=("rtt_ms",), title="good")
    unknown = Expected("latency_metrics", "expect_the_impossible", {}, ("rtt_ms",), "dropped")
    report, failed = failures(raw, tmp_path / "reports", expectations=[good, unknown])
    assert set(failed) == {("rtt_ms", "dropped")}
    assert failed["rtt_ms", "dropped"]["why"] == "dropped: evaluated on 0 of 1 batches"
    assert (report["expectations_written"], report["expectations_evaluated"]) == (2, 1)
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


def test_no_expectation_at_all_fails_the_contract(tmp_path):
    raw = write_raw(telemetry(2, 60), tmp_path / "raw")
    with pytest.raises(ContractError, match="none of 0 expectations was evaluated"):
        validate(raw, tmp_path / "reports", expectations=[])


def test_what_is_declared_absent_is_told_and_its_pairs_are_not_compared(tmp_path):
    frame = telemetry(2, 60).assign(throughput_mbps=300, bandwidth_mbps=250)
    frame = frame.drop(columns="is_anomaly")
    facts = {"absent_columns": ("bandwidth_mbps",), "missing_labels": ("is_anomaly",)}
    raw = write_raw(frame, tmp_path / "raw", source="ingest", **facts)
    written = some(PAIRS, "throughput_metrics", "reliability_metrics", source="ingest", **facts)
    validate(raw, tmp_path / "reports", expectations=written)
    page = (tmp_path / "reports" / "data_quality.html").read_text()
    assert "Declared absent" in page
    assert "The source has no label is_anomaly." in page


def test_the_page_shows_failures_first_and_needs_no_network(tmp_path):
    raw = write_raw(telemetry(2, 60).assign(packet_loss=2, region="<b>&</b>"), tmp_path / "raw")
    failures(raw, tmp_path / "reports", expectations=some("reliability_metrics"))
    page = (tmp_path / "reports" / "data_quality.html").read_text()
    assert page.index('<tr class="fail">') < page.index('<tr class="pass">')
    assert '<h1 class="failed">' in page
    assert not [
        mark for mark in ("http://", "https://", "<script", "src=", "@import") if mark in page
    ]


def test_the_sentence_names_columns_rule_count_and_page(tmp_path):
    raw = write_raw(telemetry(2, 60).assign(packet_loss=2), tmp_path / "raw")
    written = some("reliability_metrics")
    with pytest.raises(ContractError) as caught:
        validate(raw, tmp_path / "reports", expectations=written)
    assert f"1 of {len(written)} expectations failed: packet_loss: within 0 to 1 fraction" in str(
        caught.value
    )
    assert "120 of 120 values disagree (100.00%), for example 2;" in str(caught.value)
    assert "data_quality.html" in str(caught.value)


def test_no_telemetry_and_a_lost_key_are_told_before_any_check(tmp_path):
    with pytest.raises(UnreadableFileError, match="holds no telemetry"):
        validate(tmp_path, tmp_path / "reports")
    raw = write_raw(telemetry(2, 60), tmp_path / "raw")
    part = raw / "telemetry" / "part-00000.parquet"
    pq.write_table(pq.read_table(part).drop(["node_id"]), part)
    with pytest.raises(MissingColumnError, match="has no column 'node_id'"):
        validate(raw, tmp_path / "reports")
    part.unlink()
    with pytest.raises(UnreadableFileError, match=r"holds no part-\*\.parquet"):
        validate(raw, tmp_path / "reports")
