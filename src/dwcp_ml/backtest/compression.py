"""Backtest of the compression selector on measured costs of compression levels.

A table says what each level costs; it holds no link. So each payload on each machine is sent
over a grid of bandwidths, and the model sees what DWCP's sender would: the bandwidth and a
level-1 probe of the payload on that machine. Test payloads are in no training row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dwcp_ml import metrics as m
from dwcp_ml.backtest import compression_costs as costs
from dwcp_ml.backtest.compression_costs import GRID_MBPS, Costs, gains, read_costs
from dwcp_ml.backtest.task import By, Prepared
from dwcp_ml.errors import BacktestError
from dwcp_ml.models.base import Array, Examples, GateRule, Metric, Outputs, Predictor
from dwcp_ml.models.compression_metrics import regret_pct
from dwcp_ml.models.compression_rivals import choose
from dwcp_ml.telemetry.simulator.streams import stream

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from dwcp_ml.models.compression_selector import CompressionParams

FOLDS = 3
TRAIN_ROWS, VALIDATION_ROWS = 30_000, 8_000  # drawn
# Few rows and no noise in their labels: dropout would only blur the edges between two levels.
BATCH, EPOCHS, DROPOUT = 256, 20, 0.0
CPU_SHARE = (0.2, 1.0)  # of a sender that does other work too, as the simulator draws it
PURE = 0.5  # share of training rows whose payload is one file and not a mixture of two
REPEATS = 8.0  # most times that a training row's payload is repeated
RATIO_NOISE, RATE_NOISE = 0.02, 0.025  # of a probe in training, as the simulator draws it
NEAR = 0.05  # a level within this of the best is as good
RTT_MS, WAN = 20.0, 2.0  # no table holds them: constants, so that they tell nothing
ZSTD_LEVEL = 3  # zstd's own default


class CompressionTask:
    """Measured zlib or zstd levels, payloads apart."""

    name = "compression"
    title = "Compression level of payloads never seen"
    model = "compression_selector"
    needs = ("machine", "payload", "level", "ratio", "compress_mb_s", "decompress_mb_s")
    optional: tuple[str, ...] = ()
    shown = ("mean_regret_pct", "contested_regret_pct", "clear_agreement", "throughput_gain_pct")

    def prepare(
        self, table: pd.DataFrame, by: By, section: CompressionParams, source: str
    ) -> Prepared:
        """The last of the ``folds``."""
        return self.folds(table, by, section, source)[-1]

    def folds(
        self, table: pd.DataFrame, by: By, section: CompressionParams, source: str
    ) -> tuple[Prepared, ...]:
        """Three ways to cut the payloads; each payload is in one test part.

        Raises:
            BacktestError: ``by`` is "time"; fewer than three payloads; a level that is missing or
                not 1 to 9; a ratio or rate that is not above 0; one level is always the best.
        """
        if by == "time":
            raise BacktestError(
                f"{source}: costs of compression levels have no time to split by; use --by entity, "
                "which keeps payloads apart"
            )
        found = read_costs(table, source)
        names = np.unique(found.payload)
        if len(names) < FOLDS:
            word = "one payload only" if len(names) == 1 else f"{len(names)} payloads only"
            raise BacktestError(
                f"{source}: {word}; training and test need payloads apart, so give at least {FOLDS}"
            )
        _refuse_one_best(found, source)
        return tuple(_fold(found, names, k, section) for k in range(FOLDS))


def _fold(found: Costs, names: NDArray[np.str_], fold: int, section: CompressionParams) -> Prepared:
    """Every third payload by name is the test part.

    Validation draws other rows of the training payloads: a payload or two of its own would stop
    the training by chance.
    """
    tested = np.isin(found.payload, names[fold::FOLDS])
    train, test = found.take(~tested), found.take(tested)
    margin = section.clear_margin
    drawn = [
        _drawn(train, min(limit, most), stream(section.seed, f"backtest {where}", fold), margin)
        for limit, most, where in (
            (TRAIN_ROWS, section.train_rows, "train"),
            (VALIDATION_ROWS, section.validation_rows, "validation"),
        )
    ]
    fitted = section.model_copy(
        update={
            "batch_size": min(section.batch_size, BATCH),
            "epochs": min(section.epochs, EPOCHS),
            "dropout": DROPOUT,
        }
    )
    rivals: dict[str, Predictor] = {
        "zstd_default": lambda e: choose(np.full(len(e), ZSTD_LEVEL)),
        "nearest_payload": lambda e: choose(_nearest(train, e)),
    }
    return Prepared(
        drawn[0], drawn[1], _grid(test, margin), fitted, RULES, rivals, METRICS, _notes(found, test)
    )


def _grid(part: Costs, margin: float) -> Examples:
    """Every pair at every bandwidth of the grid, its probe as measured."""
    row = np.repeat(np.arange(len(part.payload)), len(GRID_MBPS))
    return _examples(part.take(row), np.tile(GRID_MBPS, len(part.payload)), margin)


def _drawn(part: Costs, count: int, rng: np.random.Generator, margin: float) -> Examples:
    """Draws of a stream, processor share, bandwidth and error of the probe.

    Half of the streams mix two payloads and half hold repeats, whose costs follow from the
    measured ones (``Costs.mixed``, ``Costs.thinned``). They fill the space between a few payloads
    and beyond the most compressible one, where a network would otherwise guess.
    """
    first = rng.integers(len(part.payload), size=count)
    other = costs.partners(part, first, rng)
    share = np.where(rng.random(count) < PURE, 1.0, rng.random(count))
    low, high = CPU_SHARE
    mixed = part.take(first).mixed(part.take(other), share).slowed(rng.uniform(low, high, count))
    repeats = np.where(rng.random(count) < PURE, 1.0, REPEATS ** rng.random(count))
    noisy = mixed.thinned(repeats).probed_with_error(
        np.exp(RATIO_NOISE * rng.standard_normal(count)),
        np.exp(RATE_NOISE * rng.standard_normal(count)),
    )
    low, high = np.log(GRID_MBPS[0]), np.log(GRID_MBPS[-1])
    return _examples(noisy, np.exp(rng.uniform(low, high, count)), margin)


def _examples(part: Costs, bandwidth_mbps: Array, margin: float) -> Examples:
    """What the sender sees at each row, (n, 6), and what each level would gain there."""
    log_gain = np.log(gains(part, bandwidth_mbps))
    top = np.sort(log_gain, axis=1)[:, -2:]
    ratio, count = part.probe_ratio, len(bandwidth_mbps)
    features = np.column_stack(
        [
            bandwidth_mbps,
            np.full(count, RTT_MS),
            np.full(count, WAN),
            ratio,
            np.clip(0.9 - 0.9 / ratio, 0, 1),
            part.probe_mbps,
        ]
    )
    decade = np.floor(np.log10(bandwidth_mbps) + 1e-9).astype(int)
    spans = np.array(["1-10", "10-100", "100-1000", "1000-10000", "1000-10000"])
    return Examples(
        features.astype(np.float32),
        {
            "level": log_gain.argmax(axis=1),
            "log_gain": log_gain,
            "clear": np.exp(top[:, 0] - top[:, 1]) < 1 - margin,
        },
        np.unique(part.payload, return_inverse=True)[1],
        np.zeros(count, np.int64),
        {"payload": part.payload, "machine": part.machine, "mbps": spans[np.clip(decade, 0, 4)]},
    )


def _nearest(train: Costs, examples: Examples) -> Array:
    """Best level if the payload cost what the training payload of the nearest probe does."""
    ratio, rate = (examples.features[:, k].astype(float) for k in (3, 5))
    level = np.zeros(len(ratio), np.int64)
    for mine in np.unique(ratio):
        rows = ratio == mine
        nearest = np.abs(np.log(train.probe_ratio / mine)).argmin()
        like = train.take(np.full(rows.sum(), nearest)).slowed(
            rate[rows] / train.probe_mbps[nearest]
        )
        level[rows] = gains(like, examples.features[rows, 0].astype(float)).argmax(axis=1)
    return level


def _contested(examples: Examples, outputs: Outputs) -> m.Score:
    gain = examples.targets["log_gain"]
    ends = np.maximum(gain[:, 0], gain[:, -1])
    return m.where(
        ends < gain.max(axis=1) + np.log(1 - NEAR), m.mean(regret_pct(examples, outputs))
    )


def _refuse_one_best(found: Costs, source: str) -> None:
    row = np.repeat(np.arange(len(found.payload)), len(GRID_MBPS))
    gain = gains(found.take(row), np.tile(GRID_MBPS, len(found.payload)))
    best = np.flatnonzero((gain >= gain.max(axis=1, keepdims=True) * (1 - 1e-9)).all(axis=0))
    if len(best):
        raise BacktestError(
            f"{source}: level {best[0]} is the best at every bandwidth from {GRID_MBPS[0]:g} to "
            f"{GRID_MBPS[-1]:g} Mbit/s, so there is nothing to choose"
        )


def _notes(found: Costs, test: Costs) -> tuple[str, ...]:
    probe = (
        "The probe is the first of the repeated measurements, costs are the median of the others."
        if found.repeated
        else "Each cost was measured once, so the probe is exact."
    )
    return (
        f"Bandwidths: {len(GRID_MBPS)} from {GRID_MBPS[0]:g} to {GRID_MBPS[-1]:g} Mbit/s, equally "
        "far apart in their logarithm; the contested rows are those where neither level 0 nor "
        f"level 9 comes within {NEAR:.0%} of the best.",
        f"Test: {', '.join(np.unique(test.payload))}; intervals come from resampling these.",
        probe + " Round-trip time and link type are constants, and the hit rate follows the "
        "probe's ratio, because the table does not hold them.",
    )


METRICS = (
    Metric(
        "contested_regret_pct",
        "%",
        "lower",
        m.prepared(_contested),
        "Mean regret where neither end of the levels will do",
    ),
)
RULES = (
    GateRule("regret", "mean_regret_pct", 2.0, "max", headline=True),
    *(
        GateRule(f"regret_below_{who}", "mean_regret_pct", 0.0, "min", against=who)
        for who in (
            "best_fixed",
            "zlib_default",
            "tree_depth_4",
            "random_forest",
            "nearest_payload",
        )
    ),
)
TASK = CompressionTask()
