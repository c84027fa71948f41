"""A mechanistic fleet that makes DWCP telemetry and the latent truth behind it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dwcp_ml.files import whole_folder, write_json
from dwcp_ml.params import SimulateParams
from dwcp_ml.telemetry.dataset import INCIDENTS, Manifest, write_manifest
from dwcp_ml.telemetry.schema import Schema, load_schema
from dwcp_ml.telemetry.simulator.fleet import Node, build_fleet
from dwcp_ml.telemetry.simulator.parts import PartWriter
from dwcp_ml.telemetry.simulator.table import simulate_node

if TYPE_CHECKING:
    from collections.abc import Callable

    from dwcp_ml.telemetry.simulator.incidents import Incident

__all__ = ["simulate"]


def simulate(
    params: SimulateParams,
    out: Path,
    *,
    seed: int | None = None,
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> Manifest:
    """Simulate a fleet and write a raw telemetry folder with its truth and incidents.

    Every node draws from random streams of its own, so the rows do not depend on
    ``nodes_per_part``; one node at a time is in memory.

    Args:
        params: size, clock and processes.
        out: folder that is replaced as a whole.
        seed: another seed than ``params.seed``, for a fleet never trained on.
        tick: told after each node how many of how many are done.
    """
    schema = load_schema()
    seed = params.seed if seed is None else seed
    start = int(params.start.timestamp())
    epoch = start + np.arange(params.steps, dtype=np.int64) * params.step_s
    fleet = build_fleet(schema, params.nodes, seed)
    incidents: list[dict[str, str]] = []
    with whole_folder(out) as draft:
        for first in range(0, len(fleet), params.nodes_per_part):
            with PartWriter(draft, first // params.nodes_per_part, schema) as part:
                for node in fleet[first : first + params.nodes_per_part]:
                    made = simulate_node(node, epoch, params, seed)
                    part.write(made.telemetry, made.truth)
                    incidents += [
                        _record(node, i, start, params.step_s) for i in made.health.incidents
                    ]
                    tick(node.index + 1, len(fleet))
        manifest = _manifest(schema, params, seed, len(fleet))
        write_json(draft / INCIDENTS, incidents)
        write_manifest(draft, manifest)
    return manifest


def _record(node: Node, incident: Incident, start: int, step_s: int) -> dict[str, str]:
    def iso(step: int) -> str:
        return datetime.fromtimestamp(start + step * step_s, UTC).isoformat()

    return {
        "incident_id": f"{node.node_id}-{incident.start:06d}",
        "node_id": node.node_id,
        "type": incident.kind,
        "severity": incident.severity,
        "start": iso(incident.start),
        "end": iso(incident.end),
    }


def _manifest(schema: Schema, params: SimulateParams, seed: int, series: int) -> Manifest:
    last = params.start + timedelta(seconds=params.step_s * (params.steps - 1))
    return Manifest(
        source="simulator",
        schema_version=schema.version,
        step_s=params.step_s,
        rows=series * params.steps,
        series=series,
        start=params.start.astimezone(UTC).isoformat(),
        end=last.astimezone(UTC).isoformat(),
        seed=seed,
    )
