"""The consensus backtest: its windows, its stalls, its sentences, and one whole run."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dwcp_ml import backtest, models
from dwcp_ml.backtest import stalls
from dwcp_ml.backtest.score import run
from dwcp_ml.backtest.tables import read_table
from dwcp_ml.errors import BacktestError, GapError, MissingColumnError
from dwcp_ml.models.base import Examples
from dwcp_ml.models.consensus_features import LABEL, LATENCY, WINDOW
from dwcp_ml.models.consensus_network import FLAG
from dwcp_ml.models.consensus_params import ConsensusLatencyParams

TASK = backtest.get("consensus")
SECTION = ConsensusLatencyParams(lstm_units=(8, 4), epochs=2)


class Silent:
    def epoch(self, number, of, figures):
        pass


def clusters(count=8, rows=140, stalled=(1, 4), seed=0):
    """Clusters of different level and noise; some stall for three seconds."""
    rng, tables = np.random.default_rng(seed), []
    for k in range(count):
        level, sd = 5.0 * (k + 1), 0.02 * (k + 1)
        latency = level * np.exp(sd * rng.standard_normal(rows))
        high = np.zeros(rows, int)
        if k in stalled:
            high[120:123] = 1
            latency[120:123] = [1000, 2000, 3000]
        tables.append(
            pd.DataFrame(
                {
                    "cluster_id": f"c{k}",
                    "timestamp": np.arange(rows),
                    LATENCY: latency,
                    LABEL: high,
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def prepared(table, tmp_path, by="entity"):
    file = tmp_path / "clusters.csv"
    table.to_csv(file, index=False)
    return TASK.prepare(read_table(file, TASK), by, SECTION, file.name)


def level_of(examples):
    """Median of each window's history: it tells the clusters of the table apart."""
    return np.unique(np.round(np.median(examples.features[:, :, 0], axis=1) / 5).astype(int) - 1)


def test_no_cluster_of_the_test_was_trained_on_and_all_stalls_are_in_it(tmp_path):
    ready = prepared(clusters(), tmp_path)
    trained = set(level_of(ready.train)) | set(level_of(ready.validation))
    tested = set(level_of(ready.test))
    assert not trained & tested
    assert {1, 4} <= tested
    assert len(np.unique(ready.test.truth["episode"])) == 3  # two stalls and -1


def test_training_and_threshold_see_no_high_step(tmp_path):
    for by in ("time", "entity"):
        table = clusters(rows=600)
        ready = prepared(table.assign(**{LABEL: np.tile(_late(600), 8)}), tmp_path, by)
        for part in (ready.train, ready.validation):
            assert (part.truth["high_steps"] == 0).all()


def _late(rows):
    """High steps in every part of a cut by time."""
    return np.isin(np.arange(rows), [100, 101, 102, 470, 471, 580, 581]).astype(int)


def test_no_window_crosses_a_gap_or_a_cluster(tmp_path):
    table = clusters(stalled=(1,)).assign(**{LATENCY: np.arange(8 * 140) + 1.0})
    ready = prepared(table.drop(index=range(180, 184)), tmp_path)
    for part in (ready.train, ready.validation, ready.test):
        windows = part.take(part.truth["rehearsed"] == 0).features[:, :, 0]
        assert np.all(np.diff(windows, axis=1) == 1)
        assert np.all((windows[:, 0] - 1) // 140 == (windows[:, -1] - 1) // 140)


def test_one_long_cluster_does_not_decide_what_is_normal(tmp_path):
    long = clusters(count=1, rows=3000, stalled=()).assign(cluster_id="long")
    ready = prepared(pd.concat([long, clusters()], ignore_index=True), tmp_path)
    for part in (ready.train, ready.validation):
        assert len(part) < 1000  # the long one alone has 2,900 windows


def test_a_stall_is_found_by_any_window_that_ends_in_it():
    n = 8
    episode = np.array([-1, 2, 2, -1, 5, 5, 5, -1])
    examples = Examples(
        np.zeros((n, 1, 1), np.float32),
        {},
        np.arange(n),
        np.arange(n),
        {},
        {"episode": episode, "high_steps": (episode >= 0).astype(int), "rehearsed": np.zeros(n)},
    )
    figures = {metric.name: metric.compute for metric in stalls.METRICS}
    flags = {FLAG: np.array([1, 0, 1, 0, 0, 0, 0, 0])}
    assert figures["stalls_found"](examples, flags, np.ones(n)) == 0.5
    assert figures["false_alarms_outside_stalls"](examples, flags, np.ones(n)) == pytest.approx(
        1 / 3
    )


def test_stalls_end_with_their_run_and_single_steps_are_none():
    high = np.array([0, 1, 1, 1, 0, 1, 0, 1, 1], bool)
    run_of = np.array([0, 0, 0, 1, 1, 1, 1, 1, 1])
    event, since = stalls.events(high, run_of)
    assert event.tolist() == [-1, 1, 1, 3, -1, 5, -1, 7, 7]
    assert since.tolist() == [0, 0, 1, 0, 0, 0, 0, 0, 1]
    assert stalls.long_enough(event).tolist() == [False, True, True, *[False] * 4, True, True]


def test_a_rehearsed_stall_is_the_age_of_a_waiting_proposal(tmp_path):
    ready = prepared(clusters(), tmp_path)
    acted = ready.test.take(ready.test.truth["rehearsed"] == 3)
    np.testing.assert_array_equal(
        acted.features[:, -3:, 0], np.tile([1000, 2000, 3000], (len(acted), 1))
    )
    assert acted.features[:, -WINDOW:-3].max() < 500
    assert (acted.targets[LABEL] == 1).all()


def test_clusters_as_slow_as_a_stall_rehearse_none(tmp_path):
    table = clusters()
    table[LATENCY] *= np.where(table[LABEL], 1, 200)  # 1 to 8 s
    ready = prepared(table, tmp_path)
    assert not (ready.test.truth["rehearsed"] == 2).any()


def test_stalls_are_found_and_quiet_clusters_stay_quiet(tmp_path):
    file = tmp_path / "clusters.csv"
    clusters().to_csv(file, index=False)
    params = models.read_params(Path(__file__).resolve().parents[3] / "params.yaml")
    quick = params.model_copy(
        update={
            "evaluate": params.evaluate.model_copy(update={"resamples": 10}),
            "sections": {"consensus_latency": {"lstm_units": [8, 4], "batch_size": 32}},
        }
    )
    found = run("consensus", file, "entity", quick, Silent())
    gates = {gate["name"]: gate for gate in found["gates"]}
    assert gates["rehearsed_stalls_found"]["value"] == 1
    assert gates["stalls_found"]["value"] == 1
    assert gates["false_alarms"]["value"] < 0.2  # eight clusters settle no threshold


def test_without_a_label_every_flag_is_a_false_alarm_and_rehearsals_stand_in(tmp_path):
    ready = prepared(clusters(stalled=()).drop(columns=LABEL), tmp_path)
    assert "stalls_found" not in {rule.name for rule in ready.rules}
    assert any("every flag counts as a false alarm" in note for note in ready.notes)
    real = ready.test.truth["rehearsed"] == 0
    assert not ready.test.targets[LABEL][real].any()
    assert ready.test.targets[LABEL][~real].all()


# --- bad input ---


def refused(table, tmp_path, error, words, by="entity"):
    with pytest.raises(error, match=words) as caught:
        prepared(table, tmp_path, by)
    assert "\n" not in str(caught.value)


def test_a_label_that_is_never_set_is_refused(tmp_path):
    refused(clusters(stalled=()), tmp_path, BacktestError, "no row has is_high_latency = 1")


def test_nothing_normal_is_refused(tmp_path):
    refused(clusters().assign(**{LABEL: 1}), tmp_path, BacktestError, "none is normal")


def test_no_stall_in_the_test_part_is_said(tmp_path):
    refused(clusters(rows=600), tmp_path, BacktestError, "use --by entity", by="time")


def test_a_latency_of_zero_asks_for_the_age_of_the_waiting_proposal(tmp_path):
    table = clusters()
    table.loc[10, LATENCY] = 0
    refused(table, tmp_path, BacktestError, "age of the oldest pending proposal")


def test_a_constant_cluster_is_refused(tmp_path):
    table = clusters()
    table.loc[table.cluster_id == "c2", LATENCY] = 4.0
    refused(table, tmp_path, BacktestError, "'c2': consensus_latency_ms is 4 throughout")


def test_one_cluster_cannot_be_split_by_entity(tmp_path):
    refused(clusters(count=1, stalled=(0,)), tmp_path, BacktestError, "one entity only")


def test_too_short_series_are_refused(tmp_path):
    refused(clusters(rows=2 * WINDOW - 1, stalled=()).assign(**{LABEL: 0}).drop(columns=LABEL),
            tmp_path, BacktestError, "longer series")  # fmt: skip


def test_an_irregular_step_is_refused(tmp_path):
    table = clusters()
    table["timestamp"] = table["timestamp"] * 10 + np.where(table.index % 2, 4, 0)
    refused(table, tmp_path, GapError, "no constant step")


def test_a_missing_latency_column_is_named(tmp_path):
    refused(clusters().drop(columns=LATENCY), tmp_path, MissingColumnError, LATENCY)
