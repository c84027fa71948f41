"""The raw folder that the simulator writes: whole, deterministic, within the contract, flat."""

import json
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dwcp_ml.params import SimulateParams
from dwcp_ml.telemetry import schema_doc
from dwcp_ml.telemetry.dataset import INCIDENTS, part_files, read_manifest
from dwcp_ml.telemetry.schema import SERIES, arrow_schema, load_schema
from dwcp_ml.telemetry.simulator import simulate
from dwcp_ml.telemetry.simulator.parts import MANTISSA_BITS

SCHEMA = load_schema()
NODES, STEPS = 8, 1500
PAGE = Path(__file__).parents[2] / "docs" / "schema.md"
SIMULATE = """
import resource, sys
from pathlib import Path
from dwcp_ml.params import SimulateParams
from dwcp_ml.telemetry.simulator import simulate
out, nodes, steps = sys.argv[1:]
simulate(SimulateParams(nodes=int(nodes), steps=int(steps), nodes_per_part=2), Path(out))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def fleet(**changes) -> SimulateParams:
    return SimulateParams(**{"nodes": NODES, "steps": STEPS, "nodes_per_part": 3, **changes})


def table(raw: Path, kind: str = "telemetry") -> pa.Table:
    return pa.concat_tables(pq.read_table(f) for f in part_files(raw, kind)).unify_dictionaries()


def plain(raw: Path, kind: str = "telemetry") -> dict[str, list]:
    """Columns as Python values, which do not depend on parts or dictionaries."""
    return table(raw, kind).to_pydict()


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("fleet") / "raw"
    simulate(fleet(), out)
    return out


@pytest.fixture(scope="module")
def rows(raw) -> pa.Table:
    return table(raw)


def test_same_seed_gives_the_same_content_whatever_the_part_size(raw, tmp_path):
    simulate(fleet(nodes_per_part=8), tmp_path / "one")
    assert (len(part_files(raw)), len(part_files(tmp_path / "one"))) == (3, 1)
    for kind in ("telemetry", "truth"):
        assert plain(raw, kind) == plain(tmp_path / "one", kind)
    incidents = [(folder / INCIDENTS).read_bytes() for folder in (raw, tmp_path / "one")]
    assert incidents[0] == incidents[1]


def test_same_seed_gives_the_same_bytes(raw, tmp_path):
    simulate(fleet(), tmp_path / "again")
    files = sorted(p.relative_to(raw) for p in raw.rglob("*") if p.is_file())
    assert files == sorted(
        p.relative_to(tmp_path / "again") for p in (tmp_path / "again").rglob("*") if p.is_file()
    )
    assert all((raw / f).read_bytes() == (tmp_path / "again" / f).read_bytes() for f in files)


def test_another_seed_gives_other_rows(rows, tmp_path):
    simulate(fleet(), tmp_path / "other", seed=7)
    other = table(tmp_path / "other")
    assert read_manifest(tmp_path / "other").seed == 7
    for name in ("throughput_mbps", "rtt_ms", "uptime_pct", "consensus_latency_ms"):
        same = rows[name].to_numpy() == other[name].to_numpy()
        assert same.mean() < 0.05, name
    assert other["node_id"].to_pylist() == rows["node_id"].to_pylist()


def test_rows_and_series_are_complete_sorted_and_said_in_the_manifest(raw, rows):
    manifest = read_manifest(raw)
    assert (manifest.rows, manifest.series) == (NODES * STEPS, NODES) == (len(rows), NODES)
    keys = list(zip(*(rows[name].to_pylist() for name in (*SERIES, "timestamp")), strict=True))
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)
    assert (manifest.start, manifest.end) == (keys[0][2].isoformat(), keys[-1][2].isoformat())


def test_timestamps_are_utc_with_a_constant_step(rows):
    assert rows.schema.field("timestamp").type == pa.timestamp("us", tz="UTC")
    seconds = rows["timestamp"].cast(pa.int64()).to_numpy().reshape(NODES, STEPS) // 10**6
    assert (np.diff(seconds, axis=1) == 60).all()
    assert (seconds == seconds[0]).all()
    assert (rows["epoch_time"].to_numpy().reshape(NODES, STEPS) == seconds).all()
    first = rows["timestamp"][0].as_py()
    assert first.utcoffset().total_seconds() == 0
    assert rows["day_of_week"][0].as_py() == first.weekday()
    assert rows["time_of_day"][90].as_py() == pytest.approx(1.5, rel=2.0**-MANTISSA_BITS)


def test_a_start_in_another_zone_is_the_same_instant(raw, rows, tmp_path):
    start = datetime.fromisoformat("2025-01-06T02:00:00+02:00")
    manifest = simulate(fleet(start=start), tmp_path / "raw")
    assert manifest.start == read_manifest(raw).start
    assert table(tmp_path / "raw")["rtt_ms"].equals(rows["rtt_ms"])


def test_every_column_has_its_arrow_type(rows):
    assert len(SCHEMA.columns) == 63
    assert rows.schema.remove_metadata() == arrow_schema(SCHEMA)


def test_no_value_is_missing_or_not_finite(raw, rows):
    for found in (rows, table(raw, "truth")):
        for name in found.column_names:
            assert found[name].null_count == 0, name
            if pa.types.is_floating(found.schema.field(name).type):
                assert np.isfinite(found[name].to_numpy()).all(), name


@pytest.mark.parametrize("column", SCHEMA.columns, ids=lambda c: c.name)
def test_values_lie_in_the_range_of_the_schema(rows, column):
    values = rows[column.name]
    if column.enum:
        assert set(values.unique().to_pylist()) <= set(column.enum)
    elif column.min is not None and column.max is not None:
        found = values.to_numpy()
        assert found.min() >= column.min
        assert found.max() <= column.max


def test_rules_across_columns_hold_after_rounding(rows):
    for low, high in SCHEMA.ordered_columns:
        assert (rows[low].to_numpy() <= rows[high].to_numpy()).all(), (low, high)


def test_truth_is_row_aligned(raw, rows):
    truth = table(raw, "truth")
    for name in (*SERIES, "timestamp"):
        assert truth[name].to_pylist() == rows[name].to_pylist()
    full = truth["incident_phase"].to_numpy() == 2
    assert ((rows["is_anomaly"].to_numpy() == 1) == full).all()
    assert ((np.array(truth["incident_type"].to_pylist()) != "none") == full).all()


def test_incidents_are_the_anomalous_rows(raw, rows):
    incidents = json.loads((raw / INCIDENTS).read_text())
    assert incidents
    node, at = np.array(rows["node_id"].to_pylist()), rows["epoch_time"].to_numpy()
    covered = np.zeros(len(rows), bool)
    for incident in incidents:
        assert set(incident) == set(SCHEMA.incident.required)
        assert incident["type"] in SCHEMA.incident.type
        assert incident["severity"] in SCHEMA.incident.severity
        start, end = (datetime.fromisoformat(incident[k]).timestamp() for k in ("start", "end"))
        mine = (node == incident["node_id"]) & (at >= start) & (at < end)
        assert mine.sum() == (end - start) / 60
        assert not covered[mine].any(), "incidents overlap"
        covered |= mine
    assert (covered == (rows["is_anomaly"].to_numpy() == 1)).all()
    assert len({i["incident_id"] for i in incidents}) == len(incidents)


def test_progress_is_told_node_by_node(tmp_path):
    told = []
    simulate(
        fleet(steps=100), tmp_path / "raw", tick=lambda done, total: told.append((done, total))
    )
    assert told == [(i + 1, NODES) for i in range(NODES)]


def test_memory_stays_flat_as_nodes_grow(tmp_path):
    peak_kb = [int(run(tmp_path / str(n), n, 20_000).stdout) for n in (4, 16)]
    assert peak_kb[1] < 1.05 * peak_kb[0], peak_kb


def test_a_killed_run_leaves_the_old_folder_whole(tmp_path):
    out = tmp_path / "raw"
    simulate(fleet(steps=100), out)
    before = plain(out)
    interrupted(out, signal.SIGKILL)
    assert plain(out) == before
    assert read_manifest(out).rows == NODES * 100


def test_an_interrupted_run_leaves_nothing(tmp_path):
    interrupted(tmp_path / "raw", signal.SIGINT)
    assert list(tmp_path.iterdir()) == []


def run(out: Path, nodes: int, steps: int) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", SIMULATE, str(out), str(nodes), str(steps)]
    return subprocess.run(command, capture_output=True, text=True, check=True)


def interrupted(out: Path, how: signal.Signals) -> None:
    """Start a run far too long to end and stop it once its first part lies on disk."""
    command = [sys.executable, "-c", SIMULATE, str(out), "500", "20000"]
    process = subprocess.Popen(
        command,
        stderr=subprocess.DEVNULL,
        # Where a shell started the tests in the background, children ignore SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while not list(out.parent.glob(".*/telemetry/part-00001.parquet")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(how)
    assert process.wait(60) != 0


def test_the_schema_page_is_up_to_date():
    assert PAGE.read_text() == schema_doc.markdown(SCHEMA), f"run: {schema_doc.COMMAND}"
