"""Consensus latency of one group: quorum time, disk, noise, normal spikes and episodes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dwcp_ml.params import ConsensusParams
from dwcp_ml.telemetry.simulator.fleet import Node
from dwcp_ml.telemetry.simulator.incidents import Incident
from dwcp_ml.telemetry.simulator.streams import Float, autoregressive, events, stream

EPISODES = ("none", "leader_change", "level_shift", "ramp", "variance_burst")
# Mean and deviation over fleets of log(quorum round trip + fsync), ms.
LOG_WORK = (2.84, 1.45)
HIGH = 1.5  # an episode counts where it multiplies latency by this much


@dataclass(frozen=True)
class Consensus:
    """All (steps,). ``base_ms`` is the latency without noise, spikes and episodes."""

    latency_ms: Float
    base_ms: Float
    effect: Float  # factor that episodes put on the latency, 1 outside
    episode: NDArray[np.int8]  # index into EPISODES
    spike: NDArray[np.bool_]
    leader_changes: NDArray[np.int16]


def simulate_consensus(
    node: Node,
    steps: int,
    step_s: int,
    params: ConsensusParams,
    incidents: tuple[Incident, ...],
    seed: int,
) -> Consensus:
    """Simulate the group that ``node`` leads; a crash of the node starts a leader change."""
    rng = stream(seed, "consensus", node.index)
    base = _base_ms(rng, node, steps, params)
    sd = rng.uniform(*params.noise_log_sd)
    noise = autoregressive(rng, steps, rng.uniform(*params.noise_lag1), sd)
    spike = rng.random(steps) < params.spikes_per_3600 / 3600
    spikes = np.where(spike, np.log(4.0) + 0.25 * rng.standard_normal(steps), 0.0)
    log_effect, episode = np.zeros(steps), np.zeros(steps, np.int8)
    stall_ms, leaders = np.zeros(steps), np.zeros(steps, np.int16)
    for at, kind in _starts(rng, steps, params, incidents):
        if episode[max(0, at - 60) : at + 300].any():
            continue  # one episode at a time keeps labels unambiguous
        if kind == "leader_change":
            _leader_change(rng, at, step_s, log_effect, episode, stall_ms)
            leaders[at] = 1
        else:
            shape = _slow_episode(rng, kind)[: steps - at]
            log_effect[at : at + len(shape)] = shape
            episode[at : at + len(shape)] = EPISODES.index(kind)
    quiet = base * np.exp(noise + spikes)
    latency = np.where(stall_ms > 0, np.maximum(stall_ms, quiet), quiet * np.exp(log_effect))
    effect = np.where(stall_ms > 0, np.maximum(stall_ms / base, HIGH), np.exp(log_effect))
    return Consensus(np.minimum(latency, 6e5), base, effect, episode, spike, leaders)


def _base_ms(rng: np.random.Generator, node: Node, steps: int, params: ConsensusParams) -> Float:
    """Quorum round trip, disk and hardware, in the median and spread asked for, then drift.

    Real groups differ more than round trips do, and no closed form gives their hardware: the two
    shares squared sum to 1, so that the fleet keeps ``base_log_sd``.
    """
    centre, width = LOG_WORK
    work = (np.log(node.quorum_rtt_ms + node.fsync_ms) - centre) / width
    place = 0.8 * work + 0.6 * rng.standard_normal()
    drift = autoregressive(rng, steps, float(np.exp(-1 / 4000)), params.drift_log_sd)
    cycle = np.zeros(steps)
    if rng.random() < 1 / 3:  # a compaction or checkpoint every 60 steps
        cycle = 0.05 * np.sin(2 * np.pi * (np.arange(steps) / 60 + rng.random()))
    level = params.base_median_ms * np.exp(params.base_log_sd * place)
    return np.asarray(level * np.exp(drift + cycle))


def _starts(
    rng: np.random.Generator, steps: int, params: ConsensusParams, incidents: tuple[Incident, ...]
) -> list[tuple[int, str]]:
    """Start and kind of every episode: leader changes at crashes, the rest by chance."""
    chance = params.episodes_per_3600 * 0.75 / 3600
    slow = [(int(at), str(rng.choice(EPISODES[2:]))) for at in events(rng, steps - 1, chance)]
    crashes = [(i.start, "leader_change") for i in incidents if i.kind == "crash"]
    return sorted(slow + crashes)


def _leader_change(
    rng: np.random.Generator,
    at: int,
    step_s: int,
    log_effect: Float,
    episode: NDArray[np.int8],
    stall_ms: Float,
) -> None:
    """A stall of 1-5 steps, written as the proposal's age, then 8-14 steps of decay."""
    steps = len(log_effect)
    stall, decay = int(rng.integers(1, 6)), int(rng.integers(8, 15))
    first = min(stall, steps - at)
    stall_ms[at : at + first] = (np.arange(first) + rng.uniform(0.5, 1.0)) * step_s * 1000
    tail = np.log(rng.uniform(3.0, 5.0)) * np.linspace(1, 0.35, decay)
    span = slice(at + first, min(at + first + decay, steps))
    log_effect[span] = tail[: span.stop - span.start]
    episode[at : min(at + first + decay, steps)] = 1


def _slow_episode(rng: np.random.Generator, kind: str) -> Float:
    """Log effect of one episode, step by step."""
    length = int(rng.integers(60, 241))
    if kind == "level_shift":
        return np.full(length, np.log(rng.uniform(1.52, 3.6)))
    if kind == "ramp":
        return np.log(1 + np.linspace(0, 1, length) * rng.uniform(0.78, 3.25))
    return np.abs(rng.uniform(0.7, 1.1) * rng.standard_normal(length // 2))
