"""What Prometheus knows of both revisions over one window, gate by gate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal

import numpy as np

from dwcp_ml.rollout.analysis.evidence import Counts, Distribution, Missing
from dwcp_ml.rollout.analysis.judge import judge_bound
from dwcp_ml.rollout.histograms import bounds_of, distribution_of, quantile_blocks
from dwcp_ml.rollout.observation import Check
from dwcp_ml.rollout.prometheus import SELECTOR, Prometheus, selector
from dwcp_ml.rollout.series import Increase, Series, UnusableError, increases

if TYPE_CHECKING:
    from dwcp_ml.rollout.analysis.evidence import Floats
    from dwcp_ml.rollout.analysis.judge import Evidence
    from dwcp_ml.rollout.observation import Window
    from dwcp_ml.rollout.spec import Gate, Metrics


@dataclass(frozen=True)
class Side:
    """One side of the comparison, its revision and its minutes."""

    role: Literal["canary", "stable"]
    revision: str
    since: datetime
    until: datetime


@dataclass
class PrometheusEvidence:
    """Reads one Prometheus for one InferenceService; answers are kept for the look they belong to.

    Attributes:
        prometheus: the server.
        metrics: names and labels.
        namespace: of the InferenceService.
        labels: revision -> value of the revision label, where that is not its name: in Standard
            mode it is the name of a ReplicaSet.
    """

    prometheus: Prometheus
    metrics: Metrics
    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict)
    _kept: dict[tuple[str, Side], list[Increase]] = field(default_factory=dict)

    def of(self, gate: Gate, window: Window) -> Evidence:
        """Evidence for a gate; Missing with the reason where there is none."""
        sides = _sides(window)
        if self._kept and next(iter(self._kept))[1].until not in {side.until for side in sides}:
            self._kept.clear()
        try:
            return self._of(gate, *sides, paired=window.stable_since is None)
        except UnusableError as error:
            return Missing(str(error))

    def preflight(self, gate: Gate, stable: str | None, now: datetime) -> Check:
        """Whether the gate's queries return data of stable; without one, whether they are valid."""
        name = f"prometheus/{gate.name}"
        try:
            if stable is None:
                self.prometheus.scalar("vector(1)", now, 60)
                return Check(
                    name, True, "Prometheus answers; there is no stable revision to ask of"
                )
            side = Side("stable", stable, now - self.metrics.preflight_span, now)
            found = self._of(gate, side, replace(side), paired=True)
        except UnusableError as error:
            return Check(
                name, None if error.transient else False, self._explained(gate, str(error))
            )
        if isinstance(found, Missing):
            return Check(name, False, found.why)
        return Check(name, True, "its queries return data of the stable revision")

    def _of(self, gate: Gate, canary: Side, stable: Side, *, paired: bool) -> Evidence:
        if gate.kind == "error-ratio":
            return self._errors(canary), self._errors(stable)
        if gate.kind == "rejected-ratio":
            return self._rejected(canary), self._rejected(stable)
        if gate.kind == "latency" and self.metrics.latency:
            c, s = (self._gains(self.metrics.latency, one, "_bucket") for one in (canary, stable))
            return quantile_blocks(c, s, gate.quantile, paired)
        if gate.kind == "score-distribution" and self.metrics.score:
            c, s = (self._gains(self.metrics.score, one, "_bucket") for one in (canary, stable))
            bounds = bounds_of(c, s)
            return self._scores(c, canary, bounds), self._scores(s, stable, bounds)
        if gate.kind == "metric" and gate.query:
            return self._metric(gate, gate.query, canary, stable)
        raise UnusableError(f"spec.metrics names nothing for a gate of kind {gate.kind}")

    def _errors(self, side: Side) -> Counts:
        """5xx among all answers but those that are the client's fault."""
        by_class = self._by_class(side)
        total = sum(count for kind, count in by_class.items() if kind != "4")
        return Counts(by_class.get("5", 0), total)

    def _rejected(self, side: Side) -> Counts:
        by_class = self._by_class(side)
        total = sum(by_class.values())
        if not self.metrics.rejected:
            return Counts(by_class.get("4", 0), total)
        rejected = sum(one.total for one in self._gains(self.metrics.rejected, side))
        return Counts(min(rejected, total), total)

    def _by_class(self, side: Side) -> dict[str, int]:
        found: dict[str, int] = {}
        for one in self._gains(self.metrics.requests, side):
            code = one.labels.get(self.metrics.code_label, "")
            if code[:1] not in {"1", "2", "3", "4", "5"}:
                raise UnusableError(
                    f"{self.metrics.requests} has '{code}' for a status in label "
                    f"'{self.metrics.code_label}'"
                )
            found[code[0]] = found.get(code[0], 0) + one.total
        return found

    def _scores(self, gains: list[Increase], side: Side, bounds: Floats) -> Distribution:
        """With one value that is not finite, if the histogram's sum says that there was any."""
        sums = self._raw(str(self.metrics.score), side, "_sum")
        poisoned = any(not np.isfinite(one.values).all() for one in sums)
        return replace(distribution_of(gains, bounds), non_finite=int(poisoned))

    def _metric(self, gate: Gate, query: str, canary: Side, stable: Side) -> Evidence:
        window_s = max(round((canary.until - canary.since).total_seconds()), 1)
        filled = (
            query.replace("{{revision}}", self._label(canary))
            .replace("{{stable}}", self._label(stable))
            .replace("{{namespace}}", self.namespace)
            .replace("{{window}}", f"{window_s}s")
        )
        stale_s = self.metrics.stale_after.total_seconds()
        return judge_bound(gate, self.prometheus.scalar(filled, canary.until, stale_s))

    def _gains(self, name: str, side: Side, suffix: str = "") -> list[Increase]:
        key = (name + suffix, side)
        if key not in self._kept:
            self._kept[key] = increases(
                self._raw(name, side, suffix),
                side.since.timestamp(),
                side.until.timestamp(),
                self.metrics.stale_after.total_seconds(),
            )
        return self._kept[key]

    def _raw(self, name: str, side: Side, suffix: str) -> list[Series]:
        matchers = {
            label: value.replace("{{namespace}}", self.namespace)
            for label, value in self.metrics.matchers.items()
        }
        matchers[self.metrics.revision_label] = self._label(side)
        selected = selector(name, suffix, **matchers)
        found = self.prometheus.raw(selected, side.since, side.until)
        if not found:
            raise UnusableError(f"Prometheus has no series {selected}")
        return found

    def _label(self, side: Side) -> str:
        return self.labels.get(side.revision, side.revision)

    def _explained(self, gate: Gate, why: str) -> str:
        """The reason, with the nearest metric that Prometheus does know."""
        if "no series" not in why:
            return why
        kinds = {"latency": self.metrics.latency, "score-distribution": self.metrics.score}
        match = SELECTOR.match(kinds.get(gate.kind) or self.metrics.requests)
        try:
            known = self.prometheus.names()
        except UnusableError:
            return why
        wanted = match[1] if match else ""
        if any(name.startswith(wanted) for name in known):
            return f"{why}; the metric is there, its labels differ"
        near = get_close_matches(wanted, known, n=1, cutoff=0.5)
        return f"{why}; did you mean '{near[0]}'?" if near else why


def _sides(window: Window) -> tuple[Side, Side]:
    return (
        Side("canary", window.canary, window.since, window.until),
        Side(
            "stable",
            window.stable,
            window.stable_since or window.since,
            window.stable_until or window.until,
        ),
    )
