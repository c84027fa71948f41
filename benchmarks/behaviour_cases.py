"""Cases made by hand, in the units that a client sends, with the answer that is plainly right."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwcp_ml.models.bandwidth_network import class_boundaries, reference_table

Features = NDArray[np.float32]
RATE_AND_LOSS = ("throughput_mbps", "packet_loss")
STEPS = 10
LOOKALIKE = -1  # harmless, but not plainly so

# uptime %, failures an hour, loss, retransmits a second, burn rate, round trip ms
NODES: tuple[tuple[str, int, tuple[float, ...]], ...] = (
    ("usual node, 1 ms away", 0, (99.4, 1.5, 0.0015, 12, 1.2, 1)),
    ("usual node, 36 ms away", 0, (99.4, 1.5, 0.0015, 12, 1.2, 36)),
    ("usual node, 140 ms away", 0, (99.4, 1.5, 0.0015, 12, 1.2, 140)),
    ("a better node", 0, (99.5, 1.3, 0.0013, 10, 1.0, 36)),
    ("only loss is high", 0, (99.4, 1.5, 0.0022, 12, 1.2, 36)),
    ("only the burn rate is high", 0, (99.4, 1.5, 0.0015, 12, 1.6, 36)),
    ("only uptime is low", 0, (99.1, 1.5, 0.0015, 12, 1.2, 36)),
    ("a restart", LOOKALIKE, (98.96, 2.38, 0.00155, 14.9, 1.7, 36)),
    ("a peak of load", LOOKALIKE, (99.4, 1.78, 0.0025, 18.6, 1.57, 91)),
    ("crash", 1, (98.7, 3.3, 0.0017, 17.4, 2.4, 36)),
    ("network failure", 1, (99.4, 2.04, 0.0033, 25.5, 2.0, 396)),
    ("full disk", 1, (99.26, 3.3, 0.0015, 12, 2.55, 36)),
    ("memory leak", 1, (98.9, 2.76, 0.0017, 18.8, 2.0, 324)),
)


def nodes() -> tuple[Features, NDArray[np.int64], list[str]]:
    """Rows (n, 6); 1 for a plain incident, 0 for a plain normal node; and their names."""
    names, wanted, rows = zip(*NODES, strict=True)
    return np.array(rows, np.float32), np.array(wanted), list(names)


def _links() -> tuple[Features, NDArray[np.float64], list[str]]:
    """One step of a link of each type at three shares of its reference rate: (12, 7)."""
    kinds = ("dc", "metro", "wan", "edge")
    rtts, windows, tier = (0.8, 6.0, 140.0, 31.0), (9e3, 3.2e4, 2.3e5, 1.2e4), 2
    rows, names = [], []
    for code, kind in enumerate(kinds):
        for share in (0.8, 0.4, 0.15):
            rate = share * float(reference_table()[code, tier - 1])
            rows.append([rtts[code], 0.2, rate, 0.0015, code, tier, windows[code]])
            names.append(f"{kind} link at {share:.0%} of its reference")
    table = np.array(rows)
    return table.astype(np.float32), table[:, 2], names


def steady_links() -> tuple[Features, NDArray[np.float64], list[str]]:
    """Windows (12, 10, 7) in which nothing changes, and the rate of each."""
    rows, rate, names = _links()
    return np.repeat(rows[:, None, :], STEPS, axis=1), rate, names


def steady_classes() -> NDArray[np.int64]:
    """Classes of ``steady_links``: good 0, degraded 1, bad 2."""
    good, bad = class_boundaries()
    share = np.tile([0.8, 0.4, 0.15], 4)
    return (share < good).astype(np.int64) + (share < bad)


def fallen_links() -> tuple[Features, NDArray[np.float64], list[str]]:
    """Steady links whose rate fell by half five steps ago, and the new rate."""
    windows, rate, names = steady_links()
    windows = windows.copy()
    windows[:, STEPS // 2 :, 2] /= 2
    return windows, rate / 2, names


def plain_choices() -> tuple[Features, NDArray[np.int64], NDArray[np.int64], list[str]]:
    """Rows (n, 6) of the selector, the lowest and the highest level that make sense."""
    # Mbit/s, ms, link type, ratio, hit rate, sender's rate at level 1 in Mbit/s
    table: tuple[tuple[str, int, int, tuple[float, ...]], ...] = (
        ("text over 2 Mbit/s", 6, 9, (2, 60, 3, 2.5, 0.58, 400)),
        ("very compressible over 5 Mbit/s", 6, 9, (5, 60, 3, 5.5, 0.77, 900)),
        ("text over 10 Gbit/s", 0, 0, (10_000, 1, 0, 2.5, 0.58, 400)),
        ("hardly compressible over 2 Gbit/s", 0, 0, (2000, 1, 0, 1.3, 0.24, 250)),
        ("text, a link half as fast as the sender", 1, 4, (200, 60, 2, 2.5, 0.58, 400)),
    )
    names, low, high, rows = zip(*table, strict=True)
    return np.array(rows, np.float32), np.array(low), np.array(high), list(names)


def clusters(steps: int = 920, level_ms: float = 20.0) -> tuple[Features, NDArray[Any], list[str]]:
    """Histories (n, steps, 1), and 1 where latency is plainly high in their last twenty steps."""
    rng = np.random.default_rng(5)
    t = np.arange(20)
    shapes: dict[str, tuple[int, NDArray[np.float64]]] = {
        "quiet": (0, np.ones(20)),
        "one spike of 4 x": (0, np.where(t == 11, 4.0, 1.0)),
        "two spikes of 4 x": (0, np.where(np.isin(t, (4, 15)), 4.0, 1.0)),
        "a step 5 % up": (0, np.where(t >= 6, 1.05, 1.0)),
        "latency falls to half": (0, np.where(t >= 5, 0.5, 1.0)),
        "a saw tooth of 5 %": (0, 1 + 0.05 * (t % 2)),
        "twice the noise": (0, np.exp(0.06 * rng.standard_normal(20))),
        "level shift to 2 x": (1, np.where(t >= 5, 2.0, 1.0)),
        "level shift to 3 x": (1, np.where(t >= 10, 3.0, 1.0)),
        "ramp to 2.5 x": (1, 1 + 1.5 * t / 19),
        "burst of variance": (1, np.exp(np.abs(1.0 * rng.standard_normal(20)))),
        "leader change: stall, then decay": (
            1,
            np.select([t < 5, t < 8], [1.0, 4000.0], np.exp(np.log(4) * (1 - (t - 8) / 16))),
        ),
    }
    rows = level_ms * np.exp(0.06 * rng.standard_normal((len(shapes), steps)))
    rows[:, -20:] *= np.stack([shape for _, shape in shapes.values()])
    wanted = np.array([kind for kind, _ in shapes.values()])
    return rows.astype(np.float32)[:, :, None], wanted, list(shapes)
