"""Statistics of measured beside simulated series, and the band each simulated one must keep."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import calibration_data as sets
import numpy as np
from calibration_data import Fleet, Float

from dwcp_ml.params import SimulateParams, parse, read_yaml
from dwcp_ml.telemetry.simulator.compression import cost_table

Spread = tuple[float, float, float]
Statistic = Callable[[Float], float]
Band = tuple[float, float]


@dataclass(frozen=True)
class Check:
    """One statistic of one subject; spreads are (10th percentile, median, 90th) over series.

    ``band`` is where the simulated median must lie. A figure that exists once has three equal
    numbers.
    """

    subject: str
    statistic: str
    measured: Spread
    simulated: Spread
    band: Band

    @property
    def passed(self) -> bool:
        """Whether the simulated median keeps its band."""
        return self.band[0] <= self.simulated[1] <= self.band[1]

    @property
    def inside(self) -> bool | None:
        """Whether the simulated median lies in the measured spread; None if there is none."""
        if self.measured[0] == self.measured[2]:
            return None
        return self.measured[0] <= self.simulated[1] <= self.measured[2]


def all_checks(data: Path, fleet: Fleet) -> list[Check]:
    """Every comparison of the calibration page."""
    return [
        *traffic(data, fleet),
        *consensus(data, fleet),
        *round_trips(data),
        *jitter(data, fleet),
        *health(data, fleet),
        *compression(data),
    ]


def lag1(values: Float) -> float:
    """Correlation of successive values; pairs with a NaN are left out."""
    both = np.isfinite(values[1:]) & np.isfinite(values[:-1])
    return float(np.corrcoef(values[1:][both], values[:-1][both])[0, 1])


def log_lag1(values: Float) -> float:
    """Correlation of successive logarithms."""
    return lag1(np.log(values))


def variation(values: Float) -> float:
    """Standard deviation over mean."""
    return float(np.std(values) / np.mean(values))


def quantile(share: float) -> Statistic:
    """Quantile relative to the median."""
    return lambda values: float(np.quantile(values, share) / np.median(values))


def log_deviation(values: Float) -> float:
    """Robust deviation of logarithms: 1.4826 times their median absolute deviation."""
    logs = np.log(values)
    return float(1.4826 * np.median(np.abs(logs - np.median(logs))))


def tail_weight(values: Float) -> float:
    """Width of the central 99 % over that of the central 50 %: 3.8 for a normal, 6.2 for t4."""
    q = np.nanquantile(values, [0.005, 0.25, 0.75, 0.995])
    return float((q[3] - q[0]) / (q[2] - q[1]))


def persistence_mape(values: Float) -> float:
    """Mean absolute error of "next is as now", percent of the next value."""
    return float(100 * np.mean(np.abs(np.diff(values)) / values[1:]))


def spikes_an_hour(runs: Sequence[Float], factor: float = 3.0) -> float:
    """Rises above ``factor`` times the running median that end within two steps, per 3600 steps."""
    from scipy.ndimage import median_filter

    count = 0
    for run in runs:
        high = run > factor * median_filter(run, 61, mode="nearest")
        turns = np.flatnonzero(np.diff(np.concatenate([[0], high.astype(int), [0]])))
        count += int((turns[1::2] - turns[::2] <= 2).sum())
    return 3600 * count / sum(map(len, runs))


QUANTILES: dict[str, Statistic] = {
    f"p{percent} / median": quantile(percent / 100) for percent in (5, 25, 75, 95)
}
# Three kinds of service are too few for a spread, so these bands are set by hand.
TRAFFIC_BANDS: dict[str, Band] = {
    "lag-1": (0.97, 0.998),
    "CV": (0.35, 0.5),
    "p5 / median": (0.15, 0.45),
    "p25 / median": (0.55, 0.8),
    "p75 / median": (1.1, 1.45),
    "p95 / median": (1.2, 2.1),
    "persistence MAPE, %": (2.0, 6.5),
}
TRAFFIC: dict[str, Statistic] = {
    "lag-1": lag1,
    "CV": variation,
    **QUANTILES,
    "persistence MAPE, %": persistence_mape,
}
CONSENSUS: dict[str, Statistic] = {
    "lag-1 of logs": log_lag1,
    "robust log deviation": log_deviation,
    "CV": variation,
    **QUANTILES,
}
NORMAL_TAIL = 3.8
KM_BANDS = (500, 2000, 5000, 8000, 12_000, 20_000)
RTT_BANDS_MS = (0, 10, 60, 150, 400)


def traffic(data: Path, fleet: Fleet) -> list[Check]:
    """Aggregated traffic, on our clock and on that of the measurements."""
    rate, real = fleet.telemetry["throughput_mbps"], sets.traffic(data)
    return [
        *_compare("throughput, our step", TRAFFIC, real, rate, TRAFFIC_BANDS),
        *_compare("throughput, 5-min means", TRAFFIC, real, sets.five_minutes(rate), TRAFFIC_BANDS),
    ]


def consensus(data: Path, fleet: Fleet) -> list[Check]:
    """Consensus latency without episodes; runs differ so much that their spread is the band."""
    real, made = sets.etcd_runs(data), sets.quiet_stretches(fleet)
    often = spikes_an_hour(real), spikes_an_hour(made)
    return [
        *_compare("consensus, quiet", CONSENSUS, real, made, {}),
        _single("consensus, quiet", "spikes above 3x per 3600 steps", *often, slack=2),
    ]


def round_trips(data: Path) -> list[Check]:
    """The distance model against the pairs of regions, by distance: within a quarter."""
    pairs = sets.region_times(data)
    checks = []
    for low, high in pairwise(KM_BANDS):
        rows = pairs[(pairs["km"] > low) & (pairs["km"] <= high)]
        real = spread(rows["min_rtt"].to_numpy())
        made = spread(rows["model_ms"].to_numpy())
        band = (real[1] / 1.25, real[1] * 1.25)
        checks.append(Check("RTT between regions", f"ms at {low}-{high} km", real, made, band))
    return checks


def jitter(data: Path, fleet: Fleet) -> list[Check]:
    """Quiet jitter against the deviation of pings, by round-trip time: within a factor of two."""
    mean, deviation = sets.pings(data)
    found = np.where(fleet.quiet, fleet.telemetry["jitter_ms"], np.nan)
    checks = []
    for low, high in pairwise(RTT_BANDS_MS):
        real = spread(deviation[(mean > low) & (mean <= high)])
        mine = found[(fleet.base_rtt_ms > low) & (fleet.base_rtt_ms <= high)]
        made = spread(mine[np.isfinite(mine)])
        band = (real[1] / 2, real[1] * 2)
        checks.append(Check("jitter", f"ms at {low}-{high} ms RTT", real, made, band))
    return checks


def health(data: Path, fleet: Fleet) -> list[Check]:
    """The six signals of a quiet node against real metrics less their daily pattern."""
    real = sets.node_metrics(data)
    lags, tails = spread([lag1(r) for r in real]), spread([tail_weight(r) for r in real])
    checks = []
    for name in sets.HEALTH:
        blocks = sets.five_minutes(np.where(fleet.quiet, fleet.telemetry[name], np.nan))
        lag, tail = spread([lag1(b) for b in blocks]), spread([tail_weight(b) for b in blocks])
        checks += [
            Check(name, "lag-1 of 5-min means", lags, lag, (lags[0], lags[2])),
            Check(name, "tail weight of 5-min means", tails, tail, (NORMAL_TAIL, tails[2])),
        ]
    return checks


def compression(data: Path) -> list[Check]:
    """Shape and noise of the zlib table that the simulator uses against zstd."""
    zstd, table = sets.zstd_measured(data), cost_table()
    ratio = zstd.pivot_table(index="payload", columns="level", values="ratio").to_numpy()
    speed = zstd.pivot_table(index="payload", columns="level", values="comp_MBps").to_numpy()
    ours = table.rate_mbps
    params = parse(SimulateParams, read_yaml(sets.ROOT / "params.yaml")["simulate"], "params.yaml")
    rows = {
        "ratio at level 1": (ratio[:, 0], table.ratio[:, 1]),
        "ratio at level 9 / level 1": (
            ratio[:, 8] / ratio[:, 0],
            table.ratio[:, 9] / table.ratio[:, 1],
        ),
        "speed at level 1 / level 9": (
            speed[:, 0] / speed[:, 8],
            (ours[:, :, 1] / ours[:, :, 9]).ravel(),
        ),
    }
    error = (sets.timing_error(data), params.compression.rate_noise)
    return [
        *(_by_spread("compression", name, *pair) for name, pair in rows.items()),
        _single("compression", "log error of one timing", *error, slack=2),
    ]


def spread(values: Sequence[float] | Float) -> Spread:
    """(10th percentile, median, 90th percentile)."""
    low, mid, high = np.quantile(np.asarray(values), [0.1, 0.5, 0.9])
    return float(low), float(mid), float(high)


def _compare(
    subject: str,
    statistics: Mapping[str, Statistic],
    real: Sequence[Float],
    made: Sequence[Float] | Float,
    bands: Mapping[str, Band],
) -> list[Check]:
    """One check a statistic; without a band of its own the measured spread is the band."""
    checks = []
    for name, of in statistics.items():
        measured = spread([of(v) for v in real])
        band = bands.get(name, (measured[0], measured[2]))
        checks.append(Check(subject, name, measured, spread([of(v) for v in made]), band))
    return checks


def _by_spread(subject: str, statistic: str, real: Float, made: Float) -> Check:
    measured = spread(real)
    return Check(subject, statistic, measured, spread(made), (measured[0], measured[2]))


def _single(subject: str, statistic: str, real: float, made: float, slack: float) -> Check:
    return Check(subject, statistic, (real,) * 3, (made,) * 3, (real / slack, real * slack))
