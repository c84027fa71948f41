"""Speed of one row through ONNX Runtime, and of offline scoring."""

from __future__ import annotations

import json
import statistics
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from bench_common import Figure, turns

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator
    from pathlib import Path

    from onnxruntime import InferenceSession

TIMES_RUN = 1.3
CHUNK = 128
ROW_US = {
    "bandwidth_predictor": 40,
    "consensus_latency": 120,
    "compression_selector": 10,
    "node_reliability": 15,
}


def onnx_figures(given: Namespace) -> list[Figure]:
    """Median time of one row, one thread; the models take turns."""
    from dwcp_ml.export.session import row_latency

    found = {name: (s, rows, []) for name, s, rows in _served(given.models)}
    for _ in range(given.rounds):
        for session, rows, medians in found.values():
            medians.append(1000 * row_latency(session, rows, runs=given.calls).p50_ms)
    return [
        Figure(
            f"one row: {name}",
            statistics.median(medians),
            "us",
            ROW_US[name],
            note=f"{given.calls} calls a round on rows of shape {list(rows.shape[1:])}, the "
            f"quietest round {min(medians):.1f} us",
        )
        for name, (_, rows, medians) in found.items()
    ]


def score_figures(given: Namespace) -> list[Figure]:
    """Offline scoring, as evaluate does it, beside `session.run` on the same slices."""
    from dwcp_ml.export.session import score

    figures = []
    for name, session, golden in _served(given.models):
        few = np.resize(golden, (10 * CHUNK, *golden.shape[1:]))
        one_s = turns(partial(_run, session, few), partial(_run, session, few), 3).peer_s
        rows = np.resize(golden, (max(1, round(given.score_s / one_s)) * len(few), *few.shape[1:]))
        ours = partial(score, session, rows, chunk=CHUNK)
        taken = turns(ours, partial(_run, session, rows), given.rounds)
        note = f"{len(rows):,} rows, {len(rows) / taken.ours_s:,.0f} rows/s"
        what = f"score / session.run: {name}"
        figures.append(Figure(what, taken.ratio, "x", TIMES_RUN, note=note))
    return figures


def _run(session: InferenceSession, rows: np.ndarray) -> None:
    """Nothing but the calls: the answers are dropped."""
    source = session.get_inputs()[0].name
    names = [output.name for output in session.get_outputs()]
    for i in range(0, len(rows), CHUNK):
        session.run(names, {source: rows[i : i + CHUNK]})


def _served(registry: Path) -> Iterator[tuple[str, InferenceSession, np.ndarray]]:
    """Name, session and golden rows of the latest version of every model asked about."""
    from dwcp_ml.export.session import open_session

    for name in ROW_US:
        version = registry / name / "latest"
        about = json.loads((version / "metadata.json").read_text())
        rows = [next(iter(pair["request"].values())) for pair in about["golden"]]
        yield name, open_session(version / "model.onnx"), np.concatenate(rows).astype(np.float32)
