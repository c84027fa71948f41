"""Simulated rollouts: traffic, probes and latency as KServe's gateway was seen to have them.

Latency: lognormal with p50 4-6 ms and p99 9-20 ms in quiet times (drawn anew for each rollout).
Shocks that both sides share (a pod starts on the same cores) last 1-6 s and slow requests up to a
second, about once a minute; each side has shocks of its own every few minutes, and rare slow
requests. The verdicts are those of the real code, at the looks that the operator makes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dwcp_ml.rollout.analysis.evidence import Counts, Distribution
from dwcp_ml.rollout.analysis.judge import judge
from dwcp_ml.rollout.analysis.latency import block_quantiles
from dwcp_ml.rollout.measure import family
from dwcp_ml.rollout.spec import Gate, RolloutSpec

USERS_PER_S, PROBES_PER_S = 50, 10
BUCKETS = np.linspace(0.05, 1.0, 20)
SPEC = RolloutSpec.model_validate(
    {
        "inferenceService": "model",
        "target": {"storageUri": "s3://models/model/v2"},
        "metrics": {"prometheusUrl": "http://prometheus"},
        "prober": {"gateway": "http://gateway"},
        "gates": [
            {"name": "errors", "kind": "error-ratio", "limit": 0.01},
            {"name": "rejected", "kind": "rejected-ratio", "limit": 0.02},
            {"name": "p50", "kind": "latency", "limit": 1.3, "quantile": 0.5},
            {"name": "p99", "kind": "latency", "limit": 1.6, "quantile": 0.99},
            {"name": "scores", "kind": "score-distribution", "limit": 0.15},
        ],
    }
)
GATES = {gate.name: gate for gate in SPEC.gates}


@dataclass(frozen=True)
class Canary:
    """What is wrong with it, beyond what both sides have."""

    slower: float = 1.0
    errors: float = 0.0


@dataclass(frozen=True)
class Outcome:
    promoted: bool
    why: str
    at_s: float  # since its first request, at a step
    percent: int


class World:
    """One rollout's own quiet latency, shocks and error rates."""

    def __init__(self, rng: np.random.Generator, canary: Canary):
        self.rng, self.canary = rng, canary
        self.p50_s = rng.uniform(0.004, 0.006)
        p99_s = rng.uniform(0.009, 0.020)
        self.sigma = np.log(p99_s / self.p50_s) / 2.326
        self.errors = rng.choice([0.0, 0.0005, 0.002])
        self.rejected = rng.choice([0.0, 0.001, 0.05])

    def probes(self, length_s: float, shocks, bad: bool):
        """Times and latencies, (n,), of one side's probes."""
        n = int(length_s * PROBES_PER_S)
        at = np.arange(n) / PROBES_PER_S
        taken = self.p50_s * np.exp(self.sigma * self.rng.standard_normal(n))
        taken *= np.where(self.rng.random(n) < 0.003, 8.0, 1.0)
        if bad:
            taken *= self.canary.slower
        for begin, lasts, slow in [*shocks, *self.shocks(length_s, 300)]:
            inside = (at >= begin) & (at < begin + lasts)
            taken[inside] += slow * self.rng.random(int(inside.sum()))
        return at, taken

    def shocks(self, length_s: float, every_s: float):
        """Begin, length and depth (s) of each."""
        count = self.rng.poisson(length_s / every_s)
        return np.column_stack(
            [
                self.rng.uniform(0, length_s, count),
                self.rng.uniform(1, 6, count),
                self.rng.uniform(0.05, 1.0, count),
            ]
        )

    def events(self, rate_per_s: float, length_s: float, share: float) -> np.ndarray:
        """Sorted times of the events among requests at a rate."""
        count = self.rng.poisson(rate_per_s * length_s * share)
        return np.sort(self.rng.uniform(0, length_s, count))


class Place:
    """One step (or the watch window): everything both sides see, cut at each look."""

    def __init__(self, world: World, percent: int, length_s: float):
        self.percent = percent
        shocks = world.shocks(length_s, 60)
        self.canary = world.probes(length_s, shocks, bad=True)
        self.stable = world.probes(length_s, shocks, bad=False)
        self.rates = {
            "canary": USERS_PER_S * percent / 100,
            "stable": USERS_PER_S * (100 - percent) / 100,
        }
        self.errors = {}
        self.rejections = {}
        self.scores = {}
        for side, rate in self.rates.items():
            share = world.errors + (world.canary.errors if side == "canary" else 0)
            self.errors[side] = (
                world.events(rate, length_s, share),
                world.events(PROBES_PER_S, length_s, share),
            )
            self.rejections[side] = world.events(rate, length_s, world.rejected)
            spread = world.rng.multinomial(
                int((rate + PROBES_PER_S) * 30), np.full(len(BUCKETS), 1 / len(BUCKETS)), 64
            )
            self.scores[side] = np.cumsum(spread, axis=0)

    def counts(self, side: str, upto_s: float, probes_only: bool) -> Counts:
        users, probes = self.errors[side]
        n = int(upto_s * PROBES_PER_S)
        k = int(np.searchsorted(probes, upto_s))
        if not probes_only:
            n += int(upto_s * self.rates[side])
            k += int(np.searchsorted(users, upto_s))
        return Counts(min(k, n), n)

    def rejected(self, side: str, upto_s: float) -> Counts:
        n = int(upto_s * (self.rates[side] + PROBES_PER_S))
        return Counts(min(int(np.searchsorted(self.rejections[side], upto_s)), n), n)

    def score(self, side: str, look: int) -> Distribution:
        return Distribution(BUCKETS, self.scores[side][look - 1])

    def latency(self, upto_s: float, gate: Gate, baseline=None):
        n = int(upto_s * PROBES_PER_S)
        canary = (self.canary[0][:n], self.canary[1][:n])
        stable = baseline or (self.stable[0][:n], self.stable[1][:n])
        return block_quantiles(canary, stable, gate.quantile, paired=baseline is None)


def looked(place: Place, look: int, interval_s: float, before: Place | None, before_s: float):
    """Results of all gates at one look."""
    upto = look * interval_s
    alpha = family(SPEC).alpha(look)
    stable, stable_s = (place, upto) if before is None else (before, before_s)
    baseline = None
    if before is not None:
        n = int(before_s * PROBES_PER_S)
        baseline = (before.stable[0][:n], before.stable[1][:n])
    last = max(int(stable_s // interval_s), 1)
    evidence = {
        "errors": {
            source: (place.counts("canary", upto, only), stable.counts("stable", stable_s, only))
            for source, only in (("prometheus", False), ("prober", True))
        },
        "rejected": {
            "prometheus": (
                place.rejected("canary", upto),
                stable.rejected("stable", stable_s),
            )
        },
        "p50": {"prober": place.latency(upto, GATES["p50"], baseline)},
        "p99": {"prober": place.latency(upto, GATES["p99"], baseline)},
        "scores": {
            "prometheus": (
                place.score("canary", look),
                stable.score("stable", last),
            )
        },
    }
    return [judge(gate, evidence[gate.name], alpha) for gate in SPEC.gates]


def rollout(seed: int, canary: Canary, watch: bool = True) -> Outcome:
    """Run a whole rollout: every step, then the watch window."""
    world = World(np.random.default_rng(seed), canary)
    plan = SPEC.strategy
    interval = plan.analysis_interval.total_seconds()
    place, lasted = None, 0.0
    for percent in plan.steps:
        place = Place(world, percent, plan.step_deadline.total_seconds())
        outcome, lasted = _step(place, interval, None, 0.0, plan.step_duration.total_seconds())
        if outcome is not None:
            return outcome
    if not watch:
        return Outcome(True, "", 0.0, 100)
    window = plan.watch_window.total_seconds()
    after = Place(world, 100, window + plan.step_deadline.total_seconds())
    outcome, _ = _step(after, interval, place, lasted, window)
    return outcome or Outcome(True, "", 0.0, 100)


def _step(place, interval, before, before_s, lasts_s):
    for look in range(1, int(len(place.canary[0]) / PROBES_PER_S / interval) + 1):
        upto = look * interval
        results = looked(place, look, interval, before, before_s)
        failed = [one for one in results if one.verdict == "fail"]
        if failed:
            why = f"{failed[0].gate}: {failed[0].why}"
            return Outcome(False, why, upto, place.percent), upto
        if upto >= lasts_s and all(one.verdict == "pass" for one in results):
            return None, upto
    why = "deadline: " + "; ".join(f"{r.gate}: {r.why}" for r in results if r.verdict != "pass")
    return Outcome(False, why, upto, place.percent), upto
