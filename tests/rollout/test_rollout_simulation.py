"""Thousands of simulated rollouts through the real verdicts, seeded: how often they are wrong."""

from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
import pytest
from scipy.stats import beta
from simulated import SPEC, USERS_PER_S, Canary, rollout

ROLLOUTS = 1000


def outcomes(canary: Canary, watch: bool) -> list:
    with ProcessPoolExecutor(2) as pool:
        run = partial(rollout, canary=canary, watch=watch)
        return list(pool.map(run, range(ROLLOUTS), chunksize=25))


def told(what: str, wrong: int) -> str:
    """The rate with its exact 95 % interval; pytest -s prints it."""
    low, high = (
        beta.ppf(0.025, wrong, ROLLOUTS - wrong + 1),
        beta.ppf(0.975, wrong + 1, ROLLOUTS - wrong),
    )
    text = f"{what}: {wrong} of {ROLLOUTS} ({0 if wrong == 0 else low:.2%} to {high:.2%})"
    print(text)
    return text


def test_fewer_than_one_percent_of_healthy_rollouts_are_rolled_back():
    found = outcomes(Canary(), watch=True)
    lost = [one for one in found if not one.promoted]
    text = told("false rollbacks", len(lost))
    assert len(lost) < 0.01 * ROLLOUTS, (text, [one.why for one in lost[:5]])


@pytest.mark.parametrize(
    "canary", [Canary(slower=2.0), Canary(errors=0.02)], ids=["twice-as-slow", "2-percent-errors"]
)
def test_fewer_than_one_percent_of_bad_rollouts_are_promoted(canary):
    found = outcomes(canary, watch=False)
    missed = sum(one.promoted for one in found)
    text = told(f"missed {canary}", missed)
    assert missed < 0.01 * ROLLOUTS, text
    # A rollback because the deadline came would be no finding.
    by_deadline = sum(one.why.startswith("deadline") for one in found)
    assert by_deadline < 0.01 * ROLLOUTS, told("found by the deadline alone", by_deadline)


def test_five_percent_errors_at_one_percent_traffic_are_found_within_a_look_and_30_s():
    found = outcomes(Canary(errors=0.05), watch=False)
    interval_s = SPEC.strategy.analysis_interval.total_seconds()
    late = [one for one in found if one.promoted or one.at_s > interval_s + 30]
    at_s = np.array([one.at_s for one in found])
    print(f"found after {np.median(at_s):.0f} s (median), {np.quantile(at_s, 0.99):.0f} s (p99)")
    assert len(late) < 0.01 * ROLLOUTS, told("found late", len(late))
    # Only the first step's share of users ever met the canary.
    assert {one.percent for one in found} == {1}
    exposed = max(one.at_s * USERS_PER_S * one.percent / 100 for one in found)
    print(f"at most {exposed:.0f} users' requests met it")
