"""Simulation over parts of the fleet: every node draws from random streams of its own."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from dwcp_ml.files import as_json
from dwcp_ml.scale.places import Place, published
from dwcp_ml.scale.work import Receipt, over_parts
from dwcp_ml.telemetry.dataset import INCIDENTS, MANIFEST, Manifest
from dwcp_ml.telemetry.schema import load_schema
from dwcp_ml.telemetry.simulator import _manifest, _record
from dwcp_ml.telemetry.simulator.fleet import Node, build_fleet
from dwcp_ml.telemetry.simulator.parts import PartWriter
from dwcp_ml.telemetry.simulator.table import simulate_node

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyspark.sql import SparkSession

    from dwcp_ml.params import SimulateParams


def simulate(
    spark: SparkSession,
    params: SimulateParams,
    out: str,
    *,
    seed: int | None = None,
    replace: bool = False,
    tick: Callable[[int, int], None] = lambda _done, _total: None,
) -> Manifest:
    """Simulate a fleet into a raw folder whose parts are those of one process, to the byte.

    A task makes one part: ``nodes_per_part`` nodes, one at a time in memory.

    Args:
        spark: session.
        params: size, clock and processes; ``nodes_per_part`` sets how many tasks there are.
        out: folder that all workers see, or s3://BUCKET/PREFIX.
        seed: another seed than ``params.seed``.
        replace: an existing folder gives way.
        tick: progress as (parts done, parts).

    Raises:
        StorageError: the output exists, or cannot be written.
        ScaleError: the job failed.
    """
    seed = params.seed if seed is None else seed
    parts = -(-params.nodes // params.nodes_per_part)
    with published(out, replace=replace) as target:
        done = over_parts(spark, parts, _Part(params, seed, target), tick)
        incidents = [record for receipt in done for record in receipt.facts["incidents"]]
        manifest = _manifest(load_schema(), params, seed, params.nodes)
        target.write(INCIDENTS, as_json(incidents))
        target.write(MANIFEST, as_json(asdict(manifest)))  # last: it says that the parts are there
    return manifest


@dataclass(frozen=True)
class _Part:
    params: SimulateParams
    seed: int
    target: Place

    def __call__(self, number: int, scratch: Path) -> Receipt:
        schema, start = load_schema(), int(self.params.start.timestamp())
        epoch = start + np.arange(self.params.steps, dtype=np.int64) * self.params.step_s
        first = number * self.params.nodes_per_part
        incidents: list[dict[str, str]] = []
        nodes = _fleet(self.params.nodes, self.seed)[first : first + self.params.nodes_per_part]
        with PartWriter(scratch, number, schema) as part:
            for node in nodes:
                made = simulate_node(node, epoch, self.params, self.seed)
                part.write(made.telemetry, made.truth)
                incidents += [
                    _record(node, i, start, self.params.step_s) for i in made.health.incidents
                ]
        files = sorted(scratch.rglob("*.parquet"))
        size = sum(file.stat().st_size for file in files)
        for file in files:
            self.target.put(file, str(file.relative_to(scratch)))
        rows = len(nodes) * self.params.steps
        return Receipt(number, rows, size, {"incidents": json.loads(json.dumps(incidents))})


@cache
def _fleet(nodes: int, seed: int) -> list[Node]:
    """Once for each Python worker: placing a fleet takes time in the square of its nodes."""
    return build_fleet(load_schema(), nodes, seed)
