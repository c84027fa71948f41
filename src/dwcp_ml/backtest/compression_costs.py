"""Costs of compression levels from a table of measurements, checked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dwcp_ml.errors import BacktestError
from dwcp_ml.models.compression_network import LEVELS
from dwcp_ml.telemetry.simulator.compression import MBIT_PER_MB

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from dwcp_ml.models.base import Array

GRID_MBPS = np.logspace(0, 4, 41)  # ten a decade, from a radio link to a data centre
MEASURED = ("ratio", "compress_mb_s", "decompress_mb_s")


@dataclass(frozen=True)
class Costs:
    """One row per payload on a machine, or per draw of one.

    Attributes:
        machine, payload: (n,) names.
        ratio: (n, 10) original over compressed size; 1 at level 0, which sends as it is.
        sender_mbps: (n, 10) payload a second that the sender compresses; infinite at level 0.
        receiver_mbps: (n, 10) payload a second that the receiver restores.
        probe_ratio, probe_mbps: (n,) what a level-1 probe on the sender measured.
        repeated: the probe is a measurement of its own.
    """

    machine: NDArray[np.str_]
    payload: NDArray[np.str_]
    ratio: NDArray[np.float64]
    sender_mbps: NDArray[np.float64]
    receiver_mbps: NDArray[np.float64]
    probe_ratio: NDArray[np.float64]
    probe_mbps: NDArray[np.float64]
    repeated: bool

    def take(self, index: Array) -> Costs:
        """The rows at ``index``."""
        return replace(self, **{k: v[index] for k, v in vars(self).items() if k != "repeated"})

    def mixed(self, other: Costs, share: NDArray[np.float64]) -> Costs:
        """A stream with ``share`` (n,) of its bytes from here and the rest from ``other``.

        Compressed bytes and times add up, so that ratios and rates mix harmonically.
        """
        f = share[:, None]

        def mix(mine: Array, theirs: Array) -> Any:
            g = f if mine.ndim > 1 else share
            return 1 / (g / mine + (1 - g) / theirs)

        names = ("ratio", "sender_mbps", "receiver_mbps", "probe_ratio", "probe_mbps")
        with np.errstate(divide="ignore"):
            found = {n: mix(getattr(self, n), getattr(other, n)) for n in names}
        return replace(self, **found)

    def thinned(self, factor: NDArray[np.float64]) -> Costs:
        """A stream of which 1 / ``factor`` (n,) is this payload, the rest repeats of it.

        A compressor drops repeats at almost no cost, so ratios and rates rise by the factor. So it
        is between files: those that shrink twice as far are compressed about twice as fast.
        """
        more = np.where(np.arange(LEVELS) > 0, factor[:, None], 1.0)
        return replace(
            self,
            ratio=self.ratio * more,
            sender_mbps=self.sender_mbps * more,
            receiver_mbps=self.receiver_mbps * more,
            probe_ratio=self.probe_ratio * factor,
            probe_mbps=self.probe_mbps * factor,
        )

    def slowed(self, share: NDArray[np.float64]) -> Costs:
        """The sender with ``share`` (n,) of its processor."""
        return replace(
            self, sender_mbps=self.sender_mbps * share[:, None], probe_mbps=self.probe_mbps * share
        )

    def probed_with_error(self, ratio: Array, rate: Array) -> Costs:
        """The probe off by the factors ``ratio`` and ``rate``, (n,) each."""
        return replace(
            self, probe_ratio=self.probe_ratio * ratio, probe_mbps=self.probe_mbps * rate
        )


def gains(part: Costs, bandwidth_mbps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Throughput of each level over that of level 0, (n, 10).

    Compressing, sending and restoring run as a pipeline, so the slowest sets the pace.
    """
    ends = np.minimum(part.sender_mbps, part.receiver_mbps)
    network = bandwidth_mbps[:, None] * part.ratio
    return np.asarray(np.minimum(ends, network) / bandwidth_mbps[:, None])


def partners(part: Costs, rows: Array, rng: np.random.Generator) -> Array:
    """For each of ``rows`` a random row of the same machine, (n,)."""
    drawn = np.asarray(rows).copy()
    for machine in np.unique(part.machine):
        mine = np.flatnonzero(part.machine[rows] == machine)
        drawn[mine] = rng.choice(np.flatnonzero(part.machine == machine), size=len(mine))
    return drawn


def read_costs(table: pd.DataFrame, source: str) -> Costs:
    """Costs of every machine and payload of a table of ``read_table``.

    Repeated measurements may follow one another: the first is then the probe, and the costs
    are the median of the others.

    Raises:
        BacktestError: a level is not 1 to 9 or missing, or a value is not above 0.
    """
    level = table["level"].to_numpy(float)
    odd = np.flatnonzero(~np.isin(level, np.arange(1, LEVELS)))
    if len(odd):
        raise BacktestError(
            f"{source}: {_where(table, odd[0])}: level {level[odd[0]]:g}; levels are whole numbers "
            f"from 1 to {LEVELS - 1}, and 0 is sending as it is, which needs no measurement"
        )
    for name in MEASURED:
        values = table[name].to_numpy(float)
        odd = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
        if len(odd):
            raise BacktestError(
                f"{source}: {_where(table, odd[0])}, level {level[odd[0]]:g}: {name} is "
                f"{values[odd[0]]:g}; it must be above 0"
            )
    pairs = list(table.groupby(["machine", "payload"], sort=True))
    found = [_pair(rows, f"{source}: {_where(rows, 0)}") for _, rows in pairs]
    ratio, sender, receiver, probe_ratio, probe_rate, repeated = zip(*found, strict=True)
    names = np.array([key for key, _ in pairs], dtype=str)
    return Costs(
        machine=names[:, 0],
        payload=names[:, 1],
        ratio=np.stack(ratio),
        sender_mbps=np.stack(sender) * MBIT_PER_MB,
        receiver_mbps=np.stack(receiver) * MBIT_PER_MB,
        probe_ratio=np.array(probe_ratio),
        probe_mbps=np.array(probe_rate) * MBIT_PER_MB,
        repeated=all(repeated),
    )


def _pair(rows: pd.DataFrame, where: str) -> tuple[Array, Array, Array, float, float, bool]:
    """Ratio and both rates by level, (10,) each, the probe's ratio and rate, and if repeated."""
    columns = {name: np.full(LEVELS, np.inf) for name in MEASURED}
    columns["ratio"][0] = 1.0
    for level in range(1, LEVELS):
        mine = rows[rows["level"] == level]
        if not len(mine):
            raise BacktestError(
                f"{where}: level {level} is missing; each pair of machine and payload needs all "
                f"levels from 1 to {LEVELS - 1}"
            )
        costs = mine.iloc[1:] if len(mine) > 1 else mine
        for name in MEASURED:
            columns[name][level] = float(costs[name].median())
    first = rows[rows["level"] == 1]
    ratio, rate = (float(first[name].iloc[0]) for name in MEASURED[:2])
    by_level = (columns["ratio"], columns["compress_mb_s"], columns["decompress_mb_s"])
    return (*by_level, ratio, rate, len(first) > 1)


def _where(table: pd.DataFrame, row: int) -> str:
    machine, payload = table["machine"].iloc[row], table["payload"].iloc[row]
    return f"'{payload}' on '{machine}'"
