"""Real measurements through ingest, contract and split, by the column maps of examples/."""

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from telemetry_table import SCHEMA

from dwcp_ml.params import SplitParams
from dwcp_ml.telemetry.contract import validate
from dwcp_ml.telemetry.ingest import ingest
from dwcp_ml.telemetry.split import parts, split
from dwcp_ml.telemetry.windows import (
    SEGMENT_COLUMNS,
    read_columns,
    segments,
    window_ends,
)

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def etcd(shared, tmp_path):
    source = shared / "latency" / "etcd_v3_write_load.csv.gz"
    return source, ingest([source], EXAMPLES / "etcd" / "columns.yaml", tmp_path / "raw")


@pytest.fixture
def traffic(shared, tmp_path):
    source = shared / "nodes" / "jumpstarter_d2_services_0_7.npz"
    main = runpy.run_path(str(EXAMPLES / "traffic" / "to_csv.py"))["main"]
    main(source, tmp_path / "traffic.csv")
    column_map = EXAMPLES / "traffic" / "columns.yaml"
    return source, ingest([tmp_path / "traffic.csv"], column_map, tmp_path / "raw")


def test_etcd_latencies_come_through_unchanged(etcd, tmp_path):
    source, manifest = etcd
    frame = pd.read_csv(source)
    assert (manifest.rows, manifest.series, manifest.step_s) == (len(frame), 40, 1)
    frame = frame.sort_values(["series", "unix_ts"])
    columns = read_columns(
        tmp_path / "raw" / "telemetry", [*SEGMENT_COLUMNS, "cluster_id", "consensus_latency_ms"]
    )
    latency = frame["avg_latency_ms"].where(frame["throughput_per_s"] > 0)
    np.testing.assert_allclose(columns["consensus_latency_ms"], latency, rtol=1e-6)
    assert list(columns["timestamp"]) == list(frame["unix_ts"])
    assert list(columns.text("cluster_id", np.arange(len(frame)))) == list(frame["series"])
    assert "consensus_latency_ms" not in manifest.absent_columns
    assert set(manifest.missing_labels) == set(SCHEMA.names("label"))


def test_etcd_latencies_keep_the_contract_and_every_part_has_windows(etcd, tmp_path):
    report = validate(tmp_path / "raw", tmp_path / "reports")
    assert report.rows == 17702
    split(tmp_path / "raw", SplitParams(by="series_time"), tmp_path / "splits", gap_steps=45)
    for part in parts(tmp_path / "splits").values():
        runs = segments(read_columns(part.telemetry, SEGMENT_COLUMNS), part.step_s)
        assert len(window_ends(runs, 40, 5)) > 400


def test_traffic_becomes_megabits_a_second(traffic, tmp_path):
    source, manifest = traffic
    assert (manifest.rows, manifest.series, manifest.step_s) == (8 * (5760 + 7200), 8, 300)
    assert "throughput_mbps" not in manifest.absent_columns
    assert {"rtt_ms", "bandwidth_mbps", "link_type"} <= set(manifest.absent_columns)
    with np.load(source) as arrays:
        service = np.concatenate([arrays[f"{p}/service0"][:, 10] for p in ("train", "test")])
    columns = read_columns(tmp_path / "raw" / "telemetry", ["node_id", "throughput_mbps"])
    mbps = columns["throughput_mbps"][columns["node_id"] == 0]
    np.testing.assert_allclose(mbps, service * 8 / 300 / 1e6, rtol=1e-5, atol=1e-9)


def test_traffic_keeps_the_contract_and_is_cut_by_common_times(traffic, tmp_path):
    report = validate(tmp_path / "raw", tmp_path / "reports")
    assert report.rows == 103_680
    summary = split(tmp_path / "raw", SplitParams(), tmp_path / "splits", gap_steps=11)
    assert {part.series for part in summary.parts.values()} == {8}
    assert summary.rows_left_out == 2 * 8 * 11
