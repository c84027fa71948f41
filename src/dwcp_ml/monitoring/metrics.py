"""A drift verdict as Prometheus metrics: a text file, or sent to a push gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dwcp_ml.errors import EndpointError

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from dwcp_ml.monitoring.performance import Performance, WindowPerformance
    from dwcp_ml.monitoring.watch import Verdict

JOB = "dwcp-drift"
KINDS = ("input", "output", "missing", "performance")
PUSH_TIMEOUT_S = 30.0
OF_COLUMN = {
    "distance": "Distance of the newest window to the reference; of performance: by how much the "
    "figure is worse than usual, in its unit",
    "limit": "Distance above which the column drifts",
    "violated": "1 where the newest window is above the limit",
}


def text(verdict: Verdict, subject: str, now_s: float) -> str:
    """Prometheus' text format, for a node exporter's textfile folder or any web server."""
    from prometheus_client import generate_latest

    return generate_latest(registry(verdict, subject, now_s)).decode()


def push_metrics(verdict: Verdict, subject: str, url: str) -> None:
    """Send them to a push gateway, where they replace those of the same subject.

    Raises:
        EndpointError: the gateway cannot be reached or refuses them.
    """
    import time

    from prometheus_client import push_to_gateway

    try:
        push_to_gateway(
            url, JOB, registry(verdict, subject, time.time()), {"model": subject}, PUSH_TIMEOUT_S
        )
    except (OSError, ValueError) as error:
        raise EndpointError(f"the push gateway {url} did not take the metrics: {error}") from error


def registry(verdict: Verdict, subject: str, now_s: float) -> CollectorRegistry:
    """Gauges of the newest window, of the rule, and of the run itself.

    Args:
        verdict: what was found.
        subject: value of the label ``model``.
        now_s: end of the run, epoch seconds.
    """
    from prometheus_client import CollectorRegistry, Gauge

    made = CollectorRegistry()
    newest = verdict.windows[-1]

    def gauge(name: str, words: str, *labels: str) -> Gauge:
        return Gauge(f"dwcp_drift_{name}", words, ["model", *labels], registry=made)

    columns = {name: gauge(name, words, "column", "kind") for name, words in OF_COLUMN.items()}
    psi = gauge("psi", "Population stability index of the newest window", "column", "kind")
    for column in newest.columns:
        labels = (subject, column.name, column.kind)
        columns["distance"].labels(*labels).set(column.distance)
        columns["limit"].labels(*labels).set(column.limit)
        columns["violated"].labels(*labels).set(column.drifted)
        psi.labels(*labels).set(column.psi)
    if verdict.performance and newest.performance:
        told, late = newest.performance, (subject, verdict.performance.metric, KINDS[-1])
        columns["distance"].labels(*late).set(told.worse)
        columns["limit"].labels(*late).set(verdict.performance.limit)
        columns["violated"].labels(*late).set(told.drifted)
        figures = gauge("performance", "Figure of the model in the newest window", "metric", "who")
        for who, value in _figures(verdict.performance, told).items():
            figures.labels(subject, verdict.performance.metric, who).set(value)
    recent = verdict.windows[-verdict.rule.n :]
    kinds = gauge("windows_violated", "Of the last n windows of the rule, by kind", "kind")
    for kind in KINDS:
        kinds.labels(subject, kind).set(sum(kind in window.kinds for window in recent))
    single = {
        "windows_drifted": ("Of the last n windows of the rule", sum(w.drifted for w in recent)),
        "windows": ("Live windows that were compared", len(verdict.windows)),
        "retrain": ("1 when the rule asks for a new training", verdict.retrain),
        "window_start_seconds": ("Start of the newest window", newest.start.timestamp()),
        "last_run_seconds": ("When drift was last looked for, to its end", now_s),
    }
    for name, (words, value) in single.items():
        gauge(name, words).labels(subject).set(value)
    return made


def _figures(usual: Performance, told: WindowPerformance) -> dict[str, float]:
    found = {"model": told.value, "usual": usual.usual, "persistence": told.rival}
    return {who: value for who, value in found.items() if value == value}  # NaN differs from itself
