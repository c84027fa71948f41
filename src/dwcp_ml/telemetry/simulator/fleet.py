"""The fleet: nodes in regions, one link each, and the consensus group each node leads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dwcp_ml.telemetry.schema import Schema
from dwcp_ml.telemetry.simulator.streams import stream

# (name, latitude, longitude): round-trip times follow from the distance.
REGIONS = (
    ("us-east", 39.0, -77.5),
    ("us-west", 45.6, -121.2),
    ("eu-west", 53.3, -6.3),
    ("eu-central", 50.1, 8.7),
    ("ap-northeast", 35.7, 139.7),
    ("ap-southeast", 1.3, 103.8),
)
LINK_TYPES = ("dc", "metro", "wan", "edge")
LINK_SHARE = (0.2, 0.2, 0.4, 0.2)
LOCAL_RTT_MS = {"dc": (0.3, 1.0), "metro": (2.0, 8.0), "edge": (15.0, 50.0)}
# Fitted to the Skyplane times (docs/calibration.md): cables and routes are that much longer than
# the great circle, in the median over 69 cloud regions.
ROUTE_FACTOR = 1.7
FIBRE_KM_PER_MS = 200.0
EQUIPMENT_MS = 2.0
TRANSPORT = {"dc": "tcp", "metro": "tcp", "wan": "quic", "edge": "udp"}


@dataclass(frozen=True)
class Node:
    """One node, its link to one peer and the consensus group it leads."""

    index: int
    node_id: str
    peer_id: str
    region: str
    az: str
    datacenter_id: str
    cluster_id: str
    role: str
    longitude: float
    link_type: str
    tier: int
    reference_mbps: float
    committed_mbps: float
    base_rtt_ms: float
    streams: int
    machine: int
    mode: str
    members: int
    consensus_type: str
    quorum_rtt_ms: float
    fsync_ms: float


def path_rtt_ms(a: tuple[str, float, float], b: tuple[str, float, float]) -> float:
    """Round-trip time between two regions, ms.

    Light in fibre there and back over ``ROUTE_FACTOR`` times the great-circle distance, plus
    equipment.
    """
    la, lb = np.radians(a[1]), np.radians(b[1])
    half = (
        np.sin((lb - la) / 2) ** 2
        + np.cos(la) * np.cos(lb) * np.sin(np.radians(b[2] - a[2]) / 2) ** 2
    )
    km = 2 * 6371 * np.arcsin(np.sqrt(half))
    return float(2 * ROUTE_FACTOR * km / FIBRE_KM_PER_MS + EQUIPMENT_MS)


def build_fleet(schema: Schema, nodes: int, seed: int) -> list[Node]:
    """Place ``nodes`` nodes; node i depends on the seed and i alone."""
    return [_node(schema, i, nodes, seed) for i in range(nodes)]


def _node(schema: Schema, i: int, nodes: int, seed: int) -> Node:
    rng = stream(seed, "fleet", i)
    home = REGIONS[i % len(REGIONS)]
    link = str(rng.choice(LINK_TYPES, p=LINK_SHARE))
    away = REGIONS[(i + 1 + int(rng.integers(len(REGIONS) - 1))) % len(REGIONS)]
    rtt = path_rtt_ms(home, away) if link == "wan" else float(rng.uniform(*LOCAL_RTT_MS[link]))
    tier = int(rng.integers(1, 4))
    references = schema.target("bandwidth_class").reference_mbps or {}
    reference = references[link][tier - 1]
    peer = _peer(rng, i, nodes, REGIONS.index(away if link == "wan" else home))
    members = int(rng.choice([3, 5, 7], p=[0.5, 0.35, 0.15]))
    az = "abc"[int(rng.integers(3))]
    digits = max(4, len(str(nodes - 1)))  # so that names sort as nodes do, which rows follow
    return Node(
        index=i,
        node_id=f"node-{i:0{digits}d}",
        peer_id=f"node-{peer:0{digits}d}",
        region=home[0],
        az=f"{home[0]}-{az}",
        datacenter_id=f"{home[0]}-{az}{int(rng.integers(1, 3))}",
        cluster_id=f"group-{i:0{digits}d}",
        role="edge" if link == "edge" else ("coordinator" if members > 3 else "worker"),
        longitude=home[2],
        link_type=link,
        tier=tier,
        reference_mbps=reference,
        committed_mbps=reference * float(np.exp(rng.normal(0, 0.12))),
        base_rtt_ms=rtt * float(np.exp(rng.normal(0, 0.05))),
        streams=int(rng.choice([4, 8, 16])),
        machine=int(rng.integers(6)),
        mode=str(rng.choice(["standard", "optimized", "resilient"])),
        members=members,
        consensus_type=str(rng.choice(["raft", "pbft"], p=[0.8, 0.2])),
        quorum_rtt_ms=_quorum_rtt_ms(rng, home, members),
        fsync_ms=float(np.exp(rng.normal(np.log(4.0), 0.6))),
    )


def _peer(rng: np.random.Generator, i: int, nodes: int, region: int) -> int:
    """Another node of the region, or of any if there is none."""
    there = range(region, nodes, len(REGIONS))
    among = i in there
    if len(there) == among:
        return (i + 1) % nodes
    place = int(rng.choice(len(there) - among))
    return there[place + (among and place >= there.index(i))]


def _quorum_rtt_ms(rng: np.random.Generator, home: tuple[str, float, float], members: int) -> float:
    """Time until a majority has answered: the slowest of the fastest (members - 1) / 2 peers."""
    reach = rng.choice(["dc", "metro", "wan"], p=[0.25, 0.3, 0.45])
    others = [REGIONS[int(rng.integers(len(REGIONS)))] for _ in range(members - 1)]
    times = [
        float(rng.uniform(*LOCAL_RTT_MS[str(reach)])) if reach != "wan" else path_rtt_ms(home, o)
        for o in others
    ]
    return sorted(times)[(members - 1) // 2 - 1]
