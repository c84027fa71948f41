"""Resampling whole groups by weights is the same as repeating their rows."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from dwcp_ml import metrics as m
from dwcp_ml.evaluation.bootstrap import Resamples
from dwcp_ml.evaluation.dataset import Dataset, numbered, pooled
from dwcp_ml.models.base import Examples, Metric

MAE = Metric("mae", "1", "lower", m.prepared(lambda e, o: m.mae(e.targets["y"], o["y"])))
AP = Metric("ap", "1", "higher", m.prepared(
    lambda e, o: m.average_precision(e.targets["y"] > 0, o["y"])))  # fmt: skip
PLAIN = Metric("plain", "1", "lower", lambda e, o, w: float(w @ o["y"] / w.sum()))
BROKEN = Metric("broken", "1", "lower", lambda e, o, w: float(o["nothing"] @ w))


def sample(seed: int, size: int = 40, groups: int = 5) -> tuple[Examples, dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=size)
    group = np.array([f"link-{i}" for i in rng.integers(0, groups, size)])
    examples = Examples(
        np.zeros((size, 2), np.float32),
        {"y": truth},
        group,
        np.arange(size),
        {"side": np.where(truth > 0, "up", "down"), "some": np.where(truth > 0, "", "x")},
    )
    return numbered(examples), {"y": truth + rng.normal(size=size)}


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_each_resample_is_the_figure_on_its_explicitly_repeated_groups(seed):
    examples, outputs = sample(seed)
    resamples = Resamples.of(examples.group, 8, seed)
    mae, ap, plain = (resamples.draws(x, examples, outputs) for x in (MAE, AP, PLAIN))
    for i, times in enumerate(resamples.multiples):
        assert times.sum() == len(np.unique(examples.group))
        rows = np.concatenate(
            [np.repeat(np.flatnonzero(examples.group == g), int(t)) for g, t in enumerate(times)]
        )
        truth, answer = examples.targets["y"][rows], outputs["y"][rows]
        assert mae.resamples[i] == pytest.approx(np.abs(truth - answer).mean())
        assert plain.resamples[i] == pytest.approx(answer.mean())
        if (truth > 0).any() and (truth <= 0).any():
            assert ap.resamples[i] == pytest.approx(average_precision_score(truth > 0, answer))
        else:
            assert math.isnan(ap.resamples[i])


def test_equal_seeds_give_equal_intervals_and_other_seeds_others():
    examples, outputs = sample(1)
    low = [Resamples.of(examples.group, 50, s).draws(MAE, examples, outputs).interval(0.9)[0]
           for s in (3, 3, 4)]  # fmt: skip
    assert low[0] == low[1] != low[2]


def test_an_interval_covers_the_spread_between_groups_not_between_examples():
    group = np.repeat(np.arange(20), 500)
    offsets = np.random.default_rng(0).normal(size=20)[group]
    examples = Examples(np.zeros((10_000, 1)), {"y": np.zeros(10_000)}, group, group)
    draws = Resamples.of(group, 400, 0).draws(PLAIN, examples, {"y": offsets})
    low, high = draws.interval(0.95)
    assert 0.6 < high - low < 1.2  # 2 * 1.96 / sqrt(20), far from 2 * 1.96 / sqrt(10,000)


def test_one_group_alone_has_a_figure_but_no_interval():
    examples, outputs = sample(2, groups=1)
    draws = Resamples.of(examples.group, 50, 0).draws(MAE, examples, outputs)
    assert draws.value > 0
    assert all(math.isnan(edge) for edge in draws.interval(0.95))


def test_a_metric_that_raises_is_undefined_with_its_reason():
    examples, outputs = sample(3)
    draws = Resamples.of(examples.group, 5, 0).draws(BROKEN, examples, outputs)
    assert math.isnan(draws.value)
    assert draws.problem == "KeyError: 'nothing'"


def test_a_pool_keeps_the_groups_of_its_parts_apart():
    parts = [Dataset(f"seed-{i}", *_answered(i), 10, 0) for i in (1, 2)]
    both, again = pooled("fresh", parts)
    assert both.groups() == sum(p.groups() for p in parts)
    assert len(both.examples) == 80
    assert both.answers["model"]["y"][40] == parts[1].answers["model"]["y"][0]
    for part, copy in zip(parts, again, strict=True):
        assert copy.name == part.name
        assert copy.draws(MAE, "model").interval(0.9) == part.draws(MAE, "model").interval(0.9)


def test_a_pool_shares_its_memory_with_its_parts():
    both, parts = pooled("fresh", [Dataset(f"seed-{i}", *_answered(i), 10, 0) for i in (1, 2)])
    for part in parts:
        assert np.shares_memory(part.examples.features, both.examples.features)
        assert np.shares_memory(part.answers["model"]["y"], both.answers["model"]["y"])


def test_a_slice_holds_its_examples_only_and_the_empty_value_is_no_slice():
    dataset = Dataset("test", *_answered(5), 10, 0)
    assert dataset.values("side") == ["down", "up"]
    assert dataset.values("some") == ["x"]
    up = dataset.at("side", "up")
    assert up.name == "test:side=up"
    assert (up.examples.targets["y"] > 0).all()
    assert up.draws(MAE, "model").value != dataset.draws(MAE, "model").value


def _answered(seed):
    examples, outputs = sample(seed)
    return examples, {"model": outputs}
