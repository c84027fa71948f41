"""Stability over seeds: what was trained is kept, and disagreement is counted row by row."""

import json
from pathlib import Path

import numpy as np
import pytest
from behaviour_page import page
from behaviour_seeds import stability, train_seeds

from dwcp_ml import models
from dwcp_ml.params import SimulateParams, SplitParams
from dwcp_ml.telemetry.simulator import simulate
from dwcp_ml.telemetry.split import split

NAME = "node_reliability"
PARAMS = models.read_params(Path(__file__).parents[3] / "params.yaml")


def leave(work, seed, decisions, recall):
    np.savez(work / f"{NAME}-{seed}.npz", is_anomaly=np.array(decisions))
    metrics = {"recall": recall, "early_warning_rate": float("nan")}
    (work / f"{NAME}-{seed}.json").write_text(json.dumps({"seed": seed, "metrics": metrics}))


def test_disagreement_and_spread_are_those_of_the_seeds(tmp_path):
    leave(tmp_path, 1, [0, 0, 1, 1], 0.90)
    leave(tmp_path, 2, [0, 1, 1, 1], 0.92)
    leave(tmp_path, 3, [0, 0, 1, 0], 0.94)
    found = stability(NAME, [1, 2, 3], tmp_path)
    assert found["rows_not_unanimous"] == 0.5
    assert found["mean_disagreement_of_two"] == pytest.approx((1 + 1 + 2) / 4 / 3)
    assert found["metrics"]["recall"]["range"] == pytest.approx(0.04)
    assert found["metrics"]["recall"]["sd"] == pytest.approx(0.02)
    assert "early_warning_rate" not in found["metrics"]
    shown = page({"models": {}, "checks": [], "stability": {NAME: found}})
    assert "| node_reliability | is_anomaly | 4 | 50.00% | 33.33% |" in shown


def test_a_run_that_was_cut_short_goes_on_where_it_ended(tmp_path):
    simulate(SimulateParams(nodes=12, steps=1500, seed=3), tmp_path / "raw")
    split(tmp_path / "raw", SplitParams(), tmp_path / "splits", gap_steps=30)
    work = tmp_path / "work"
    work.mkdir()
    train_seeds(NAME, tmp_path / "splits", PARAMS, [1, 2], work)
    first, second = (work / f"{NAME}-{seed}.json" for seed in (1, 2))
    kept, again = first.stat().st_mtime_ns, second.read_text()
    second.unlink()
    train_seeds(NAME, tmp_path / "splits", PARAMS, [1, 2], work)
    assert first.stat().st_mtime_ns == kept
    assert second.read_text() == again
    assert stability(NAME, [1, 2], work)["metrics"]
