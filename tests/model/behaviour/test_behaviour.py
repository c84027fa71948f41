"""Every model, trained small but for real, behaves: worse is worse, plain cases come out right.

The same checks on the registered models, with their figures: docs/behaviour.md.
"""

from functools import cache

import behaviour_checks as checks
import numpy as np
import pandas as pd
import pytest
import yaml
from behaviour_calibration import calibration
from fleet import Quiet, fleet_parts

from dwcp_ml import models
from dwcp_ml.export.canonical import canonical_bytes
from dwcp_ml.export.session import open_session, score
from dwcp_ml.models.node_features import LABEL, counted
from dwcp_ml.params import SimulateParams
from dwcp_ml.telemetry.ingest import ingest
from dwcp_ml.telemetry.schema import load_schema
from dwcp_ml.telemetry.simulator import simulate
from dwcp_ml.telemetry.split import raw_as_part

SMALL = {
    "bandwidth_predictor": {"train_windows": 12_000, "epochs": 3, "batch_size": 256},
    "compression_selector": {"train_rows": 20_000, "epochs": 8, "batch_size": 256},
    "consensus_latency": {"baseline_steps": 600, "train_stride": 12, "epochs": 4},
    "node_reliability": {},
}
ROWS = 1500
BRIEFLY_TRAINED = (
    0.04  # share of rows that a model may get wrong beyond what is asked of a full one
)
FALLS = "latency falls to half"


@cache
def trained(name):
    """Test examples, all of them, and the answers of the graph; once in a test process."""
    model = models.get(name)
    params = model.params_type(**SMALL[name])
    found = fleet_parts(nodes=20, steps=6000)
    train, validation, test = (
        model.examples(found[role], params) for role in ("train", "validation", "test")
    )
    fitted = model.fit(train, validation, params, Quiet())
    session = open_session(canonical_bytes(model.graph(fitted)))
    return train, test, lambda features: score(session, features)


def some(examples):
    index = np.linspace(0, len(examples) - 1, min(len(examples), ROWS)).astype(int)
    return examples.take(index)


def failed(found, kind, slack=0.0):
    mine = [c for c in found if c.kind == kind]
    assert mine
    wrong = [c for c in mine if c.bound is not None and c.value > c.bound + slack]
    return [(c.what, c.value, c.wrong) for c in wrong if set(c.wrong) - {FALLS} or not c.wrong]


@cache
def behaviour(name):
    _, test, answer = trained(name)
    rows = some(test)
    if name == "node_reliability":
        return checks.node(answer, rows.features, rows.features[rows.targets[LABEL] == 0])
    return getattr(checks, name.split("_")[0])(answer, rows.features)


@pytest.mark.parametrize("name", SMALL)
def test_neither_the_order_of_rows_nor_the_size_of_a_batch_changes_an_answer(name):
    _, test, answer = trained(name)
    assert failed(checks.same_rows(name, answer, some(test).features), "invariance") == []


def test_a_cluster_is_judged_by_its_own_level_whatever_the_unit():
    assert failed(behaviour("consensus_latency"), "invariance") == []


@pytest.mark.parametrize("name", SMALL)
def test_what_is_worse_is_answered_as_worse(name):
    assert failed(behaviour(name), "direction", BRIEFLY_TRAINED) == []


@pytest.mark.parametrize("name", SMALL)
def test_plain_cases_made_by_hand_come_out_right(name):
    assert failed(behaviour(name), "plain cases") == []


def test_a_cluster_that_becomes_faster_is_not_called_slow():
    assert not [c for c in behaviour("consensus_latency") if FALLS in c.wrong]


def test_an_anomaly_score_is_near_the_share_of_incidents_that_have_it():
    train, test, answer = trained("node_reliability")
    judged = test.take(counted(test))
    found = calibration(
        answer(judged.features)["anomaly_score"].astype(float),
        judged.targets[LABEL],
        float(train.targets[LABEL].mean()),
        judged.group,
    )
    assert found["as_served"]["expected_calibration_error"] < 0.02
    assert found["as_served"]["brier_skill"] > 0.6


def test_calibration_tells_a_calibrated_score_from_an_overconfident_one():
    rng = np.random.default_rng(0)
    chance = rng.random(50_000) ** 3
    label = (rng.random(50_000) < chance).astype(int)
    group = np.arange(50_000) % 50
    honest = calibration(chance, label, float(label.mean()), group)["as_served"]
    boastful = calibration(np.round(chance), label, float(label.mean()), group)["as_served"]
    assert honest["expected_calibration_error"] < 0.01 < boastful["expected_calibration_error"]
    assert honest["brier"] < boastful["brier"]


def test_odds_are_corrected_for_another_prevalence():
    rng = np.random.default_rng(1)
    chance = rng.random(200_000)
    label = (rng.random(200_000) < chance).astype(int)
    kept = (label == 0) | (rng.random(200_000) < 0.1)  # positives are ten times as rare now
    found = calibration(chance[kept], label[kept], float(label.mean()), np.arange(kept.sum()) % 50)
    assert found["as_served"]["expected_calibration_error"] > 0.1
    assert found["prevalence_corrected"]["expected_calibration_error"] < 0.01


# --- another unit, another order of links: the same data ---

UNITS = {  # column: (unit of the source, what a value of the schema is multiplied by)
    "rtt_ms": ("s", 1e-3),
    "jitter_ms": ("us", 1e3),
    "throughput_mbps": ("kbit/s", 1e3),
    "packet_loss": ("percent", 100.0),
    "amst_transfer_rate": ("MB/s", 1 / 8),
    "consensus_latency_ms": ("s", 1e-3),
    "error_rate": ("permille", 1e3),
    "failure_rate": ("1/day", 24.0),
}


@pytest.fixture(scope="module")
def fleet_frame(tmp_path_factory):
    """All input columns of a small fleet, as a user's table would hold them."""
    raw = tmp_path_factory.mktemp("fleet") / "raw"
    simulate(SimulateParams(nodes=6, steps=800, seed=11), raw)
    schema = load_schema()
    columns = [c.name for c in schema.columns if c.role != "derived"]
    frame = pd.read_parquet(raw / "telemetry")
    return frame[[c for c in columns if c in frame]]


def ingested(frame, columns, folder):
    """Examples of every model from a CSV that is read through a column map."""
    folder.mkdir()
    frame.to_csv(folder / "rows.csv", index=False)
    rules = {"step_s": 60, "timezone": "UTC", "sort": True, "columns": columns}
    (folder / "columns.yaml").write_text(yaml.safe_dump(rules))
    ingest([folder / "rows.csv"], folder / "columns.yaml", folder / "raw")
    part = raw_as_part(folder / "raw", "fresh")
    return {
        name: models.get(name).examples(part, models.get(name).params_type(**SMALL[name]))
        for name in SMALL
    }


@pytest.fixture(scope="module")
def as_it_is(fleet_frame, tmp_path_factory):
    return ingested(fleet_frame, {}, tmp_path_factory.mktemp("plain") / "in")


def test_a_source_in_other_units_gets_the_same_answers(fleet_frame, as_it_is, tmp_path):
    frame = fleet_frame.astype(dict.fromkeys(UNITS, float))
    columns = {}
    for name, (unit, factor) in UNITS.items():
        frame[name] *= factor
        frame = frame.rename(columns={name: f"source_{name}"})
        columns[name] = {"from": f"source_{name}", "unit": unit}
    found = ingested(frame, columns, tmp_path / "in")
    for name, examples in found.items():
        _, _, answer = trained(name)
        plain, other = answer(as_it_is[name].features), answer(examples.features)
        for output, values in plain.items():
            close = np.isclose(values, other[output], rtol=1e-3, atol=1e-5)
            assert close.mean() > 0.999, (name, output)


def test_links_in_another_order_get_the_same_answers(fleet_frame, as_it_is, tmp_path):
    nodes = sorted(set(fleet_frame["node_id"]) | set(fleet_frame["peer_id"]))
    names = dict(zip(nodes, reversed(nodes), strict=True))
    frame = fleet_frame.copy()
    for column in ("node_id", "peer_id"):
        frame[column] = frame[column].map(names)
    frame["cluster_id"] = "other-" + frame["cluster_id"].astype(str)
    frame = frame.sample(frac=1, random_state=0)
    found = ingested(frame, {}, tmp_path / "in")
    for name, examples in found.items():
        _, _, answer = trained(name)
        for output in answer(examples.features[:1]):
            before, after = (
                np.sort(answer(e.features)[output].astype(float), axis=0)
                for e in (as_it_is[name], examples)
            )
            np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-6)
