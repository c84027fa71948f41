"""Series to compare: measured ones from the public sets, simulated ones from a small fleet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dwcp_ml.params import SimulateParams, parse, read_yaml
from dwcp_ml.telemetry.simulator import simulate
from dwcp_ml.telemetry.simulator.fleet import FIBRE_KM_PER_MS, path_rtt_ms
from dwcp_ml.telemetry.windows import read_columns

if TYPE_CHECKING:
    import pandas as pd

Float = NDArray[np.float64]
ROOT = Path(__file__).parents[1]
REGIONS = Path(__file__).with_name("cloud_regions.csv")
HEALTH = (
    "uptime_pct",
    "failure_rate",
    "packet_loss",
    "retransmits",
    "error_budget_burn_rate",
    "rtt_ms",
)
NODES, STEPS = 48, 8640
BLOCK = 5  # our steps in one step of the JumpStarter and donut sets
DAY = 288  # their steps in a day
STRETCH = 200  # steps of a quiet consensus stretch, the typical length of an etcd run
TRAFFIC = 10  # column of a JumpStarter service that holds bytes of traffic


def traffic(data: Path) -> list[Float]:
    """Traffic per 5-min step of eight JumpStarter services, training parts, (5760,) each."""
    sets = np.load(data / "nodes" / "jumpstarter_d2_services_0_7.npz")
    return [sets[f"train/service{i}"][:, TRAFFIC].astype(float) for i in range(8)]


def etcd_runs(data: Path) -> list[Float]:
    """Write latency in ms per second of every etcd run, less stalls and five seconds each end.

    A series is cut where seconds are missing; pieces shorter than 70 s are left out.
    """
    frame = _csv(data / "latency" / "etcd_v3_write_load.csv.gz")
    runs = []
    for _, rows in frame.groupby("series", sort=True):
        cuts = 1 + np.flatnonzero(np.diff(rows["unix_ts"]) > 1)
        working = np.where(rows["throughput_per_s"] > 0, rows["avg_latency_ms"], np.nan)
        pieces = [piece[np.isfinite(piece)] for piece in np.split(working, cuts)]
        runs += [piece[5:-5] for piece in pieces if len(piece) >= 70]
    return runs


def region_times(data: Path) -> pd.DataFrame:
    """Skyplane's round-trip times with ``model_ms``, where light in fibre could have done it.

    A few rows answer faster than light crosses the distance: something nearer answered for the
    far end. They are left out, and so are pairs closer than 500 km.
    """
    frame = _csv(data / "throughput" / "skyplane_latency.csv.gz")
    at = {r.region: (r.region, r.latitude, r.longitude) for r in _csv(REGIONS).itertuples()}
    pairs = zip(frame["src_region"], frame["dst_region"], strict=True)
    places = [(at[a], at[b]) for a, b in pairs]
    frame["km"] = [_km(a, b) for a, b in places]
    frame["model_ms"] = [path_rtt_ms(a, b) for a, b in places]
    possible = frame["min_rtt"] >= 2 * frame["km"] / FIBRE_KM_PER_MS
    return frame[possible & (frame["km"] > 500)]


def pings(data: Path) -> tuple[Float, Float]:
    """Mean and deviation of Skyplane's pings in ms, where the deviation was recorded."""
    frame = _csv(data / "throughput" / "skyplane_latency.csv.gz").dropna(subset=["mdev_rtt"])
    return frame["avg_rtt"].to_numpy(), frame["mdev_rtt"].to_numpy()


def zlib_measured(data: Path) -> pd.DataFrame:
    """The whole zlib table: payload, size_bytes, machine, level, ratio, compress_mbytes_per_s."""
    return _csv(data / "compression" / "zlib_levels_x86.csv.gz")


def zstd_measured(data: Path) -> pd.DataFrame:
    """The zstd table: payload, rep, level, ratio, comp_MBps."""
    return _csv(data / "compression" / "zstd_levels_measured.csv.gz")


def timing_error(data: Path) -> float:
    """Log deviation of one timing, robust, from zstd's two repeats of every case."""
    table = zstd_measured(data).pivot_table(
        index=["payload", "level"], columns="rep", values="comp_MBps"
    )
    apart = np.abs(np.log(table[0] / table[1]))
    return float(1.4826 * apart.median() / np.sqrt(2))


def node_metrics(data: Path) -> list[Float]:
    """Every metric of every JumpStarter service and donut's CPU, less their daily pattern."""
    sets = np.load(data / "nodes" / "jumpstarter_d2_services_0_7.npz")
    columns = [c for i in range(8) for c in sets[f"train/service{i}"].astype(float).T]
    columns.append(_csv(data / "nodes" / "donut_cpu4.csv.gz")["value"].to_numpy(float))
    rests = [without_daily_pattern(c) for c in columns if c.std() > 0]
    return [r for r in rests if np.ptp(np.quantile(r, [0.25, 0.75])) > 0]


def without_daily_pattern(values: Float) -> Float:
    """Subtract the median of the time of day, then a running median of one day."""
    from scipy.ndimage import median_filter

    pattern = np.median(values[: len(values) // DAY * DAY].reshape(-1, DAY), axis=0)
    rest = values - np.resize(pattern, len(values))
    return np.asarray(rest - median_filter(rest, DAY, mode="nearest"))


@dataclass(frozen=True)
class Fleet:
    """Simulated series, all (nodes, steps).

    ``quiet`` holds where neither an incident, its lookalike, a queue nor an episode acts.
    """

    telemetry: dict[str, Float]
    quiet: NDArray[np.bool_]
    no_episode: NDArray[np.bool_]
    base_rtt_ms: Float


def simulated(folder: Path) -> Fleet:
    """Simulate the fleet of params.yaml, but smaller, into ``folder`` and read it."""
    section = read_yaml(ROOT / "params.yaml").get("simulate", {})
    params = parse(SimulateParams, {**section, "nodes": NODES, "steps": STEPS}, "params.yaml")
    simulate(params, folder)
    names = ("throughput_mbps", "consensus_latency_ms", "jitter_ms", *HEALTH)
    rows = read_columns(folder / "telemetry", names)
    state = ("incident_phase", "lookalike", "announced_depth", "consensus_effect")
    truth = read_columns(folder / "truth", state)

    def shaped(values: NDArray[np.generic]) -> Float:
        return np.asarray(values, float).reshape(NODES, STEPS)

    no_episode = shaped(truth["consensus_effect"]) == 1
    calm = [shaped(truth[name]) == 0 for name in state[:3]]
    quiet = np.all([*calm, no_episode], axis=0)
    telemetry = {name: shaped(rows[name]) for name in names}
    rtt = np.where(quiet, telemetry["rtt_ms"], np.nan)
    return Fleet(telemetry, quiet, no_episode, np.nanmedian(rtt, axis=1))


def five_minutes(values: Float) -> Float:
    """Means of blocks of five steps, (..., steps // 5); NaN in a block makes it NaN."""
    return values.reshape(*values.shape[:-1], -1, BLOCK).mean(axis=-1)


def quiet_stretches(fleet: Fleet) -> list[Float]:
    """Consensus latency in stretches of ``STRETCH`` steps without an episode."""
    latency = fleet.telemetry["consensus_latency_ms"]
    cut = latency.shape[1] // STRETCH * STRETCH
    stretches = latency[:, :cut].reshape(-1, STRETCH)
    calm = fleet.no_episode[:, :cut].reshape(-1, STRETCH).all(axis=1)
    return list(stretches[calm])


def _km(a: tuple[str, float, float], b: tuple[str, float, float]) -> float:
    """Great-circle distance by the haversine formula."""
    la, lo, lb, mo = np.radians([a[1], a[2], b[1], b[2]])
    half = np.sin((lb - la) / 2) ** 2 + np.cos(la) * np.cos(lb) * np.sin((mo - lo) / 2) ** 2
    return float(2 * 6371 * np.arcsin(np.sqrt(half)))


def _csv(path: Path) -> pd.DataFrame:
    import pandas as pd

    return pd.read_csv(path)
