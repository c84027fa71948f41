"""The compression selector: an oracle that is right, a model that follows it honestly."""

import numpy as np
import pytest
from fleet import Quiet, fleet_parts

from dwcp_ml.export.canonical import canonical, canonical_bytes
from dwcp_ml.export.session import open_session, score
from dwcp_ml.models.compression_metrics import regret_pct
from dwcp_ml.models.compression_network import FEATURES
from dwcp_ml.models.compression_rivals import best_fixed, choose
from dwcp_ml.models.compression_selector import MODEL, CompressionParams, soft_labels
from dwcp_ml.telemetry.simulator.compression import cost_table, gains

PARAMS = CompressionParams(train_rows=20_000, validation_rows=4_000, test_rows=8_000, epochs=12)


@pytest.fixture(scope="module")
def examples():
    return {role: MODEL.examples(part, PARAMS) for role, part in fleet_parts().items()}


@pytest.fixture(scope="module")
def fitted(examples):
    return MODEL.fit(examples["train"], examples["validation"], PARAMS, Quiet())


def figure(name, examples, outputs):
    metric = next(m for m in MODEL.metrics if m.name == name)
    return metric.compute(examples, outputs, np.ones(len(examples)))


def test_oracle_label_is_the_best_level_for_the_next_steps_latent_bandwidth(examples):
    t = examples["test"].truth
    best = gains(t["machine"], t["payload"], t["cpu_share"], t["next_latent_mbps"]).argmax(axis=1)
    np.testing.assert_array_equal(best, examples["test"].targets["level"])


def test_gain_of_sending_as_it_is_is_one():
    n = 100
    rng = np.random.default_rng(0)
    found = gains(
        rng.integers(6, size=n), rng.integers(9, size=n), np.full(n, 0.5), rng.uniform(1, 2000, n)
    )
    np.testing.assert_allclose(found[:, 0], 1.0)
    assert (found > 0).all()


def test_slow_link_gains_the_ratio_and_fast_link_loses_to_the_processor():
    table = cost_table()
    machine, payload = np.array([0]), np.array([0])
    slow = gains(machine, payload, np.ones(1), np.array([0.001]))
    np.testing.assert_allclose(slow[0], table.ratio[0])
    fast = gains(machine, payload, np.ones(1), np.array([1e6]))
    assert (fast[0, 1:] < 1).all()


def test_model_follows_the_oracle_better_than_a_shallow_tree(examples, fitted):
    test = examples["test"]
    rivals = MODEL.baselines(examples["train"], examples["validation"], PARAMS)
    model = MODEL.predict(fitted, test.features)
    tree, fixed = rivals["tree_depth_4"](test), rivals["best_fixed"](test)
    assert figure("clear_agreement", test, model) > figure("clear_agreement", test, tree)
    assert figure("mean_regret_pct", test, model) < figure("mean_regret_pct", test, tree)
    assert figure("throughput_gain_pct", test, model) > figure("throughput_gain_pct", test, fixed)


def test_shuffled_labels_leave_no_more_than_the_best_fixed_level(examples):
    rng = np.random.default_rng(0)
    shuffled = {}
    for role in ("train", "validation"):
        e = examples[role].take(np.arange(len(examples[role])))
        order = rng.permutation(len(e))
        for name in e.targets:
            e.targets[name][:] = e.targets[name][order]
        shuffled[role] = e
    params = PARAMS.model_copy(update={"epochs": 3})
    blind = MODEL.predict(
        MODEL.fit(shuffled["train"], shuffled["validation"], params, Quiet()),
        examples["test"].features,
    )
    test = examples["test"]
    fixed = [figure("agreement", test, choose(np.full(len(test), k))) for k in range(10)]
    assert figure("agreement", test, blind) <= max(fixed) + 0.02


def test_faster_link_never_asks_for_a_much_higher_level(examples, fitted):
    some = examples["test"].features[:500]
    faster = some.copy()
    faster[:, FEATURES.index("throughput_mbps")] *= 20
    before = MODEL.predict(fitted, some)["compression_level"]
    after = MODEL.predict(fitted, faster)["compression_level"]
    assert np.mean(after <= before) > 0.97


def test_regret_of_the_oracle_is_zero_and_of_nothing_else_below(examples):
    test = examples["test"]
    assert regret_pct(test, choose(test.targets["level"])).max() < 1e-9
    assert regret_pct(test, choose(np.full(len(test), 9))).min() >= -1e-9


def test_soft_labels_are_shares_that_favour_the_oracles_level(examples):
    shares = soft_labels(examples["test"], PARAMS.temperature)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(shares.argmax(axis=1), examples["test"].targets["level"])


def test_best_fixed_level_comes_from_training_rows(examples):
    train = examples["train"]
    means = np.exp(train.targets["log_gain"]).mean(axis=0)
    assert best_fixed(train) == means.argmax()


def test_graph_and_saved_model_answer_as_the_network(tmp_path, examples, fitted):
    MODEL.save(fitted, tmp_path)
    some = examples["test"].features[:400]
    native = MODEL.predict(fitted, some)
    again = MODEL.predict(MODEL.load(tmp_path), some)
    graph = score(open_session(canonical_bytes(MODEL.graph(fitted))), some)
    np.testing.assert_array_equal(again["compression_level"], native["compression_level"])
    np.testing.assert_array_equal(graph["compression_level"], native["compression_level"])
    np.testing.assert_allclose(graph["probabilities"], native["probabilities"], atol=1e-5)


def test_graph_has_one_matrix_before_those_of_the_layers(fitted):
    operators = [node.op_type for node in canonical(MODEL.graph(fitted)).graph.node]
    assert operators.count("MatMul") == 1 + len(PARAMS.units) + 1
    assert len(operators) <= 19


def test_an_ensemble_answers_the_mean_logit_of_its_members_in_as_many_nodes(examples, fitted):
    params = PARAMS.model_copy(update={"train_rows": 3000, "epochs": 2, "ensemble": 3})
    train, validation = (examples[role].take(slice(0, 3000)) for role in ("train", "validation"))
    log = Numbers()
    whole = MODEL.fit(train, validation, params, log)
    members = [
        MODEL.fit(train, validation, params.model_copy(update={"ensemble": 1, "seed": s}), Quiet())
        for s in (42, 43, 44)
    ]
    some = examples["test"].features[:500]
    logits = [np.log(MODEL.predict(one, some)["probabilities"]) for one in members]
    mean = np.exp(np.mean(logits, axis=0))
    expected = mean / mean.sum(axis=1, keepdims=True)
    graph = MODEL.graph(whole)
    found = score(open_session(canonical_bytes(graph)), some)["probabilities"]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)
    assert len(graph.graph.node) == len(MODEL.graph(fitted).graph.node)
    assert log.seen == [(n, 6) for n in range(1, 7)]


class Numbers:
    """A training log that keeps the numbers of the epochs."""

    def __init__(self):
        self.seen = []

    def epoch(self, number, of, figures):
        self.seen.append((number, of))
