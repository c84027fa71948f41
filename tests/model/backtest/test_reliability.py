"""The reliability backtest: its parts, its scale, its sentences, and one whole run."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dwcp_ml import backtest, models
from dwcp_ml.backtest.score import run
from dwcp_ml.backtest.series import TEST, TRAIN, VALIDATION
from dwcp_ml.backtest.tables import read_table
from dwcp_ml.errors import BacktestError, GapError, MissingColumnError
from dwcp_ml.models.node_features import LABEL
from dwcp_ml.models.node_reliability import NodeReliabilityParams

TASK = backtest.get("reliability")
SECTION = NodeReliabilityParams(forest_trees=20, boosting_iterations=5)
PARTS = (TRAIN, VALIDATION, TEST)


class Silent:
    def epoch(self, number, of, figures):
        pass


def services(count=3, rows=400, unlabelled=0, seed=0):
    """Quiet services on scales of their own, each with an anomaly in every quarter."""
    rng, tables = np.random.default_rng(seed), []
    for k in range(count):
        label = np.zeros(rows)
        values = rng.standard_normal((rows, 3))
        for start in range(unlabelled + 20, rows, (rows - unlabelled) // 8):
            label[start : start + 6] = 1
            values[start : start + 6] += [5, -5, 3]
        label[:unlabelled] = np.nan
        scaled = 10.0**k * (values + 20)
        table = pd.DataFrame(scaled, columns=["load", "free", "wait"])
        table.insert(0, "entity_id", f"s{k}")
        table.insert(1, "timestamp", 300 * np.arange(rows))
        tables.append(table.assign(is_anomaly=label))
    return pd.concat(tables, ignore_index=True)


def prepared(table, tmp_path, by="time"):
    file = tmp_path / "nodes.csv"
    table.to_csv(file, index=False)
    return TASK.prepare(read_table(file, TASK), by, SECTION, file.name)


def examples(ready):
    return ready.train, ready.validation, ready.test


def test_parts_follow_each_other_in_time_and_no_history_crosses_between_them(tmp_path):
    ready = prepared(services(), tmp_path)
    steps = ready.section.history_steps
    spans = [part.time_s for part in examples(ready)]
    for earlier, later in pairwise(spans):
        assert earlier.max() + 300 * steps <= later.min()
    assert ready.train.features.shape[1:] == (steps, 3)


def test_every_entity_is_measured_on_its_own_scale(tmp_path):
    ready = prepared(services(), tmp_path)
    newest = ready.test.features[ready.test.targets[LABEL] == 0][:, -1]
    assert np.abs(np.median(newest, axis=0)).max() < 0.3
    assert 0.6 < newest.std() < 1.6


def test_values_after_the_training_part_do_not_change_the_scale(tmp_path):
    table = services(count=1)
    later = table.copy()
    later.loc[250:, ["load", "free", "wait"]] *= 3  # 200 rows train
    plain, changed = prepared(table, tmp_path), prepared(later, tmp_path)
    np.testing.assert_array_equal(plain.train.features, changed.train.features)
    assert not np.array_equal(plain.test.features, changed.test.features)


def test_rows_without_a_label_serve_training_only(tmp_path):
    ready = prepared(services(rows=600, unlabelled=200), tmp_path)
    assert (ready.train.targets[LABEL] == -1).any()
    for part in (ready.validation, ready.test):
        assert set(np.unique(part.targets[LABEL])) == {0, 1}


def test_whole_entities_are_kept_for_the_test_on_request(tmp_path):
    ready = prepared(services(count=8), tmp_path, by="entity")
    for one, other in ((0, 1), (0, 2), (1, 2)):
        groups = [set(part.group.tolist()) for part in examples(ready)]
        if len(groups[one]) < 5 and len(groups[other]) < 5:
            continue  # numbered by blocks of time
        assert not groups[one] & groups[other]


@pytest.mark.parametrize("by", ["time", "entity"])
def test_plain_anomalies_are_found_and_every_gate_is_judged(tmp_path, by):
    file = tmp_path / "nodes.csv"
    services(count=7, rows=480, unlabelled=80).to_csv(file, index=False)
    root = Path(__file__).resolve().parents[3]
    params = models.read_params(root / "params.yaml")
    quick = params.model_copy(
        update={
            "evaluate": params.evaluate.model_copy(update={"resamples": 10}),
            "sections": {"node_reliability": SECTION.model_dump(exclude={"seed"})},
        }
    )
    found = run("reliability", file, by, quick, Silent())
    gates = {gate["name"]: gate for gate in found["gates"]}
    assert gates["lift"]["passed"]
    assert gates["recall_at_fpr_5pct"]["passed"]
    assert all(gate["value"] is not None for gate in gates.values())
    values = {r["metric"]: r["value"] for r in found["metrics"] if r["predictor"] == "model"}
    assert values["lift"] == pytest.approx(
        values["average_precision"] / found["prevalence"][LABEL], rel=1e-6
    )
    assert {"max_z", "mean_z", "best_single", "forest_newest_step"} <= {
        r["predictor"] for r in found["metrics"]
    }


# --- bad input ---


def refused(table, tmp_path, error, words, by="time"):
    with pytest.raises(error, match=words) as caught:
        prepared(table, tmp_path, by)
    assert "\n" not in str(caught.value)


def test_no_anomaly_at_all_is_refused(tmp_path):
    refused(services().assign(is_anomaly=0), tmp_path, BacktestError, "no row has is_anomaly = 1")


def test_nothing_normal_is_refused(tmp_path):
    refused(services().assign(is_anomaly=1), tmp_path, BacktestError, "no row has is_anomaly = 0")


def test_a_part_with_one_class_is_named(tmp_path):
    table = services(count=1)
    table.loc[table.index > 150, "is_anomaly"] = 0
    refused(table, tmp_path, BacktestError, "no anomaly in the validation part")


def test_an_entity_whose_columns_never_change_is_refused(tmp_path):
    table = services()
    table.loc[table.entity_id == "s1", ["load", "free", "wait"]] = 1.0
    refused(table, tmp_path, BacktestError, "'s1': every numeric column is constant")


def test_one_entity_cannot_be_split_by_entity(tmp_path):
    refused(services(count=1), tmp_path, BacktestError, "one entity only", by="entity")


def test_an_irregular_step_is_refused(tmp_path):
    table = services(count=1)
    table["timestamp"] += np.where(np.arange(len(table)) % 2, 130, 0)
    refused(table, tmp_path, GapError, "no constant step")


def test_a_table_without_values_is_refused(tmp_path):
    table = services()[["entity_id", "timestamp", "is_anomaly"]]
    refused(table, tmp_path, BacktestError, "no numeric column")


def test_a_missing_label_column_is_named(tmp_path):
    refused(services().drop(columns="is_anomaly"), tmp_path, MissingColumnError, "'is_anomaly'")


def test_rows_with_a_missing_value_are_left_out_and_counted(tmp_path):
    table = services()
    table.loc[[30, 31], "free"] = np.nan
    assert any("2 rows with a missing value" in note for note in prepared(table, tmp_path).notes)
