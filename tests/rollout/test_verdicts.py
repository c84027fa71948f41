"""What verdicts must never do, whatever the numbers."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dwcp_ml.rollout.analysis.evidence import (
    BlockQuantiles,
    Counts,
    Distribution,
    Judged,
    Missing,
    distribution,
)
from dwcp_ml.rollout.analysis.judge import judge, judge_bound, judge_golden
from dwcp_ml.rollout.analysis.latency import block_quantiles, judge_latency
from dwcp_ml.rollout.analysis.levels import FALSE_ROLLBACK, Family
from dwcp_ml.rollout.analysis.proportions import excess, judge_excess, p_worse
from dwcp_ml.rollout.analysis.ranks import paired_shift, unpaired_shift
from dwcp_ml.rollout.analysis.scores import distance, judge_scores
from dwcp_ml.rollout.spec import Gate

ERRORS = Gate(name="errors", kind="error-ratio", limit=0.01)
LATENCY = Gate(name="p50", kind="latency", limit=1.5, quantile=0.5)
SCORES = Gate(name="scores", kind="score-distribution", limit=0.2)
ALPHA = 1e-4
ORDER = {"pass": 0, "inconclusive": 1, "fail": 2}

counts = st.integers(0, 3000).flatmap(lambda n: st.builds(Counts, st.integers(0, n), st.just(n)))
positive = st.floats(1e-4, 10)


def errors(canary, stable, limit=0.01):
    return judge_excess(canary, stable, limit, 100, ALPHA, "errors").verdict


@settings(deadline=None)
@given(counts, counts, st.integers(1, 50))
def test_one_more_error_never_softens_a_verdict(canary, stable, more):
    worse = Counts(min(canary.events + more, canary.total), canary.total)
    assert ORDER[errors(worse, stable)] >= ORDER[errors(canary, stable)]


@settings(deadline=None)
@given(counts, counts)
def test_of_two_sides_only_one_can_be_worse(one, other):
    assert not (errors(one, other) == "fail" and errors(other, one) == "fail")
    assert errors(one, one) != "fail"
    there, back = excess(one, other), excess(other, one)
    assert there.low == pytest.approx(-back.high)


@settings(deadline=None)
@given(counts, counts)
def test_too_few_requests_never_pass(canary, stable):
    if min(canary.total, stable.total) < 100:
        assert errors(canary, stable) != "pass"


@given(counts, counts)
@settings(max_examples=40, deadline=None)
def test_the_test_of_shares_is_fishers(canary, stable):
    if canary.total and stable.total and canary.ratio > stable.ratio:
        table = [
            [canary.events, canary.total - canary.events],
            [stable.events, stable.total - stable.events],
        ]
        expected = stats.fisher_exact(table, alternative="greater").pvalue
        assert p_worse(canary, stable) == pytest.approx(expected, rel=1e-6, abs=1e-300)


def test_not_significant_alone_is_no_pass():
    assert errors(Counts(1, 150), Counts(0, 150)) == "inconclusive"
    assert errors(Counts(0, 1200), Counts(0, 1200)) == "pass"


def test_three_errors_against_a_clean_baseline_do_not_wait_for_the_fewest_requests():
    assert errors(Counts(3, 5), Counts(0, 1000)) == "fail"
    assert errors(Counts(2, 5), Counts(0, 1000)) == "inconclusive"
    assert errors(Counts(3, 5), Counts(0, 20)) == "inconclusive"


def latency(canary_s, stable_s, limit=1.5, paired=True, samples=1000):
    blocks = BlockQuantiles(np.array(canary_s), np.array(stable_s), samples, samples, paired)
    return judge_latency(blocks, 0.5, limit, 100, ALPHA).verdict


pairs = st.lists(st.tuples(positive, positive), min_size=0, max_size=40)


@settings(deadline=None)
@given(pairs, st.floats(1, 5), st.booleans())
def test_a_slower_canary_never_softens_a_verdict(found, factor, paired):
    c, s = [c for c, _ in found], [s for _, s in found]
    slower = [x * factor for x in c]
    assert ORDER[latency(slower, s, paired=paired)] >= ORDER[latency(c, s, paired=paired)]


@settings(deadline=None)
@given(pairs, st.booleans())
def test_of_two_sides_only_one_can_be_slower(found, paired):
    c, s = [c for c, _ in found], [s for _, s in found]
    assert not latency(c, s, paired=paired) == "fail" == latency(s, c, paired=paired)
    assert latency(c, c, paired=paired) != "fail"


@settings(deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=30, unique=True))
def test_the_paired_test_is_wilcoxons(values):
    d = np.array(values)
    d = d[np.abs(d) > 1e-6]
    # Without ties, scipy's exact distribution is the same statement.
    if len(d) and len(np.unique(np.abs(d))) == len(d):
        expected = stats.wilcoxon(d, alternative="greater", method="exact").pvalue
        assert paired_shift(d, 0.95).p_above == pytest.approx(expected, abs=1e-9)


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 10**6), min_size=1, max_size=12, unique=True),
    st.lists(st.integers(0, 10**6), min_size=1, max_size=12, unique=True),
)
def test_the_unpaired_test_is_mann_whitneys(a, b):
    above, below = np.array(a, float), np.array(b, float) + 0.5
    expected = stats.mannwhitneyu(above, below, alternative="greater", method="exact").pvalue
    assert unpaired_shift(above, below, 0.95).p_above == pytest.approx(expected, abs=1e-9)


def test_bounds_of_a_shift_hold_as_often_as_they_say():
    rng = np.random.default_rng(1)
    outside = [paired_shift(rng.normal(0, 1, 12), 0.95).low > 0 for _ in range(2000)]
    assert 0.03 < np.mean(outside) < 0.06


def test_a_shock_that_both_sides_share_is_no_difference():
    rng = np.random.default_rng(2)
    at = np.arange(1200) / 10
    sides = [rng.lognormal(-5, 0.4, 1200) for _ in range(2)]
    for side in sides:
        side[300:420] += 0.5  # 12 s: a pod starts beside both
    sides[0][420:430] += 1.0  # and one second of the canary's own
    blocks = block_quantiles((at, sides[0]), (at, sides[1]), 0.5, paired=True)
    assert judge_latency(blocks, 0.5, 1.3, 100, ALPHA).verdict == "pass"
    slow = block_quantiles((at, 2 * sides[0]), (at, sides[1]), 0.5, paired=True)
    assert judge_latency(slow, 0.5, 1.3, 100, ALPHA).verdict == "fail"


def test_a_latency_that_the_histogram_hides_is_inconclusive():
    hidden = BlockQuantiles(np.full(20, 0.005), np.full(20, 0.005), 999, 999, floor_s=0.005)
    assert judge_latency(hidden, 0.5, 1.3, 100, ALPHA).verdict == "inconclusive"
    over = BlockQuantiles(np.full(20, 2.5), np.full(20, 2.5), 999, 999, ceiling_s=2.5)
    assert judge_latency(over, 0.5, 1.3, 100, ALPHA).verdict == "inconclusive"


@pytest.mark.parametrize(
    ("canary_s", "stable_s", "verdict"),
    [
        (0.06, 0.001, "fail"),  # stable is faster than shown: slower all the same
        (0.001, 0.06, "pass"),
        (0.0012, 0.001, "inconclusive"),  # stable may be much faster than shown
        (2.5, 0.06, "fail"),  # the canary is slower than shown
        (0.06, 2.5, "pass"),
        (2.5, 2.4, "inconclusive"),
    ],
)
def test_a_histograms_bound_hides_only_the_verdict_that_it_could_change(
    canary_s, stable_s, verdict
):
    sides = (np.full(20, at_s) * np.linspace(0.99, 1.0, 20) for at_s in (canary_s, stable_s))
    blocks = BlockQuantiles(*sides, 999, 999, floor_s=0.001, ceiling_s=2.4)
    assert judge_latency(blocks, 0.5, 1.3, 100, ALPHA).verdict == verdict


values = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300).map(
    lambda v: distribution(np.array(v))
)


@settings(deadline=None)
@given(values, values)
def test_distance_is_kolmogorov_smirnovs_and_the_same_from_both_sides(a, b):
    flat = [np.repeat(side.values, side.weights) for side in (a, b)]
    assert distance(a, b) == pytest.approx(stats.ks_2samp(*flat, method="asymp").statistic)
    assert distance(a, b) == distance(b, a)


@settings(deadline=None)
@given(values, values, st.integers(1, 5))
def test_a_score_that_is_not_finite_never_passes(canary, stable, bad):
    for sides in (
        (replace(canary, non_finite=bad), stable),
        (canary, replace(stable, non_finite=bad)),
    ):
        assert judge_scores(*sides, 0.2, 1, ALPHA).verdict != "pass"
    assert judge_scores(replace(canary, non_finite=bad), stable, 0.2, 1, ALPHA).verdict == "fail"


def test_a_constant_canary_fails_and_a_constant_pair_does_not():
    rng = np.random.default_rng(3)
    spread = distribution(rng.random(500))
    constant = distribution(np.full(500, 0.5))
    assert judge_scores(constant, spread, 0.9, 100, ALPHA).verdict == "fail"
    assert judge_scores(constant, constant, 0.2, 100, ALPHA).verdict == "pass"
    histogram = Distribution(np.array([1.0, 2.0, np.inf]), np.array([0, 300, 0]))
    other = Distribution(np.array([1.0, 2.0, np.inf]), np.array([90, 210, 0]))
    assert judge_scores(histogram, other, 0.9, 100, ALPHA).verdict == "fail"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("direction", ["min", "max"])
def test_a_query_that_is_not_finite_never_passes(value, direction):
    gate = Gate(name="g", kind="metric", limit=1, query="x", direction=direction)
    assert judge_bound(gate, value).verdict == "inconclusive"


def test_golden_answers():
    assert judge_golden((1e-6, 2e-5), 1e-4).verdict == "pass"
    assert judge_golden((1e-6, 0.1), 1e-4).verdict == "fail"
    assert judge_golden((1e-6, float("nan")), 1e-4).verdict == "fail"
    assert judge_golden((1e-6, "no connection"), 1e-4).verdict == "inconclusive"
    assert judge_golden((), 1e-4).verdict == "inconclusive"


GOOD = (Counts(0, 2000), Counts(0, 2000))
BAD = (Counts(100, 2000), Counts(0, 2000))
LEANING = (Counts(3, 150), Counts(0, 150))
FEW = (Counts(0, 5), Counts(0, 5))


@pytest.mark.parametrize(
    ("prometheus", "prober", "verdict"),
    [
        (GOOD, GOOD, "pass"),
        (BAD, GOOD, "fail"),
        (GOOD, BAD, "fail"),
        (FEW, GOOD, "pass"),
        (FEW, FEW, "inconclusive"),
        (LEANING, GOOD, "inconclusive"),
        (Missing("down"), GOOD, "inconclusive"),
        (Missing("down"), BAD, "fail"),
        (GOOD, Missing("swapped"), "inconclusive"),
        (Judged("inconclusive", "hidden"), GOOD, "pass"),
    ],
)
def test_sources_agree_before_a_gate_passes(prometheus, prober, verdict):
    result = judge(ERRORS, {"prometheus": prometheus, "prober": prober}, ALPHA)
    assert result.verdict == verdict, result.why


def test_a_gate_that_nothing_measures_is_inconclusive():
    assert judge(ERRORS, {}, ALPHA).verdict == "inconclusive"


@settings(deadline=None)
@given(st.integers(1, 30), st.integers(1, 20), st.integers(1, 500))
def test_all_levels_of_a_rollout_add_up_to_less_than_is_promised(tests, places, looks):
    family = Family(tests, places)
    spent = tests * places * sum(family.alpha(look) for look in range(1, looks + 1))
    assert spent <= FALSE_ROLLBACK * (1 + 1e-9)


@pytest.mark.parametrize(("kind", "limit"), [("error-ratio", 0), ("latency", 1.0), ("golden", -1)])
def test_a_limit_that_nothing_could_pass_is_refused(kind, limit):
    with pytest.raises(ValueError, match="limit must be above"):
        Gate(name="g", kind=kind, limit=limit)
