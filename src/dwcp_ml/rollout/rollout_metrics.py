"""Prometheus metrics of the rollouts themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge

from dwcp_ml.rollout.state import Phase

if TYPE_CHECKING:
    from dwcp_ml.rollout.state import RolloutState, Verdict

VERDICTS: tuple[Verdict, ...] = ("pass", "fail", "inconclusive")
PROBLEMS = ("unreachable", "refused", "race")
OUTCOMES = ("sent", "failed", "dropped")


class RolloutMetrics:
    """What a dashboard or an alert needs to know of every rollout."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register with ``registry``; counters without a rollout start at 0."""
        of = ["namespace", "rollout"]

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"model_rollout_{name}", text, [*of, *labels], registry=registry)

        self._phase = gauge("phase", "1 for the phase it is in", "phase")
        self._step = gauge("step", "Index of the step, from 0")
        self._percent = gauge("percent", "Share of traffic that the canary should have")
        self._restarts = gauge("restarts", "Analyses begun anew because somebody changed something")
        self._verdict = gauge("gate_verdict", "1 for the gate's last verdict", "gate", "verdict")
        self._effect = gauge("gate_effect", "Last effect, in the gate's unit", "gate")
        self._moves = Counter(
            "model_rollout_transitions", "Phases entered", [*of, "phase"], registry=registry
        )
        self._problems = Counter(
            "model_rollout_api_errors", "API server: errors by kind", [*of, "kind"],
            registry=registry,
        )  # fmt: skip
        self._webhooks = Counter(
            "model_rollout_webhooks", "Messages by outcome", ["outcome"], registry=registry
        )
        self._last: dict[tuple[str, str], RolloutState] = {}
        for outcome in OUTCOMES:
            self._webhooks.labels(outcome)

    def saw(self, namespace: str, rollout: str, state: RolloutState) -> None:
        """Record the state after a round."""
        of = (namespace, rollout)
        last = self._last.get(of)
        if last is None:
            for kind in PROBLEMS:
                self._problems.labels(*of, kind)
            for phase in Phase:
                self._moves.labels(*of, phase.value)
        elif (last.phase, last.step) != (state.phase, state.step):
            self._moves.labels(*of, state.phase.value).inc()
        self._last[of] = state
        for phase in Phase:
            self._phase.labels(*of, phase.value).set(phase is state.phase)
        self._step.labels(*of).set(state.step)
        self._percent.labels(*of).set(state.percent)
        self._restarts.labels(*of).set(state.restarts)
        self._gates(of, last, state)

    def problem(self, namespace: str, rollout: str, kind: str) -> None:
        """Count an error of the API server."""
        self._problems.labels(namespace, rollout, kind).inc()

    def webhook(self, outcome: str) -> None:
        """Count a message."""
        self._webhooks.labels(outcome).inc()

    def forget(self, namespace: str, rollout: str) -> None:
        """Drop the series of a rollout that was deleted."""
        self._last.pop((namespace, rollout), None)
        of = {"namespace": namespace, "rollout": rollout}
        for family in (
            self._phase, self._step, self._percent, self._restarts, self._verdict, self._effect,
            self._moves, self._problems,
        ):  # fmt: skip
            family.remove_by_labels(of)

    def _gates(self, of: tuple[str, str], last: RolloutState | None, state: RolloutState) -> None:
        gone = {one.gate for one in last.gates} if last is not None else set()
        for name in gone - {one.gate for one in state.gates}:
            labels = {"namespace": of[0], "rollout": of[1], "gate": name}
            self._verdict.remove_by_labels(labels)
            self._effect.remove_by_labels(labels)
        for one in state.gates:
            for verdict in VERDICTS:
                self._verdict.labels(*of, one.gate, verdict).set(verdict == one.verdict)
            self._effect.labels(*of, one.gate).set(
                float("nan") if one.effect is None else one.effect
            )
