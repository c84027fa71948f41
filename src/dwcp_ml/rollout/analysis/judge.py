"""One result a gate, from what the sources measured for it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from dwcp_ml.rollout.analysis.evidence import (
    BlockQuantiles,
    Counts,
    Distribution,
    Judged,
    Missing,
)
from dwcp_ml.rollout.analysis.latency import judge_latency
from dwcp_ml.rollout.analysis.proportions import judge_excess
from dwcp_ml.rollout.analysis.scores import judge_scores
from dwcp_ml.rollout.state import GateResult

if TYPE_CHECKING:
    from dwcp_ml.rollout.spec import Gate

    Evidence = (
        tuple[Counts, Counts]
        | tuple[Distribution, Distribution]
        | BlockQuantiles
        | Judged
        | Missing
    )

EVENTS = {"error-ratio": "errors", "rejected-ratio": "rejections"}


def judge(gate: Gate, evidence: Mapping[str, Evidence], alpha: float) -> GateResult:
    """The gate's result over all its sources.

    Args:
        gate: limit, quantile, fewest samples.
        evidence: by source ("prometheus", "prober"); canary before stable.
        alpha: level of each test, already divided.

    One failing source fails. A source that could not be read keeps the gate open, so that a
    Prometheus that is down never promotes. Of several sources that were read, one may pass for all
    (the prober has the samples while the canary has little traffic), unless another's estimate
    already lies beyond the limit.
    """
    if not evidence:
        return GateResult(gate.name, "inconclusive", "nothing measures this gate", limit=gate.limit)
    judged = {source: _judge(gate, found, alpha) for source, found in evidence.items()}
    source = _decisive(gate, judged)
    verdict = judged[source]
    if isinstance(verdict, Missing):
        why = f"{source}: {verdict.why}"
        return GateResult(gate.name, "inconclusive", why, limit=gate.limit, source=source)
    return GateResult(
        gate.name,
        verdict.verdict,
        f"{source}: {verdict.why}",
        verdict.canary_n,
        verdict.stable_n,
        verdict.effect,
        verdict.p_value,
        gate.limit,
        source,
    )


def judge_bound(gate: Gate, value: float) -> Judged:
    """Verdict on a value that has one bound and no rival."""
    if not math.isfinite(value):
        return Judged("inconclusive", f"the query gave {value}")
    good = value <= gate.limit if gate.direction == "max" else value >= gate.limit
    word = "at most" if gate.direction == "max" else "at least"
    return Judged(
        "pass" if good else "fail", f"{value:g}, must be {word} {gate.limit:g}", effect=value
    )


def judge_golden(errors: tuple[float | str, ...], limit: float) -> Judged:
    """Verdict on the relative errors of golden answers; a text says why one could not be had."""
    if not errors:
        return Judged("inconclusive", "no golden requests are declared")
    lost = [error for error in errors if isinstance(error, str)]
    if lost:
        return Judged("inconclusive", f"{len(lost)} of {len(errors)} unanswered: {lost[0]}")
    worst = max(math.inf if math.isnan(float(error)) else float(error) for error in errors)
    return Judged(
        "pass" if worst <= limit else "fail",
        f"{len(errors)} golden answers, worst relative error {worst:.3g}, limit {limit:g}",
        len(errors),
        0,
        worst,
    )


def _judge(gate: Gate, evidence: Evidence, alpha: float) -> Judged | Missing:
    if isinstance(evidence, Judged | Missing):
        return evidence
    if isinstance(evidence, BlockQuantiles):
        return judge_latency(evidence, gate.quantile, gate.limit, gate.min_samples, alpha)
    canary, stable = evidence
    if isinstance(canary, Counts) and isinstance(stable, Counts):
        words = EVENTS.get(gate.kind, "events")
        return judge_excess(canary, stable, gate.limit, gate.min_samples, alpha, words)
    if isinstance(canary, Distribution) and isinstance(stable, Distribution):
        return judge_scores(canary, stable, gate.limit, gate.min_samples, alpha)
    return Missing("the two sides were measured differently")


def _decisive(gate: Gate, judged: Mapping[str, Judged | Missing]) -> str:
    """The source whose verdict is the gate's."""

    def rank(source: str) -> int:
        one = judged[source]
        if isinstance(one, Missing):
            return 1
        if one.verdict == "fail":
            return 0
        beyond = one.effect is not None and one.effect > gate.limit
        if one.verdict == "inconclusive" and beyond:
            return 2
        return 3 if one.verdict == "pass" else 4

    return min(judged, key=rank)
