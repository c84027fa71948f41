"""How sure a verdict must be, and how that is kept over a whole rollout.

Every look at every gate is one more chance to roll a healthy canary back. The chance of doing so
anywhere in a rollout is bounded by dividing FALSE_ROLLBACK: evenly over the places where analysis
starts anew (steps, watch window, restarts) and over the tests made at a look (gates x sources),
and within a place over its looks as 1 / (k (k + 1)), whose sum over all k is 1. By the union bound
this holds whatever the dependence between tests and however many looks follow. Spending most on
the first looks is what finds a bad canary early; later looks have more samples instead.

A pass needs no such division over gates: every gate must pass, so one false pass among them
promotes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

FALSE_ROLLBACK = 0.005  # of a whole rollout; half of the 1 % that is promised
CONFIDENCE = 0.95  # one-sided, of the bounds that are compared with a gate's limit


@dataclass(frozen=True)
class Family:
    """All tests of one rollout.

    Attributes:
        tests: at one look, gates times sources.
        places: where looks start from 1 again: steps, watch window, restarts.
    """

    tests: int
    places: int

    def alpha(self, look: int) -> float:
        """Level of one test at the ``look``-th look of a place, counted from 1."""
        k = max(look, 1)
        return FALSE_ROLLBACK / (max(self.tests, 1) * max(self.places, 1)) / (k * (k + 1))
