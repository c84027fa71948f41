"""Stability: every model trained with several seeds on the same data, and how far they differ."""

from __future__ import annotations

import json
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from dwcp_ml import models
from dwcp_ml.export.canonical import canonical_bytes
from dwcp_ml.export.session import open_session, score
from dwcp_ml.files import whole_file, write_json
from dwcp_ml.telemetry.split import parts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dwcp_ml.models.base import ModelParams
    from dwcp_ml.params import Params

DECISIONS = {
    "bandwidth_predictor": "bandwidth_class",
    "compression_selector": "compression_level",
    "consensus_latency": "is_high_latency",
    "node_reliability": "is_anomaly",
}


class Silent:
    """A training log that says nothing."""

    def epoch(self, number: int, of: int, figures: Any) -> None:
        """Forget the epoch."""


def train_seeds(name: str, splits: Path, params: Params, seeds: Sequence[int], work: Path) -> None:
    """Leave WORK/NAME-SEED.{npz,json}: decisions on the test part, and every metric of them.

    What is already there is kept, so that a run that was cut short goes on.
    """
    model, section = models.get(name), models.section(params, name)
    missing = [seed for seed in seeds if not (work / f"{name}-{seed}.json").exists()]
    if not missing:
        return
    found = parts(splits)
    train, validation, test = (
        model.examples(found[role], section) for role in ("train", "validation", "test")
    )
    for seed in missing:
        mine: ModelParams = section.model_copy(update={"seed": seed})
        np.random.seed(seed)
        fitted = model.fit(train, validation, mine, Silent())
        answers = score(open_session(canonical_bytes(model.graph(fitted))), test.features)
        with whole_file(work / f"{name}-{seed}.npz") as draft, draft.open("wb") as file:
            np.savez_compressed(file, **{k: v for k, v in answers.items() if v.ndim == 1})
        weights = np.ones(len(test))
        figures = {m.name: float(m.compute(test, answers, weights)) for m in model.metrics}
        write_json(work / f"{name}-{seed}.json", {"seed": seed, "metrics": figures})


def stability(name: str, seeds: Sequence[int], work: Path) -> dict[str, Any]:
    """Spread of every metric, and how often the decisions of the seeds differ."""
    by_seed = [json.loads((work / f"{name}-{s}.json").read_text())["metrics"] for s in seeds]
    metrics = {}
    for metric in by_seed[0]:
        values = np.array([figures[metric] for figures in by_seed], float)
        if np.isfinite(values).all():
            metrics[metric] = {
                "values": values.tolist(),
                "mean": float(values.mean()),
                "sd": float(values.std(ddof=1)),
                "range": float(np.ptp(values)),
            }
    chosen = []
    for seed in seeds:
        with np.load(work / f"{name}-{seed}.npz") as arrays:
            chosen.append(arrays[DECISIONS[name]])
    decisions = np.stack(chosen)
    pairs = [float((a != b).mean()) for a, b in combinations(decisions, 2)]
    return {
        "seeds": list(seeds),
        "decision": DECISIONS[name],
        "rows": int(decisions.shape[1]),
        "rows_not_unanimous": float((decisions != decisions[0]).any(axis=0).mean()),
        "mean_disagreement_of_two": float(np.mean(pairs)),
        "metrics": metrics,
    }
