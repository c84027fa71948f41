"""What a compression level costs and gains: payloads, senders and the offline oracle."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from dwcp_ml.params import CompressionParams
from dwcp_ml.telemetry.simulator.fleet import Node
from dwcp_ml.telemetry.simulator.streams import Float, autoregressive, events, stream

LEVELS = 10
MBIT_PER_MB = 8.0


@dataclass(frozen=True)
class CostTable:
    """Measured zlib costs: ratio (payload, level) and rate_mbps (machine, payload, level).

    Level 0 sends the payload as it is: ratio 1, no processor limit.
    """

    machines: tuple[str, ...]
    payloads: tuple[str, ...]
    ratio: Float
    rate_mbps: Float


@cache
def cost_table() -> CostTable:
    """Read the measured table that comes with the package (see tables/NOTICE)."""
    text = (files(__package__) / "tables" / "zlib_levels.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    machines = tuple(sorted({r["machine"] for r in rows}))
    payloads = tuple(sorted({r["payload"] for r in rows}))
    ratio = np.ones((len(payloads), LEVELS))
    rate = np.full((len(machines), len(payloads), LEVELS), np.inf)
    for row in rows:
        m, p, level = (
            machines.index(row["machine"]),
            payloads.index(row["payload"]),
            int(row["level"]),
        )
        ratio[p, level] = float(row["ratio"])
        rate[m, p, level] = float(row["compress_mb_s"]) * MBIT_PER_MB
    return CostTable(machines, payloads, ratio, rate)


def gains(
    machine: NDArray[np.int_], payload: NDArray[np.int_], cpu_share: Float, bandwidth_mbps: Float
) -> Float:
    """Throughput of each level over that of level 0, (n, 10).

    Compression and sending run as a pipeline, so the slower of the two sets the pace:
    rate = min(cpu_share * compress_rate, bandwidth * ratio).
    """
    table = cost_table()
    sender = cpu_share[:, None] * table.rate_mbps[machine, payload]
    network = bandwidth_mbps[:, None] * table.ratio[payload]
    return np.asarray(np.minimum(sender, network) / bandwidth_mbps[:, None])


@dataclass(frozen=True)
class Compression:
    """All (steps,) but ``best``'s inputs; the probe runs at level 1 on the sender."""

    payload: NDArray[np.int8]
    cpu_share: Float
    probe_ratio: Float
    probe_rate_mbps: Float
    delta_hit_rate: Float
    best: NDArray[np.int8]  # the oracle's level for the next step's latent bandwidth


def simulate_compression(
    node: Node, next_latent_mbps: Float, params: CompressionParams, seed: int
) -> Compression:
    """Simulate payloads and the probe of one link, and ask the oracle."""
    rng = stream(seed, "compression", node.index)
    steps, table = len(next_latent_mbps), cost_table()
    payload = _payloads(rng, steps, params.payload_steps, len(table.payloads))
    low, high = params.cpu_share
    wave = autoregressive(rng, steps, 0.98)
    cpu = low + (high - low) / (1 + np.exp(-1.5 * wave))
    ratio = table.ratio[payload, 1] * np.exp(params.ratio_noise * rng.standard_normal(steps))
    rate = cpu * table.rate_mbps[node.machine, payload, 1]
    rate = rate * np.exp(params.rate_noise * rng.standard_normal(steps))
    hits = np.clip(
        0.9 - 0.9 / table.ratio[payload, 6] + 0.04 * rng.standard_normal(steps), 0.0, 1.0
    )
    best = gains(np.full(steps, node.machine), payload, cpu, next_latent_mbps).argmax(axis=1)
    return Compression(payload.astype(np.int8), cpu, ratio, rate, hits, best.astype(np.int8))


def _payloads(
    rng: np.random.Generator, steps: int, mean_steps: float, kinds: int
) -> NDArray[np.int64]:
    """Piecewise constant payload kind, (steps,)."""
    change = events(rng, steps, 1 / mean_steps)
    drawn = rng.integers(kinds, size=len(change) + 1)
    return drawn[np.searchsorted(change, np.arange(steps), side="right")]
