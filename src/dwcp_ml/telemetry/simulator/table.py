"""One node's telemetry rows and their latent truth, put together from the processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dwcp_ml.params import SimulateParams
from dwcp_ml.telemetry.simulator.compression import Compression, simulate_compression
from dwcp_ml.telemetry.simulator.consensus import EPISODES, HIGH, Consensus, simulate_consensus
from dwcp_ml.telemetry.simulator.fleet import TRANSPORT, Node
from dwcp_ml.telemetry.simulator.incidents import TYPES, NodeHealth, simulate_health
from dwcp_ml.telemetry.simulator.link import Link, counts, simulate_link
from dwcp_ml.telemetry.simulator.streams import Float, autoregressive, stream

if TYPE_CHECKING:
    from numpy.typing import NDArray

Columns = dict[str, "NDArray[np.generic] | str | int"]  # a scalar stands for a constant column

# Centre and noise deviation of the health signals in the units of the table.
UPTIME_PCT = (99.4, 0.08)
FAILURES_PER_H = (1.5, 0.2)
LOSS = (0.0015, 0.0002)
RETRANSMITS_PER_S = (12.0, 1.5)
BURN = (1.2, 0.15)
RTT_SHIFT_MS = 40.0  # an incident adds retransmission timeouts to the round trip


@dataclass(frozen=True)
class NodeTable:
    """Columns of one node by name, telemetry and truth, (steps,) each, and its incidents."""

    telemetry: Columns
    truth: Columns
    health: NodeHealth


def simulate_node(node: Node, epoch: NDArray[np.int64], p: SimulateParams, seed: int) -> NodeTable:
    """Simulate every process of one node on the clock ``epoch`` (steps,), seconds."""
    steps, a_day = len(epoch), 86400 / p.step_s
    hour = (epoch % 86400) / 3600.0
    health = simulate_health(node.index, steps, a_day, p.incidents, seed)
    link = simulate_link(node, hour, a_day, p.network, seed, health.outage)
    coming = np.append(link.latent_mbps[1:], link.expected_next_mbps[-1])
    pressed = simulate_compression(node, coming, p.compression, seed)
    agreed = simulate_consensus(node, steps, p.step_s, p.consensus, health.incidents, seed)
    rng = stream(seed, "details", node.index)
    telemetry: Columns = {
        **_place(node, epoch, hour),
        **_network(rng, node, link, health, p.step_s),
        **_reliability(rng, health, p.step_s),
        **_work(rng, node, link, pressed, health, p.step_s),
        **_agreement(rng, node, agreed, health, p.step_s),
    }
    truth: Columns = {
        "timestamp": telemetry["timestamp"],
        "node_id": node.node_id,
        "peer_id": node.peer_id,
        "next_latent_mbps": coming.astype(np.float32),
        "latent_mbps": link.latent_mbps.astype(np.float32),
        "expected_next_mbps": link.expected_next_mbps.astype(np.float32),
        "announced_depth": link.queue.astype(np.float32),
        "machine": np.full(steps, node.machine, np.int8),
        "payload": pressed.payload,
        "cpu_share": pressed.cpu_share.astype(np.float32),
        "incident_type": np.array(["none", *TYPES])[health.kind],
        "incident_phase": health.phase,
        "lookalike": health.lookalike,
        "incident_evidence": health.evidence.astype(np.float32),
        "episode_type": np.array(EPISODES)[agreed.episode],
        "consensus_base_ms": agreed.base_ms.astype(np.float32),
        "consensus_effect": agreed.effect.astype(np.float32),
        "consensus_spike": agreed.spike.astype(np.int8),
    }
    return NodeTable(telemetry, truth, health)


def _place(node: Node, epoch: NDArray[np.int64], hour: Float) -> Columns:
    return {
        "timestamp": (epoch * 1_000_000).astype("datetime64[us]"),
        "epoch_time": epoch,
        "time_of_day": hour.astype(np.float32),
        "day_of_week": ((epoch // 86400 + 3) % 7).astype(np.int8),  # 1970-01-01 was a Thursday
        "region": node.region,
        "az": node.az,
        "datacenter_id": node.datacenter_id,
        "cluster_id": node.cluster_id,
        "link_type": node.link_type,
        "node_id": node.node_id,
        "peer_id": node.peer_id,
        "node_role": node.role,
        "dwcp_mode": node.mode,
        "network_tier": f"tier{node.tier}",
        "transport_type": TRANSPORT[node.link_type],
    }


def _network(
    rng: np.random.Generator, node: Node, link: Link, health: NodeHealth, step_s: int
) -> Columns:
    late = RTT_SHIFT_MS * health.delay
    rtt = link.rtt_ms + late + 0.02 * node.base_rtt_ms * np.maximum(health.z[:, 5], -3)
    rtt = np.maximum(rtt, 0.05)
    jitter = link.jitter_ms + 0.1 * late
    one_way = rtt / 2 * np.exp(0.01 * rng.standard_normal(len(rtt)))
    p95 = one_way + 1.2 * jitter * np.exp(0.1 * np.abs(rng.standard_normal(len(rtt))))
    p99 = p95 + 1.1 * jitter
    loss = LOSS[0] + LOSS[1] * (health.z[:, 2] + 0.35 * rng.standard_normal(len(rtt)))
    loss += LOSS[1] * (0.5 * link.queue + 3 * link.overflow)
    sent = link.measured_mbps * 1e6 / 8 * step_s * 0.6
    return {
        "rtt_ms": rtt,
        "jitter_ms": jitter,
        "latency_ms": one_way + 0.3 * jitter,
        "p50_latency_ms": one_way,
        "p95_latency_ms": p95,
        "p99_latency_ms": p99,
        "throughput_mbps": link.measured_mbps,
        "bandwidth_mbps": np.full(len(rtt), 2.5 * node.committed_mbps),
        "bytes_tx": counts(sent),
        "bytes_rx": counts(sent * 0.4),
        "packet_loss": np.clip(loss, 0, 1),
        "congestion_window": link.window_bytes,
        "queue_depth": 5 + 60 * link.load + 200 * link.queue,
        "buffer_utilization": np.clip(link.load + 0.3 * link.queue, 0, 1),
    }


def _reliability(rng: np.random.Generator, health: NodeHealth, step_s: int) -> Columns:
    z = health.z
    burn = np.maximum(BURN[0] + BURN[1] * z[:, 4], 0)
    errors = burn * 1e-3
    noise = np.exp(0.1 * rng.standard_normal(len(burn)))
    return {
        "uptime_pct": np.clip(UPTIME_PCT[0] + UPTIME_PCT[1] * z[:, 0], 0, 100),
        "failure_rate": np.maximum(FAILURES_PER_H[0] + FAILURES_PER_H[1] * z[:, 1], 0),
        "retransmits": np.maximum(RETRANSMITS_PER_S[0] + RETRANSMITS_PER_S[1] * z[:, 3], 0),
        "error_budget_burn_rate": burn,
        "error_rate": np.clip(errors, 0, 1),
        "timeout_rate": np.clip(0.4 * errors * noise, 0, 1),
        "connection_failures": rng.poisson(errors * 20 * step_s).astype(np.int32),
        "slo_compliance": np.clip(1 - 1.1 * errors, 0, 1),
        "sla_violations": rng.poisson(errors * 5 * step_s).astype(np.int32),
        "is_anomaly": (health.phase == 2).astype(np.int8),
    }


def _work(
    rng: np.random.Generator,
    node: Node,
    link: Link,
    pressed: Compression,
    health: NodeHealth,
    step_s: int,
) -> Columns:
    steps = len(pressed.cpu_share)
    level = {"standard": 6, "optimized": 1, "resilient": 3}[node.mode]
    leak = np.maximum(health.shift[:, 3], 0)
    full = np.maximum(health.shift[:, 1], 0) * (health.kind == 3)
    return {
        "transfer_rate_mbps": np.minimum(
            link.measured_mbps * pressed.probe_ratio, pressed.probe_rate_mbps
        ),
        "hde_compression_ratio": pressed.probe_ratio,
        "hde_delta_hit_rate": pressed.delta_hit_rate,
        "compression_level": np.full(steps, level, np.int8),
        "optimal_compression": pressed.best,
        "amst_streams": np.full(steps, node.streams, np.int16),
        "amst_transfer_rate": pressed.probe_rate_mbps,
        "stream_utilization": np.clip(0.4 + 0.5 * link.load, 0, 1),
        "cpu_usage": np.clip(100 * (1.1 - pressed.cpu_share), 0, 100),
        "memory_usage": np.clip(50 + 3 * leak + 2 * autoregressive(rng, steps, 0.99), 0, 100),
        "disk_usage": np.clip(55 + 4 * full + autoregressive(rng, steps, 0.999), 0, 100),
        "disk_io": np.full(steps, 20.0) + link.measured_mbps / 16 * (step_s > 0),
    }


def _agreement(
    rng: np.random.Generator, node: Node, agreed: Consensus, health: NodeHealth, step_s: int
) -> Columns:
    ms = agreed.latency_ms
    stalled = agreed.effect > 100
    rate = np.where(stalled, 0.0, 400 / np.sqrt(np.maximum(agreed.effect, 1)))
    pending = rate * ms / 1e3 + np.where(stalled, 500.0, 0.0)
    p50 = ms * np.exp(-0.02 * np.abs(rng.standard_normal(len(ms))))
    p95 = np.minimum(p50 * (1.25 + 0.1 * rng.random(len(ms))), 6e5)
    crashed = health.kind == 1
    return {
        "consensus_latency_ms": ms,
        "proposals_pending": counts(pending).astype(np.int32),
        "proposals_committed": counts(rate * step_s).astype(np.int32),
        "consensus_queue_depth": 0.5 * pending,
        "consensus_latency_p50_ms": p50,
        "consensus_latency_p95_ms": p95,
        "consensus_latency_p99_ms": np.minimum(p95 * 1.3, 6e5),
        "leader_changes": agreed.leader_changes,
        "quorum_size": np.full(len(ms), node.members // 2 + 1, np.int8),
        "active_nodes": (node.members - crashed).astype(np.int16),
        "consensus_type": node.consensus_type,
        "is_high_latency": (agreed.effect >= HIGH).astype(np.int8),
    }
