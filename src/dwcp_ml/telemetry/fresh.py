"""Fleets from seeds never trained on: the second verdict on simulated data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dwcp_ml.files import whole_folder
from dwcp_ml.telemetry.dataset import Manifest, read_manifest, write_manifest
from dwcp_ml.telemetry.simulator import simulate

if TYPE_CHECKING:
    from collections.abc import Callable

    from dwcp_ml.params import FreshParams, SimulateParams


def simulate_fresh(
    raw: Path,
    params: SimulateParams,
    fresh: FreshParams,
    out: Path,
    *,
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Simulate one raw folder per fresh seed under ``out``.

    Ingested telemetry has no simulator to ask for more, so ``out`` then holds a manifest of
    source "none" and nothing else, and evaluation gives one verdict only.
    """
    manifest = read_manifest(raw)
    with whole_folder(out) as draft:
        if manifest.source != "simulator":
            empty = Manifest("none", manifest.schema_version, manifest.step_s, 0, 0, "", "")
            write_manifest(draft, empty)
            return
        smaller = params.model_copy(update={"nodes": fresh.nodes, "steps": fresh.steps})
        for i, seed in enumerate(fresh.seeds):
            simulate(smaller, draft / f"seed-{seed}", seed=seed)
            tick(i + 1, len(fresh.seeds))
