"""Weighted figures equal the plain ones on repeated rows, whichever way they are computed."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr
from sklearn import metrics as reference

from dwcp_ml import metrics as m

SIZES = st.integers(2, 60)
SEEDS = st.integers(0, 2**32 - 1)


def draw(seed, size):
    """Truth, noisy prediction, label, tied score and integer weights, at least one positive."""
    rng = np.random.default_rng(seed)
    truth = rng.lognormal(2, 1, size)
    label = rng.random(size) < 0.4
    score = np.round(label + rng.normal(0, 0.7, size), 1)
    return truth, truth * rng.lognormal(0, 0.3, size), label, score, rng.integers(0, 4, size)


def repeated(weights, *arrays):
    return [np.repeat(a, weights) for a in arrays]


@settings(max_examples=60, deadline=None)
@given(SEEDS, SIZES)
def test_average_precision_is_scikit_learns_on_repeated_rows(seed, size):
    _, _, label, score, weights = draw(seed, size)
    got = m.average_precision(label, score)(weights.astype(float))
    rows, ranks = repeated(weights, label, score)
    if rows.any() and not rows.all():
        assert got == pytest.approx(reference.average_precision_score(rows, ranks))
    else:
        assert math.isnan(got)


@settings(max_examples=60, deadline=None)
@given(SEEDS, SIZES)
def test_decisions_and_values_are_scikit_learns_on_repeated_rows(seed, size):
    truth, guess, label, score, weights = draw(seed, size)
    w, flag = weights.astype(float), score > 0.5
    t, g, y, f = repeated(weights, truth, guess, label, flag)
    if not len(t):
        assert math.isnan(m.mae(truth, guess)(w))
        return
    assert m.mae(truth, guess)(w) == pytest.approx(reference.mean_absolute_error(t, g))
    assert m.mape(truth, guess, floor=1e-9)(w) == pytest.approx(
        100 * reference.mean_absolute_percentage_error(t, g)
    )
    assert m.accuracy(label, flag)(w) == pytest.approx(np.mean(y == f))
    if y.any() and not y.all():
        assert m.recall(label, flag)(w) == pytest.approx(reference.recall_score(y, f))
        assert m.balanced_accuracy(label, flag)(w) == pytest.approx(
            reference.balanced_accuracy_score(y, f)
        )


@settings(max_examples=60, deadline=None)
@given(SEEDS, SIZES)
def test_recall_at_fpr_is_the_best_point_of_the_roc_curve_within_the_limit(seed, size):
    _, _, label, score, weights = draw(seed, size)
    rows, ranks = repeated(weights, label, score)
    got = m.recall_at_fpr(label, score, max_fpr=0.2)(weights.astype(float))
    if not rows.any() or rows.all():
        assert math.isnan(got)
        return
    alarm, hit, _ = reference.roc_curve(rows, ranks, drop_intermediate=False)
    assert got == pytest.approx(hit[alarm <= 0.2 + 1e-12].max())


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_median_within_group_correlation_is_the_median_of_each_groups_own(seed):
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 7, 300)
    truth, guess, *_ = draw(seed, 300)
    times = rng.integers(0, 3, 7)  # a resample of whole groups
    apart = [pearsonr(truth[group == g], guess[group == g])[0] for g in range(7)]
    got = m.median_group_correlation(truth, guess, group)(times[group].astype(float))
    assert got == pytest.approx(np.median(np.repeat(apart, times)), nan_ok=True)


def test_links_of_different_capacity_do_not_flatter_the_correlation():
    rng = np.random.default_rng(0)
    link = np.repeat(np.arange(8), 50)
    truth, guess = 10.0**link + rng.normal(size=400), 10.0**link + rng.normal(size=400)
    assert pearsonr(truth, guess)[0] > 0.999
    assert abs(m.median_group_correlation(truth, guess, link)(np.ones(400))) < 0.3


def test_a_constant_or_short_group_has_no_correlation():
    flat, moving = np.full(20, 0.1), np.arange(20.0)
    assert math.isnan(m.median_group_correlation(flat, moving, np.zeros(20))(np.ones(20)))
    assert math.isnan(m.median_group_correlation(moving, moving, moving // 5)(np.ones(20)))
    assert math.isnan(m.median_group_correlation([], [], [])(np.ones(0)))


EVERY = {
    "mape": lambda t, g, y, s, e: m.mape(t, g, floor=1.0),
    "wape": lambda t, g, y, s, e: m.wape(t, g),
    "within": lambda t, g, y, s, e: m.median_group_correlation(t, g, e, least=3),
    "balanced": lambda t, g, y, s, e: m.balanced_accuracy(y, s > 0.5),
    "ap": lambda t, g, y, s, e: m.average_precision(y, s),
    "recall_at_fpr": lambda t, g, y, s, e: m.recall_at_fpr(y, s, max_fpr=0.1),
    "masked_mean": lambda t, g, y, s, e: m.where(y, m.mean(np.where(y, t, np.nan))),
    "masked_ap": lambda t, g, y, s, e: m.where(t > 5, m.average_precision(y, s)),
    "lambda": lambda t, g, y, s, e: lambda w: float(w @ t),
}


@pytest.mark.parametrize("name", EVERY)
def test_the_short_way_by_group_gives_the_same_figure(name):
    truth, guess, label, score, _ = draw(5, 400)
    codes = np.random.default_rng(5).integers(0, 9, 400)
    times = np.random.default_rng(6).multinomial(9, np.ones(9) / 9).astype(float)
    figure = EVERY[name](truth, guess, label, score, codes)
    assert m.per_group(figure, codes, 9)(times) == pytest.approx(figure(times[codes]), rel=1e-9)


@pytest.mark.parametrize("name", [n for n in EVERY if n not in ("lambda", "masked_mean")])
def test_where_is_the_same_as_leaving_the_rows_out(name):
    truth, guess, label, score, weights = draw(8, 200)
    codes = np.arange(200) % 5
    kept = np.random.default_rng(1).random(200) < 0.6
    figure = EVERY[name](truth, guess, label, score, codes)
    apart = EVERY[name](truth[kept], guess[kept], label[kept], score[kept], codes[kept])
    w = weights.astype(float)
    assert m.where(kept, figure)(w) == pytest.approx(apart(w[kept]), rel=1e-9)


def test_a_model_that_answers_nan_has_no_figure():
    broken = np.array([0.1, np.nan, 0.3])
    assert math.isnan(m.average_precision([0, 1, 1], broken)(np.ones(3)))
    assert math.isnan(m.wape([1.0, 2.0, 3.0], broken)(np.ones(3)))


def test_a_metric_prepares_once_for_each_pair_of_examples_and_outputs():
    class Part:
        pass

    calls = []
    compute = m.prepared(lambda ex, out: calls.append(out["k"]) or m.mean([out["k"]]))
    one, two, outputs = Part(), Part(), {"k": 1.0}
    for examples, answers in [(one, outputs)] * 3 + [(one, {"k": 2.0}), (two, outputs)]:
        assert compute(examples, answers, np.ones(1)) == answers["k"]
    assert calls == [1.0, 2.0, 1.0]
