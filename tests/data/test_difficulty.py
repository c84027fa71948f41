"""The simulated task is neither easy nor impossible, and its inputs do not hold its answers.

Rivals are fitted on one fleet and judged on another, whose seed nobody trained on. The fleets
have as many nodes as that of params.yaml, because the mix of machines and links decides how well
a shallow tree does. Over 30 pairs of seeds its agreement with the oracle was .83 to .90, median
.88, with 120 nodes (below .90 in all), but .83 to .91 with 48.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from dwcp_ml import metrics, models
from dwcp_ml.models.base import Examples, Outputs
from dwcp_ml.models.consensus_rivals import log_ratio, median_mad, static
from dwcp_ml.params import Params
from dwcp_ml.telemetry.dataset import INCIDENTS, Part, Role
from dwcp_ml.telemetry.simulator import simulate
from dwcp_ml.telemetry.simulator.compression import gains
from dwcp_ml.telemetry.windows import Columns, read_columns

STEPS = 1800
SEEDS: dict[Role, int] = {"train": 42, "validation": 43, "fresh": 1001}
PARAMS = Path(__file__).parents[2] / "params.yaml"


@dataclass(frozen=True)
class Task:
    """One model's examples of three fleets."""

    name: str
    params: Params
    parts: dict[Role, Part]

    def examples(self, role: Role) -> Examples:
        return models.get(self.name).examples(
            self.parts[role], models.section(self.params, self.name)
        )

    def rivals(self) -> dict:
        return models.get(self.name).baselines(
            self.examples("train"),
            self.examples("validation"),
            models.section(self.params, self.name),
        )

    def figure(self, metric: str, examples: Examples, outputs: Outputs) -> float:
        (found,) = (m for m in models.get(self.name).metrics if m.name == metric)
        return found.compute(examples, outputs, np.ones(len(examples)))


@pytest.fixture(scope="module")
def params() -> Params:
    return models.read_params(PARAMS)


@pytest.fixture(scope="module")
def parts(params, tmp_path_factory) -> dict[Role, Part]:
    made = {}
    for role, seed in SEEDS.items():
        raw = tmp_path_factory.mktemp(role) / "raw"
        smaller = params.simulate.model_copy(update={"steps": STEPS})
        simulate(smaller, raw, seed=seed)
        made[role] = Part(
            raw / "telemetry", raw / "truth", raw / INCIDENTS, params.simulate.step_s, role
        )
    return made


@pytest.fixture
def task(request, params, parts) -> Task:
    return Task(request.param, params, parts)


def about(name: str):
    return pytest.mark.parametrize("task", [name], indirect=True)


@about("bandwidth_predictor")
def test_persistence_misses_the_bandwidth_target_and_the_ceiling_passes_it(task):
    test = task.examples("fresh")
    last = {"next_throughput_mbps": test.features[:, -1, 2]}
    r = task.figure("within_link_r", test, last)
    mape = task.figure("mape_pct", test, last)
    assert mape >= 5 or r < 0.98
    assert mape == pytest.approx(5.8, abs=0.3)
    best = models.get(task.name).ceiling(test)
    assert task.figure("within_link_r", test, best) >= 0.985
    assert task.figure("mape_pct", test, best) < 4.5
    assert task.figure("class_change_accuracy", test, best) > 0.6
    assert task.figure("class_accuracy_far", test, best) > 0.98


@about("bandwidth_predictor")
def test_a_smoother_misses_the_bandwidth_target_too(task):
    from dwcp_ml.models.bandwidth_rivals import answer, ewma

    test = task.examples("fresh")
    for alpha in (0.3, 0.5, 0.7):
        smooth = answer(test, ewma(test.features[:, :, 2], alpha), None)
        assert task.figure("mape_pct", test, smooth) >= 5


@about("compression_selector")
def test_a_shallow_tree_misses_the_oracle_and_one_who_knows_the_link_meets_it(task):
    test, rivals = task.examples("fresh"), task.rivals()
    agreement = {
        name: task.figure("clear_agreement", test, rival(test)) for name, rival in rivals.items()
    }
    assert agreement["tree_depth_4"] < 0.90, agreement
    assert agreement["best_fixed"] < 0.6
    regret = task.figure("mean_regret_pct", test, rivals["best_fixed"](test))
    assert regret > 2
    best = models.get(task.name).ceiling(test)
    assert task.figure("clear_agreement", test, best) >= 0.98
    assert task.figure("mean_regret_pct", test, best) < 2


@about("node_reliability")
def test_the_largest_deviation_misses_node_incidents_and_the_likelihood_ratio_meets_them(task):
    test, rivals = task.examples("fresh"), task.rivals()
    precision = {
        name: task.figure("average_precision", test, rival(test)) for name, rival in rivals.items()
    }
    assert precision["max_z"] < 0.85, precision
    assert precision["best_single"] < 0.90, precision
    best = models.get(task.name).ceiling(test)
    assert task.figure("average_precision", test, best) > 0.95
    assert task.figure("recall_at_fpr_5pct", test, best) >= 0.98


@about("node_reliability")
def test_incidents_are_rare_and_of_every_type_and_severity(task):
    test = task.examples("fresh")
    assert test.targets["is_anomaly"].mean() == pytest.approx(
        task.params.simulate.incidents.prevalence, abs=0.02
    )
    assert len(np.unique(test.slices["incident_type"])) == 5
    assert len(np.unique(test.slices["severity"])) == 5
    assert set(np.unique(test.slices["lookalike"])) == {"", "restart", "load_peak"}


@about("consensus_latency")
def test_no_static_threshold_finds_episodes_and_one_who_knows_the_base_does(task):
    test = task.examples("fresh")
    label, latency = test.targets["is_high_latency"], test.features[:, -20:, 0]
    for score in (static(test.features), *latency.T[-1:], np.median(latency, 1), latency.max(1)):
        assert best_balanced_accuracy(label, score) < 0.90
    fixed = task.rivals()["static_threshold"](test)
    assert task.figure("balanced_accuracy", test, fixed) < 0.90
    best = models.get(task.name).ceiling(test)
    assert task.figure("balanced_accuracy", test, best) >= 0.98


@about("consensus_latency")
def test_episodes_need_the_clusters_own_baseline(task):
    """Against its own recent median a cluster's episodes are plain; within the window, not."""
    test = task.examples("fresh")
    label = test.targets["is_high_latency"]
    alone = test.features[:, -20:]
    assert best_balanced_accuracy(label, median_mad(test.features)) > 0.9
    assert best_balanced_accuracy(label, np.abs(log_ratio(alone)).max(axis=1)) < 0.90
    assert 0.02 < label.mean() < 0.3


def best_balanced_accuracy(label, score) -> float:
    """Balanced accuracy at the threshold that suits the test itself best: a generous rival."""
    order = np.argsort(-score, kind="stable")
    hit = np.cumsum(label[order] == 1) / (label == 1).sum()
    false = np.cumsum(label[order] == 0) / (label == 0).sum()
    return float((hit + 1 - false).max() / 2)


INPUTS = {
    "bandwidth_predictor": ("throughput_mbps", 1),
    "compression_selector": ("optimal_compression", 0),
    "node_reliability": ("is_anomaly", 0),
    "consensus_latency": ("is_high_latency", 0),
}


@pytest.mark.parametrize("name", INPUTS)
def test_no_input_equals_or_nearly_equals_the_target_of_its_step(name, parts):
    target, ahead = INPUTS[name]
    inputs = models.get(name).inputs[0].features
    columns = read_columns(parts["fresh"].telemetry, (*inputs, target))
    true = by_node(columns, target)[:, ahead:]
    for column in inputs:
        values = by_node(columns, column)[:, : STEPS - ahead]
        assert not np.array_equal(values, true), column
        if np.unique(true).size > 10:  # a label of few words meets small counts by chance
            assert (values == true).mean() < 0.05, column
        for of in (lambda x: x.ravel(), lambda x: np.log(np.maximum(x, 1e-9)).ravel()):
            assert abs(correlation(of(values), true.ravel())) < 0.9999, column
            assert abs(correlation(of(values), of(true))) < 0.9999, column
        within = [correlation(v, t) for v, t in zip(values, true, strict=True)]
        assert np.nanmax(np.abs(within)) < 0.9999, column


def test_the_truth_is_no_column_of_the_telemetry(parts):
    telemetry = read_columns(parts["fresh"].telemetry, ("throughput_mbps", "bandwidth_mbps"))
    truth = read_columns(parts["fresh"].truth, ("latent_mbps", "next_latent_mbps"))
    for name in ("latent_mbps", "next_latent_mbps"):
        assert (telemetry["throughput_mbps"] == truth[name]).mean() < 0.05
        assert correlation(telemetry["throughput_mbps"], truth[name]) < 0.9999


def test_the_compression_oracle_uses_the_cost_table_and_the_next_latent_bandwidth(parts):
    names = ("machine", "payload", "cpu_share", "latent_mbps", "next_latent_mbps")
    truth = read_columns(parts["fresh"].truth, names)
    latent, coming = by_node(truth, "latent_mbps"), by_node(truth, "next_latent_mbps")
    assert np.array_equal(coming[:, :-1], latent[:, 1:])
    label = read_columns(parts["fresh"].telemetry, ("optimal_compression",))["optimal_compression"]

    def oracle(bandwidth: str):
        cost = (truth[n] for n in names[:3])
        return gains(*cost, truth[bandwidth].astype(float)).argmax(axis=1)

    told, now = oracle("next_latent_mbps") == label, oracle("latent_mbps") == label
    assert told.mean() > 0.999  # the rest are ties broken by the rounding of the truth
    assert now.mean() < told.mean() - 0.005


def by_node(columns: Columns, name: str):
    return np.asarray(columns[name], float).reshape(-1, STEPS)


def correlation(a, b) -> float:
    """Pearson's; 0 where one does not vary."""
    return float(np.corrcoef(a, b)[0, 1]) if np.std(a) > 0 and np.std(b) > 0 else 0.0


def test_balanced_accuracy_here_is_that_of_the_package():
    rng = np.random.default_rng(0)
    label, score = rng.integers(0, 2, 500), rng.standard_normal(500)
    ours = best_balanced_accuracy(label, score)
    weights = np.ones(500)
    every = [metrics.balanced_accuracy(label, score >= t)(weights) for t in score]
    assert ours == pytest.approx(max(every))
