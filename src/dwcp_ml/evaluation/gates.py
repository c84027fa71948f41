"""From a model's rules to gates with a verdict; see also ``limits`` for those of all models.

The verdict is on the point value. The interval is reported beside it, because a bound is a
promise about this test set, while the interval says how much another fleet could differ.
A gate that cannot be evaluated has not passed, and ``why`` says what was missing.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dwcp_ml.evaluation.bootstrap import Draws
from dwcp_ml.evaluation.dataset import MODEL, Dataset

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dwcp_ml.models.base import GateRule, Metric


@dataclass(frozen=True)
class Gate:
    """One verdict, as the reports, the model card and the metadata hold it."""

    name: str
    metric: str
    slice: str  # "test:all", "fresh:link_type=edge"; "all" where no examples are involved
    value: float | None
    ci_low: float | None
    ci_high: float | None
    bound: float
    direction: Literal["min", "max"]
    passed: bool
    why: str

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def judge(
    name: str,
    metric: str,
    where: str,
    draws: Draws,
    bound: float,
    direction: Literal["min", "max"],
    *,
    confidence: float = 0.95,
    detail: str = "",
) -> Gate:
    """Hold a figure against its bound; an undefined figure does not pass."""
    low, high = draws.interval(confidence)
    if not math.isfinite(draws.value):
        why = f"could not be evaluated: {draws.problem or 'the figure is undefined'}"
        return Gate(name, metric, where, None, None, None, bound, direction, False, why)
    value = draws.value + 0.0  # a loss of nothing is not told as -0
    passed = value >= bound if direction == "min" else value <= bound
    relation = {
        ("min", True): "is at least",
        ("min", False): "is below",
        ("max", True): "is at most",
        ("max", False): "is above",
    }[direction, passed]
    why = f"{_told(value, bound)} {relation} {bound:.4g}{detail}"
    return Gate(
        name, metric, where, value, finite(low), finite(high), bound, direction, passed, why
    )


def rule_gates(
    rule: GateRule, dataset: Dataset, metrics: Mapping[str, Metric], confidence: float
) -> list[Gate]:
    """Gates of one rule on one dataset: one, or one for each value of its slice."""
    if rule.slice == "all":
        return [_gate(rule, dataset, f"{dataset.name}:all", metrics, confidence)]
    name, _, value = rule.slice.partition("=")
    if name not in dataset.examples.slices:
        return [_missing(rule, dataset, f"the examples have no slice '{name}'")]
    values = [value] if value else dataset.values(name)
    if not values:
        return [_missing(rule, dataset, f"no example lies in a slice '{name}'")]
    return [_gate(rule, part, part.name, metrics, confidence)
            for part in (dataset.at(name, v) for v in values)]  # fmt: skip


def skill(model: Draws, rival: Draws, better: Literal["lower", "higher"]) -> Draws:
    """1 - model/rival where lower is better, model - rival where higher is; paired resamples."""
    problem = model.problem or rival.problem
    if better == "higher":
        return Draws(model.value - rival.value, model.resamples - rival.resamples, problem)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(1 - np.float64(model.value) / np.float64(rival.value))
        resamples = 1 - model.resamples / rival.resamples
    if not math.isfinite(value):
        problem = problem or "the rival's figure is zero"
    return Draws(value, resamples, problem)


def _gate(
    rule: GateRule, part: Dataset, where: str, metrics: Mapping[str, Metric], confidence: float
) -> Gate:
    title = rule.metric if rule.against is None else f"{rule.metric} skill over {rule.against}"
    draws = _figure(rule, part, metrics)
    groups = part.groups()
    detail = f" ({len(part.examples):,} examples, {groups} group{'s' * (groups != 1)})"
    return judge(
        rule.name,
        title,
        where,
        draws,
        rule.bound,
        rule.direction,
        confidence=confidence,
        detail=detail,
    )


def _figure(rule: GateRule, part: Dataset, metrics: Mapping[str, Metric]) -> Draws:
    if rule.metric not in metrics:
        return nothing(f"the model has no metric '{rule.metric}'")
    metric = metrics[rule.metric]
    model = part.draws(metric, MODEL)
    if rule.against is None:
        return model
    if rule.against not in part.answers:
        return nothing(f"there is no baseline '{rule.against}'")
    return skill(model, part.draws(metric, rule.against), metric.better)


def _missing(rule: GateRule, dataset: Dataset, problem: str) -> Gate:
    where = f"{dataset.name}:{rule.slice}"
    return judge(rule.name, rule.metric, where, nothing(problem), rule.bound, rule.direction)


def _told(value: float, bound: float) -> str:
    """Four digits, or as many more as tell the value from its bound."""
    texts = [f"{value:.{digits}g}" for digits in (4, 6, 9)]
    return next((t for t in texts if float(t) != bound), texts[0])


def nothing(problem: str) -> Draws:
    """A figure that does not exist, and why."""
    return Draws(float("nan"), np.empty(0), problem)


def finite(value: float) -> float | None:
    """The number, or None where JSON could not hold it."""
    return float(value) if math.isfinite(value) else None
