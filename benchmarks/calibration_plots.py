"""Pictures of the calibration page: measured in grey, simulated in blue."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import calibration_checks as checks
import calibration_data as sets
import numpy as np
from calibration_data import Fleet, Float

from dwcp_ml.files import whole_file
from dwcp_ml.telemetry.simulator.compression import cost_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MEASURED, SIMULATED = "0.45", "tab:blue"
SHARES = np.linspace(0.01, 0.99, 99)


def draw(data: Path, fleet: Fleet, folder: Path) -> None:
    """Write calibration_*.png into ``folder``."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    pictures = {
        "throughput": _throughput(data, fleet),
        "consensus": _consensus(data, fleet),
        "rtt": _round_trips(data, fleet),
        "health": _health(data, fleet),
        "compression": _compression(data),
    }
    for name, figure in pictures.items():
        with whole_file(folder / f"calibration_{name}.png") as draft:
            figure.savefig(draft, format="png", dpi=80, pil_kwargs={"optimize": True})


def _panels(number: int) -> tuple[Figure, Sequence[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.4), layout="constrained")
    return figure, [figure.add_subplot(1, number, i + 1) for i in range(number)]


def _throughput(data: Path, fleet: Fleet) -> Figure:
    """Three days of each, and the distribution of all series relative to their median."""
    figure, (course, shape) = _panels(2)
    real = sets.traffic(data)
    made = sets.five_minutes(fleet.telemetry["throughput_mbps"])
    days = np.arange(3 * sets.DAY) / sets.DAY
    for values, colour, name in (
        (real[0], MEASURED, "service 0, bytes in 5 min"),
        (real[4], "0.7", "service 4, bytes in 5 min"),
        (made[2], SIMULATED, "simulated link, Mbit/s"),
    ):
        course.plot(days, values[: len(days)] / np.median(values), color=colour, lw=0.9, label=name)
    course.set(xlabel="days", ylabel="over the median", title="Three days", ylim=(0, 3))
    course.legend(frameon=False, fontsize=8)
    _quantiles(shape, list(made[::2]), SIMULATED, "simulated links")
    _quantiles(shape, real, MEASURED, "measured services")
    shape.set(xlabel="quantile", ylabel="over the median", title="Distribution", ylim=(0, 3))
    shape.legend(frameon=False, fontsize=8)
    return figure


def _quantiles(axes: Axes, series: Sequence[Float], colour: str, label: str) -> None:
    curves = np.array([np.quantile(v, SHARES) / np.median(v) for v in series])
    axes.plot(SHARES, curves.T, color=colour, lw=0.6, alpha=0.5)
    axes.plot(SHARES, np.median(curves, axis=0), color=colour, lw=2, label=label)


def _consensus(data: Path, fleet: Fleet) -> Figure:
    """A stretch of each, and what each run or stretch is like."""
    figure, (course, cloud) = _panels(2)
    real, made = sets.etcd_runs(data), sets.quiet_stretches(fleet)
    run = min(
        (r for r in real if len(r) >= sets.STRETCH), key=lambda r: abs(checks.variation(r) - 0.1)
    )
    step = np.arange(sets.STRETCH)
    for values, colour, name, above in (
        (run, MEASURED, "etcd run, 1 s a step", 0.0),
        (made[0], SIMULATED, "simulated group, 1 min a step", 0.8),
    ):
        course.plot(
            step, values[: len(step)] / np.median(values) + above, color=colour, lw=0.9, label=name
        )
    course.set(
        xlabel="step", ylabel="over the median (one raised by 0.8)", title="Without episodes"
    )
    course.legend(frameon=False, fontsize=8)
    for runs, colour, name in (
        (made[::5], SIMULATED, "simulated stretch"),
        (real, MEASURED, "etcd run"),
    ):
        spread = [checks.log_deviation(r) for r in runs]
        memory = [checks.log_lag1(r) for r in runs]
        cloud.scatter(spread, memory, s=14, color=colour, alpha=0.6, lw=0, label=name)
    cloud.set(
        xlabel="robust log deviation",
        ylabel="lag-1 of logs",
        title="Runs and stretches",
        xscale="log",
    )
    cloud.set_xticks([0.01, 0.03, 0.1, 0.3], ["0.01", "0.03", "0.1", "0.3"])
    cloud.minorticks_off()
    cloud.legend(frameon=False, fontsize=8)
    return figure


def _round_trips(data: Path, fleet: Fleet) -> Figure:
    """The distance model against pairs of regions, and jitter against round-trip time."""
    figure, (model, spread) = _panels(2)
    pairs = sets.region_times(data).iloc[::4]
    model.scatter(pairs["model_ms"], pairs["min_rtt"], s=6, color=MEASURED, alpha=0.35, lw=0)
    model.plot([8, 450], [8, 450], color=SIMULATED, lw=1.5, label="measured = model")
    model.set(xscale="log", yscale="log", xlabel="distance model, ms", ylabel="Skyplane, ms")
    model.set_title("Round trips between cloud regions")
    model.legend(frameon=False, fontsize=8)
    mean, deviation = sets.pings(data)
    spread.scatter(
        mean[::3], deviation[::3], s=6, color=MEASURED, alpha=0.35, lw=0, label="Skyplane"
    )
    jitter = np.where(fleet.quiet, fleet.telemetry["jitter_ms"], np.nan)
    middle = np.nanmedian(jitter, axis=1)
    low, high = np.nanquantile(jitter, [0.1, 0.9], axis=1)
    bars = np.array([middle - low, high - middle])
    spread.errorbar(
        fleet.base_rtt_ms,
        middle,
        bars,
        fmt="o",
        ms=3,
        lw=1,
        color=SIMULATED,
        label="simulated links",
    )
    spread.set(xscale="log", yscale="log", ylim=(0.03, 4), xlabel="RTT, ms", ylabel="jitter, ms")
    spread.set_title("Jitter of a quiet link")
    spread.legend(frameon=False, fontsize=8)
    return figure


def _health(data: Path, fleet: Fleet) -> Figure:
    """Tails and memory of quiet signals beside those of real metrics."""
    figure, (tails, cloud) = _panels(2)
    real = sets.node_metrics(data)
    made = {
        name: sets.five_minutes(np.where(fleet.quiet, fleet.telemetry[name], np.nan))
        for name in sets.HEALTH
    }
    for values, colour, name in (
        (real, MEASURED, "measured metrics"),
        ([v for blocks in made.values() for v in blocks[::6]], SIMULATED, "simulated signals"),
    ):
        curves = np.array([_standard_quantiles(v) for v in values])
        low, mid, high = np.quantile(curves, [0.1, 0.5, 0.9], axis=0)
        tails.fill_between(SHARES, low, high, color=colour, alpha=0.25, lw=0)
        tails.plot(SHARES, mid, color=colour, lw=1.8, label=name)
    tails.set(xlabel="quantile", ylabel="deviation over quartile width", ylim=(-5, 5))
    tails.set_title("Distribution, 10th to 90th percentile of series")
    tails.legend(frameon=False, fontsize=8)
    cloud.scatter(
        [checks.lag1(v) for v in real],
        [checks.tail_weight(v) for v in real],
        s=14,
        color=MEASURED,
        alpha=0.6,
        lw=0,
        label="measured metric",
    )
    for (name, blocks), mark in zip(made.items(), "o^vsDP", strict=True):
        at = [np.median([of(b) for b in blocks]) for of in (checks.lag1, checks.tail_weight)]
        cloud.scatter(*at, s=40, marker=mark, color=SIMULATED, label=name)
    cloud.set(yscale="log", ylim=(3, 100), xlabel="lag-1 of 5-min values", ylabel="tail weight")
    cloud.legend(frameon=False, fontsize=8)
    return figure


def _standard_quantiles(values: Float) -> Float:
    q = np.nanquantile(values, [0.25, 0.5, 0.75])
    return np.asarray((np.nanquantile(values, SHARES) - q[1]) / (q[2] - q[0]))


def _compression(data: Path) -> Figure:
    """Ratio and speed by level: zlib as simulated, zstd as measured for comparison."""
    figure, (ratio, speed) = _panels(2)
    zstd, table, level = sets.zstd_measured(data), cost_table(), np.arange(1, 10)
    for axes, column, ours in (
        (ratio, "ratio", table.ratio[:, 1:]),
        (speed, "comp_MBps", table.rate_mbps[:, :, 1:].reshape(-1, 9) / 8),
    ):
        real = zstd.pivot_table(index="payload", columns="level", values=column).to_numpy()
        for rows, colour, name in (
            (real, MEASURED, "zstd"),
            (ours, SIMULATED, "zlib, as simulated"),
        ):
            axes.plot(level, rows.T, color=colour, lw=0.6, alpha=0.5)
            axes.plot(level, np.median(rows, axis=0), color=colour, lw=2, label=name)
        axes.set(yscale="log", xlabel="level")
        axes.legend(frameon=False, fontsize=8)
    ratio.set(ylabel="original / compressed", title="Ratio")
    speed.set(ylabel="MB/s", title="Speed")
    return figure
