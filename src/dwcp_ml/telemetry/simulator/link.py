"""A link: load, level drops, the queue that announces them, round-trip time, loss, window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dwcp_ml.params import NetworkParams
from dwcp_ml.telemetry.simulator.fleet import Node
from dwcp_ml.telemetry.simulator.streams import Float, autoregressive, events, stream

PORT_FACTOR = 2.5  # provisioned port over committed rate
WINDOW_NOISE = 0.08  # log noise of the congestion window as a sample of the true rate


@dataclass(frozen=True)
class Link:
    """All (steps,). ``expected_next_mbps`` is what one who knows the latent state would say."""

    latent_mbps: Float
    measured_mbps: Float
    expected_next_mbps: Float
    queue: Float  # announced log depth, 0 when nothing is announced
    overflow: Float  # the same in the last step before the drop, when the buffer is full
    load: Float  # share of the port in use
    rtt_ms: Float  # without what a node incident adds
    jitter_ms: Float
    window_bytes: Float


def simulate_link(
    node: Node, hour: Float, steps_a_day: float, params: NetworkParams, seed: int, outage: Float
) -> Link:
    """Simulate one link.

    Args:
        node: its end points, committed rate and base round-trip time.
        hour: (steps,) hours since midnight UTC.
        steps_a_day: steps of one day.
        params: the processes.
        seed: of the run.
        outage: (steps,) log depth that a node incident takes from the link, unannounced.
    """
    rng = stream(seed, "link", node.index)
    steps = len(hour)
    slow = autoregressive(rng, steps, float(np.exp(-1 / params.load_tau_steps)), params.load_sd)
    daily = daily_log_load(hour + node.longitude / 15, params.daily_amplitude)
    drop, queue, overflow, coming = level_drops(rng, steps, params)
    level = np.log(0.6 * node.committed_mbps) + slow + daily - drop - outage
    port = node.committed_mbps * PORT_FACTOR
    latent = np.minimum(np.exp(level), 0.98 * port)
    noise = params.measurement_sd * rng.standard_normal(steps)
    measured = np.minimum(latent * np.exp(noise), 0.99 * port)

    next_daily = daily_log_load(
        hour + 24 / steps_a_day + node.longitude / 15, params.daily_amplitude
    )
    keep = np.exp(-1 / params.load_tau_steps)
    expected = np.exp(level + (keep - 1) * slow + next_daily - daily - coming)
    load = latent / port
    rtt = _rtt_ms(rng, node, load, queue)
    # Without load: the deviation of Skyplane's pings against their round-trip time.
    jitter = 0.15 + 0.0016 * node.base_rtt_ms + _queue_ms(node) * (0.2 * queue + 0.6 * overflow)
    jitter *= np.exp(0.15 * autoregressive(rng, steps, 0.7))
    window = latent * 1e6 / 8 * rtt / 1e3 / node.streams
    window *= np.exp(WINDOW_NOISE * rng.standard_normal(steps))
    return Link(
        latent,
        measured,
        np.minimum(expected, 0.98 * port),
        queue,
        overflow,
        load,
        rtt,
        jitter,
        np.maximum(window, 1460.0),
    )


def daily_log_load(local_hour: Float, amplitude: float) -> Float:
    """Daily cycle of log throughput: a first and a second harmonic."""
    phase = 2 * np.pi * local_hour / 24
    return np.asarray(amplitude * np.sin(phase) + 0.3 * amplitude * np.sin(2 * phase))


def level_drops(
    rng: np.random.Generator, steps: int, params: NetworkParams
) -> tuple[Float, Float, Float, Float]:
    """Level drops of log throughput: drop, announcing queue, overflow, what the next step adds.

    A drop holds for a geometric time and then recovers. A queue stands one to
    ``lead_steps_max`` steps before it, its height a noisy copy of the coming depth; in the last
    of these steps the buffer overflows and senders back off, which is the drop. All (steps,).
    """
    drop, queue, overflow = np.zeros(steps), np.zeros(steps), np.zeros(steps)
    starts = events(rng, steps, params.drop_rate)
    depths = rng.gamma(4.0, params.drop_depth / 4.0, len(starts))
    holds = rng.geometric(1 / params.drop_hold_steps, len(starts))
    leads = rng.integers(1, params.lead_steps_max + 1, len(starts))
    heights = depths * np.maximum(
        1 + params.lead_depth_error * rng.standard_normal(len(starts)), 0.1
    )
    tail = params.drop_recovery ** np.arange(1, 60)
    coming = np.zeros(steps)
    for start, depth, hold, lead, height in zip(starts, depths, holds, leads, heights, strict=True):
        end = min(start + int(hold), steps)
        drop[start:end] += depth
        after = tail[: max(0, min(len(tail), steps - end))]
        drop[end : end + len(after)] += depth * after
        queue[max(0, start - int(lead)) : start] += height
        if start > 0:
            coming[start - 1] += depth
            overflow[start - 1] += height
        # Once a drop recovers, its decay is known; that the hold ends now is not.
        coming[end : end + len(after)] += depth * after * (params.drop_recovery - 1)
    return drop, queue, overflow, coming


def _queue_ms(node: Node) -> float:
    return 0.15 * node.base_rtt_ms + 2.0


def _rtt_ms(rng: np.random.Generator, node: Node, load: Float, queue: Float) -> Float:
    """Propagation, a queue that grows with load, and the build-up before a drop."""
    noise = np.exp(0.02 * autoregressive(rng, len(load), 0.5))
    steady = node.base_rtt_ms * (1 + 0.05 * load) + 0.5 * load
    return np.asarray((steady + _queue_ms(node) * queue) * noise)


def counts(rate: Float) -> NDArray[np.int64]:
    """Round non-negative rates to whole counts."""
    return np.maximum(np.rint(rate), 0).astype(np.int64)
