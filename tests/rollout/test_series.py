"""Raw samples of counters: what is counted, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dwcp_ml.rollout.histograms import bounds_of, distribution_of, quantile_blocks
from dwcp_ml.rollout.series import Increase, Series, UnusableError, increases


def series(values, at=None, **labels):
    at = np.arange(len(values)) * 10.0 if at is None else np.array(at, float)
    return Series({"__name__": "requests", "pod": "p", **labels}, at, np.array(values, float))


def gained(*found, since=0.0, until=30.0, stale=15.0):
    return sum(one.total for one in increases(found, since, until, stale))


def test_the_gain_lies_between_first_and_last_sample():
    assert gained(series([100, 105, 105, 120])) == 20


def test_a_restart_counts_from_zero():
    assert gained(series([100, 105, 3, 8])) == 13


def test_a_label_first_used_in_the_window_counts_its_first_event():
    old, new = series([100, 110, 120, 130], code="200"), series([1, 2], at=[20, 30], code="500")
    assert gained(old, new) == 32


def test_a_pod_first_seen_in_the_window_does_not_count_what_came_before():
    assert gained(series([0, 1, 1, 1]), series([500, 510], at=[20, 30], pod="q")) == 11


@settings(deadline=None)
@given(st.lists(st.integers(0, 50), min_size=2, max_size=30), st.sets(st.integers(1, 29)))
def test_restarts_never_make_the_gain_negative_or_too_large(steps, restarts):
    total, values, truth = 0, [], 0
    for i, step in enumerate(steps):
        total = step if i in restarts else total + step
        truth += step if i else 0
        values.append(total)
    found = gained(series(values), until=10.0 * len(steps), stale=1e9)
    assert 0 <= found <= truth


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ([], "no such series"),
        ([series([1, float("nan"), 2, 3])], "no counter can have"),
        ([series([1, float("inf"), 2, 3])], "no counter can have"),
        ([series([1, -1, 2, 3])], "no counter can have"),
        ([series([1, 2], at=[0, 5])], "stale: newest sample 25 s old"),
        ([series([1, 2], at=[20, 30])], "covers only the last 10 s of 30 s"),
        ([series([1], at=[15])], "only one sample"),
        ([series([1, 2, 3, 4], job="a"), series([1, 2, 3, 4], job="b")], "collected twice"),
        (
            [series([1, 2, 3, 4], instance="a:1"), series([1, 2, 3, 4], instance="a:2")],
            "collected twice",
        ),
    ],
)
def test_what_cannot_be_trusted_is_refused_with_the_reason(found, why):
    with pytest.raises(UnusableError, match=why):
        gained(*found)


def buckets(latencies_s, at_s, bounds):
    """Gains of a histogram scraped every second."""
    scrapes = np.arange(0, at_s.max() + 1)
    made = []
    for bound in [*bounds, np.inf]:
        seen = np.searchsorted(np.sort(at_s[latencies_s <= bound]), scrapes)
        made.append(Increase({"le": str(bound)}, scrapes[1:], np.diff(seen).astype(float)))
    return made


BOUNDS = [0.001 * 2 ** (i / 2) for i in range(16)]


def test_quantiles_of_blocks_follow_the_latencies():
    rng = np.random.default_rng(0)
    at = np.sort(rng.uniform(0, 120, 6000))
    fast = rng.lognormal(np.log(0.005), 0.4, 6000)
    blocks = quantile_blocks(buckets(2 * fast, at, BOUNDS), buckets(fast, at, BOUNDS), 0.5, True)
    assert len(blocks.canary_s) >= 20
    assert np.median(blocks.canary_s / blocks.stable_s) == pytest.approx(2, rel=0.05)
    assert np.median(blocks.stable_s) == pytest.approx(0.005, rel=0.05)


def test_blocks_of_other_minutes_have_one_length_on_both_sides():
    rng = np.random.default_rng(1)
    sides = []
    for length in (600, 120):
        at = np.sort(rng.uniform(0, length, 50 * length))
        sides.append(buckets(rng.lognormal(np.log(0.005), 0.4, len(at)), at, BOUNDS))
    blocks = quantile_blocks(*sides, 0.99, paired=False)
    assert not blocks.paired
    assert min(len(blocks.canary_s), len(blocks.stable_s)) >= 20
    assert np.median(blocks.canary_s) == pytest.approx(np.median(blocks.stable_s), rel=0.15)


def test_histograms_with_other_bounds_are_compared_at_those_they_share():
    rng = np.random.default_rng(2)
    at, taken = np.sort(rng.uniform(0, 60, 600)), rng.lognormal(-5, 0.4, 600)
    one, other = buckets(taken, at, BOUNDS), buckets(taken, at, BOUNDS[::2])
    bounds = bounds_of(one, other)
    assert len(bounds) == len(BOUNDS[::2]) + 1
    same = distribution_of(one, bounds), distribution_of(other, bounds)
    assert np.array_equal(same[0].weights, same[1].weights)
    with pytest.raises(UnusableError, match="share no buckets"):
        bounds_of(one, buckets(taken, at, [0.777]))
