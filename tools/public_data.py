"""Write data/public from the measurements in ../shared/data, in the formats of `dwcp backtest`.

    python tools/public_data.py SHARED_DATA data/public     what may be copied (see its NOTICE)
    python tools/public_data.py --single-flow SHARED_DATA OUT     traces that stay where they are

Values are rounded to four significant digits, those of services.csv.gz to three.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

START_S = 1_577_836_800  # JumpStarter has no times: its first row is put at 2020-01-01
SERVICES, SERVICE_STEP_S = 8, 300
MINUTE_S = 60
TRAFFIC = {10: "bytes", 11: "count1", 12: "count2", 13: "count3"}  # unnamed; see NOTICE
SINGLE_FLOW = {"hsdpa_3g_norway": 1.0, "oboe": 3.5, "fcc_and_hsdpa": 5.0}  # step, s


def rounded(values: np.ndarray, digits: int = 4) -> np.ndarray:
    """That many significant digits."""
    return np.array([float(f"{v:.{digits}g}") for v in np.ravel(values)]).reshape(values.shape)


def write(table: pd.DataFrame, path: Path) -> None:
    """CSV, compressed without a time stamp: the same rows give the same bytes."""
    table.to_csv(path, index=False, compression={"method": "gzip", "mtime": 0, "compresslevel": 9})
    print(f"{path}: {len(table):,} rows, {path.stat().st_size:,} bytes")


def service(shared: Path, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Metrics (steps, 19) of one JumpStarter service and the labels of its last 7,200 steps."""
    with np.load(shared / "nodes/jumpstarter_d2_services_0_7.npz") as arrays:
        parts = [arrays[f"{period}/service{number}"] for period in ("train", "test")]
        return np.concatenate(parts), arrays[f"test_label/service{number}"]


def aggregated_traffic(shared: Path) -> pd.DataFrame:
    """Traffic of eight services: the byte count as Mbit/s, the three counts as they are."""
    tables = []
    for number in range(SERVICES):
        values, _ = service(shared, number)
        time = START_S + SERVICE_STEP_S * np.arange(len(values))
        for column, kind in TRAFFIC.items():
            factor = 8 / SERVICE_STEP_S / 1e6 if kind == "bytes" else 1 / SERVICE_STEP_S
            rate = rounded(values[:, column] * factor)
            name = f"service{number}-{kind}"
            tables.append(pd.DataFrame({"link_id": name, "timestamp": time,
                                        "throughput_mbps": rate}))  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def single_flow(shared: Path, name: str, step_s: float) -> pd.DataFrame:
    """Traces of one flow each, averaged over steps of equal length; a step without a row ends one.

    Rows of these sets come at uneven times, so that a row stands for the step it falls into.
    """
    table = pd.read_csv(shared / f"throughput/{name}.csv.gz")
    step = (table["t_s"] // step_s).astype(int)
    mean = table.groupby([table["trace"].astype(str), step])["mbps"].mean().reset_index()
    return pd.DataFrame({"link_id": mean["trace"], "timestamp": mean["t_s"] * step_s,
                         "throughput_mbps": mean["mbps"]})  # fmt: skip


def services(shared: Path) -> pd.DataFrame:
    """Every metric of the eight services; is_anomaly is empty where the set has no labels."""
    tables = []
    for number in range(SERVICES):
        values, label = service(shared, number)
        names = [f"metric_{i:02}" for i in range(values.shape[1])]
        table = pd.DataFrame(rounded(values, 3), columns=names)
        table.insert(0, "entity_id", f"service{number}")
        table.insert(1, "timestamp", START_S + SERVICE_STEP_S * np.arange(len(values)))
        labels = label.ravel().astype(int).tolist()
        table["is_anomaly"] = pd.array([None] * (len(values) - len(labels)) + labels, "Int64")
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def donut(shared: Path) -> pd.DataFrame:
    """The CPU series."""
    table = pd.read_csv(shared / "nodes/donut_cpu4.csv.gz").rename(columns={"label": "is_anomaly"})
    table["value"] = rounded(table["value"].to_numpy())
    table.insert(0, "entity_id", "cpu4")
    return table


def etcd(shared: Path) -> pd.DataFrame:
    """Write latency of etcd.

    A second without a commit (throughput 0, or no row for up to a minute within a run) is a stall:
    its latency is the age of a proposal that waits since the last commit. The second that ends a
    stall belongs to it, because its latencies hold the waiting.
    """
    tables = []
    for name, run in pd.read_csv(shared / "latency/etcd_v3_write_load.csv.gz").groupby("series"):
        run = _every_second(run.set_index("unix_ts").sort_index())
        idle = ~(run["throughput_per_s"] > 0).to_numpy()
        second = run.index.to_numpy()
        last = pd.Series(np.where(idle, np.nan, second.astype(float))).ffill().to_numpy()
        latency = np.where(idle, 1000 * (second - last), run["avg_latency_ms"])
        after = np.append(False, idle[:-1]) & ~idle
        tables.append(pd.DataFrame({
            "cluster_id": name, "timestamp": second,
            "consensus_latency_ms": rounded(latency),
            "is_high_latency": (idle | after).astype(int),
        }))  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def _every_second(run: pd.DataFrame) -> pd.DataFrame:
    """With empty rows where up to a minute was left out: nothing was committed then."""
    gap = np.diff(run.index, append=run.index[-1])
    lost = [time + k for time, g in zip(run.index, gap, strict=True) if 1 < g <= MINUTE_S
            for k in range(1, g)]  # fmt: skip
    return run.reindex(run.index.union(pd.Index(lost, dtype="int64")))


def compression(shared: Path) -> dict[str, pd.DataFrame]:
    """Zlib of six machines, and zstd of one with its two repeats one after the other."""
    zlib = pd.read_csv(shared / "compression/zlib_levels_x86.csv.gz").rename(
        columns={
            "compress_mbytes_per_s": "compress_mb_s",
            "decompress_mbytes_per_s": "decompress_mb_s",
        }
    )
    zstd = pd.read_csv(shared / "compression/zstd_levels_measured.csv.gz").rename(
        columns={"comp_MBps": "compress_mb_s", "decomp_MBps": "decompress_mb_s"}
    )
    zstd = zstd.assign(machine="shared-2-core").sort_values(["payload", "rep", "level"])
    columns = ["machine", "payload", "level", "ratio", "compress_mb_s", "decompress_mb_s"]
    tables = {"zlib": zlib[columns].copy(), "zstd": zstd[columns].copy()}
    for table in tables.values():
        for name in columns[3:]:
            table[name] = rounded(table[name].to_numpy())
    return tables


def main(arguments: list[str]) -> None:
    """See the module."""
    traces = "--single-flow" in arguments
    folders = [Path(a) for a in arguments if not a.startswith("--")]
    if len(folders) != 2:
        sys.exit(__doc__)
    shared, out = folders
    out.mkdir(parents=True, exist_ok=True)
    if traces:
        tables = {name: single_flow(shared, name, step) for name, step in SINGLE_FLOW.items()}
    else:
        tables = {
            "traffic": aggregated_traffic(shared),
            "services": services(shared),
            "donut": donut(shared),
            "etcd": etcd(shared),
            **compression(shared),
        }
    for name, table in tables.items():
        write(table, out / f"{name}.csv.gz")


if __name__ == "__main__":
    main(sys.argv[1:])
