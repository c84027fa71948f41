"""Does what ``needs`` asks for between two decisions, and adds it to the observation."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dwcp_ml.rollout.analysis.evidence import Missing
from dwcp_ml.rollout.analysis.judge import judge, judge_golden
from dwcp_ml.rollout.analysis.levels import Family
from dwcp_ml.rollout.evidence_prober import answered, evidence_of
from dwcp_ml.rollout.evidence_prometheus import PrometheusEvidence
from dwcp_ml.rollout.observation import Check
from dwcp_ml.rollout.prober import Prober
from dwcp_ml.rollout.prometheus import Prometheus
from dwcp_ml.rollout.v2 import Endpoint
from dwcp_ml.rollout.verification import golden_error, verify

if TYPE_CHECKING:
    from collections.abc import Callable

    from dwcp_ml.rollout.adapter import Adapter, Hosts
    from dwcp_ml.rollout.analysis.judge import Evidence
    from dwcp_ml.rollout.observation import Needs, Observation, Window
    from dwcp_ml.rollout.prober import Place
    from dwcp_ml.rollout.spec import Gate, RolloutSpec
    from dwcp_ml.rollout.state import GateResult

MEASURED_TWICE = ("error-ratio", "latency", "rejected-ratio", "score-distribution")


class Measurement:
    """Measures for one rollout; keeps its prober and its connection to Prometheus.

    One object serves one loop: rounds follow each other.
    """

    def __init__(
        self,
        namespace: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Nothing is opened before it is needed.

        Args:
            namespace: of the InferenceService.
            clock: aware time.
        """
        self._namespace, self._clock = namespace, clock
        # Kept over rounds: the watch window still asks for a stable revision that is gone.
        self._labels: dict[str, str] = {}
        self._prober: Prober | None = None
        self._probed: Any = None
        self._prometheus: PrometheusEvidence | None = None

    async def __call__(
        self, spec: RolloutSpec, needs: Needs, seen: Observation, adapter: Adapter
    ) -> Observation:
        """``seen`` with the measurements that were asked for."""
        return await asyncio.to_thread(self.measure, spec, needs, seen, adapter.hosts())

    def close(self) -> None:
        """Stop probing; give connections back."""
        if self._prober is not None:
            self._prober.close()
        if self._prometheus is not None:
            self._prometheus.prometheus.close()
        self._prober = self._prometheus = self._probed = None

    def measure(
        self, spec: RolloutSpec, needs: Needs, seen: Observation, hosts: Hosts
    ) -> Observation:
        """The same, and waits."""
        self._labels.update(hosts.labels)
        self._connect(spec)
        self._probe(spec, needs, hosts)
        now = self._clock()
        if needs.preflight:
            stable = seen.view.rolled_out if seen.view is not None else None
            seen = replace(seen, preflight=self._preflight(spec, stable, now))
        if needs.verify is not None:
            endpoint, (_, stable) = _endpoint(spec), needs.verify
            seen = replace(seen, verification=verify(spec.verification, endpoint, hosts, stable))
        if needs.analyse is not None:
            seen = replace(seen, gates=self._gates(spec, needs.analyse, hosts))
        if needs.answered is not None and self._prober is not None:
            seen = replace(
                seen, answered=answered(self._prober, needs.answered, now, self._names())
            )
        return seen

    def _connect(self, spec: RolloutSpec) -> None:
        known = self._prometheus
        if known is not None and known.metrics != spec.metrics:
            known.prometheus.close()
            self._prometheus = None
        if spec.metrics is not None and self._prometheus is None:
            self._prometheus = PrometheusEvidence(
                Prometheus(spec.metrics.prometheus_url),
                spec.metrics,
                self._namespace,
                self._labels,
            )

    def _probe(self, spec: RolloutSpec, needs: Needs, hosts: Hosts) -> None:
        """Probe what is asked for, with a prober that fits the spec."""
        reached = (hosts.public, hosts.canary, hosts.stable)
        wanted = (spec.prober, reached, spec.inference_service, spec.verification.golden)
        if self._prober is not None and self._probed != wanted:
            self._prober.close()
            self._prober = None
        bodies, endpoint = probe_bodies(spec), _endpoint(spec)
        if spec.prober is None or endpoint is None or not bodies:
            return
        if self._prober is None:
            header, rate = spec.prober.revision_header, spec.prober.rate_per_s
            self._prober = Prober(endpoint, hosts, bodies, rate, header)
            self._probed = wanted
        sides: tuple[Place, ...] = ("canary", "stable") if needs.prober else ()
        split: tuple[Place, ...] = ("public",) if needs.answered is not None else ()
        self._prober.probe(*sides, *split)

    def _preflight(self, spec: RolloutSpec, stable: str | None, now: datetime) -> tuple[Check, ...]:
        checks = [
            self._prometheus.preflight(gate, stable, now)
            for gate in spec.gates
            if self._prometheus is not None and _asks_prometheus(spec, gate)
        ]
        if spec.prober is not None:
            there = bool(probe_bodies(spec))
            why = "has requests" if there else "has no requests: give them, or golden ones"
            checks.append(Check("prober", there, why))
        for gate in spec.gates:
            if gate.kind == "golden":
                there = bool(spec.verification.golden) and spec.prober is not None
                why = "golden requests" if there else "needs verification.golden and a prober"
                checks.append(Check(f"golden/{gate.name}", there, why))
        return tuple(checks) or (Check("gates", True, "no gate asks for a measurement"),)

    def _gates(self, spec: RolloutSpec, window: Window, hosts: Hosts) -> tuple[GateResult, ...]:
        alpha = family(spec).alpha(window.look)
        return tuple(
            judge(gate, self._evidence(spec, gate, window, hosts), alpha) for gate in spec.gates
        )

    def _evidence(
        self, spec: RolloutSpec, gate: Gate, window: Window, hosts: Hosts
    ) -> dict[str, Evidence]:
        if gate.kind == "golden":
            return {"golden": self._golden(spec, gate, hosts)}
        found: dict[str, Evidence] = {}
        if self._prometheus is not None and _asks_prometheus(spec, gate):
            found["prometheus"] = self._prometheus.of(gate, window)
        if self._prober is not None and _asks_prober(gate):
            found["prober"] = evidence_of(gate, window, self._prober, self._names())
        return found

    def _names(self) -> dict[str, str]:
        """What answers call a revision -> the revision."""
        return {label: revision for revision, label in self._labels.items()}

    def _golden(self, spec: RolloutSpec, gate: Gate, hosts: Hosts) -> Evidence:
        endpoint = _endpoint(spec)
        if endpoint is None:
            return Missing("spec.prober.gateway is needed to ask the revision")
        golden = spec.verification.golden
        errors = tuple(golden_error(one, endpoint, hosts.canary) for one in golden)
        return judge_golden(errors, gate.limit)


def family(spec: RolloutSpec) -> Family:
    """All tests of a rollout, for the level of one."""
    tests = sum(1 + (gate.kind in MEASURED_TWICE) for gate in spec.gates)
    return Family(tests, len(spec.strategy.steps) + 1 + spec.strategy.max_restarts)


def probe_bodies(spec: RolloutSpec) -> tuple[dict[str, Any], ...]:
    """What the prober sends: its own requests, else the golden ones."""
    own = spec.prober.requests if spec.prober is not None else ()
    return own or tuple(golden.request for golden in spec.verification.golden)


def _asks_prometheus(spec: RolloutSpec, gate: Gate) -> bool:
    if gate.kind == "golden" or gate.source == "prober" or spec.metrics is None:
        return False
    names = {"latency": spec.metrics.latency, "score-distribution": spec.metrics.score}
    # "either" takes what there is; "prometheus" insists, and preflight then says what is missing.
    return gate.source == "prometheus" or bool(names.get(gate.kind, "named"))


def _asks_prober(gate: Gate) -> bool:
    return gate.source != "prometheus" and gate.kind in MEASURED_TWICE


def _endpoint(spec: RolloutSpec) -> Endpoint | None:
    if spec.prober is None:
        return None
    model = spec.prober.model or spec.inference_service
    return Endpoint(spec.prober.gateway, model, spec.prober.timeout.total_seconds())
