"""Prometheus metrics of the server; plain integers on the hot path, families when scraped."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

import numpy as np
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client.metrics_core import Metric

    from dwcp_ml.serving.samples import SampleLog
    from dwcp_ml.serving.tensors import Array

CODES = (200, 400, 404, 405, 408, 413, 415, 422, 500, 503)
REASONS = (
    "malformed", "tensor", "not_finite", "rows", "unknown", "method", "too_large", "encoding",
    "no_answer", "not_ready", "timeout",
)  # fmt: skip
LATENCY_S = (
    0.00025, 0.0005, 0.00075, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.1,
    0.25, 0.5, 1.0, 2.5,
)  # fmt: skip
# Wide enough for probabilities, levels and Mbit/s alike.
SCORES = (
    0.01, 0.02, 0.05, *(i / 10 for i in range(1, 10)), *range(1, 10), 10, 20, 50, 100, 200, 500,
    1000, 2000, 5000, 10000,
)  # fmt: skip
NO_MODEL = "none"  # label of requests that name no model of ours; a client cannot add labels


class Histogram:
    """Counts per bucket; the last one is above all bounds."""

    def __init__(self, bounds: Sequence[float]) -> None:
        """Start with empty buckets under these upper bounds."""
        self.bounds = bounds
        self._edges = np.array(bounds)
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def observe_all(self, values: Array) -> None:
        """Count each value of an array."""
        counts = np.bincount(self._edges.searchsorted(values))
        for place in counts.nonzero()[0].tolist():
            self.counts[place] += int(counts[place])
        self.total += float(values.sum(dtype=float))

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulated, as Prometheus wants them."""
        cumulated = np.cumsum(self.counts).tolist()
        return list(zip([*map(str, self.bounds), "+Inf"], cumulated, strict=True))


class ModelMetrics:
    """Counters of one version of one model in one deployment."""

    def __init__(self, model: str, version: str = "", revision: str = "", digest: str = "") -> None:
        """All counters start at 0, so that a rate is known from the first request on."""
        self.labels = [model, version, revision]
        self.digest = digest
        self.requests = dict.fromkeys(CODES, 0)
        self.rejected = dict.fromkeys(REASONS, 0)
        self.in_flight = 0
        self.ready = False
        self.latency_s = Histogram(LATENCY_S)
        self.scores = Histogram(SCORES)

    def answered(self, code: int, taken_s: float) -> None:
        """Count one request."""
        self.requests[code] += 1
        self.latency_s.observe(taken_s)

    def observe_scores(self, values: Array) -> None:
        """Count the first output's values, one a row."""
        if len(values) == 1:
            self.scores.observe(values.item() if values.size == 1 else float(values.flat[0]))
        else:
            self.scores.observe_all(values.reshape(len(values), -1)[:, 0])


class ServerMetrics:
    """All metrics; renders Prometheus' text."""

    def __init__(self, samples: SampleLog | None = None) -> None:
        """Only the requests that name no model are counted yet."""
        self._samples = samples
        self.unknown = ModelMetrics(NO_MODEL)
        self.load_failures: dict[str, int] = {}
        self._models: dict[tuple[str, ...], ModelMetrics] = {}
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def of(self, model: str, version: str, revision: str, digest: str) -> ModelMetrics:
        """The counters of a version; those of an earlier load of the same file go on."""
        known = self._models.get((model, version, revision, digest))
        if known is None:
            known = ModelMetrics(model, version, revision, digest)
            self._models[model, version, revision, digest] = known
        return known

    def render(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Families of all counters; prometheus_client calls this."""
        labels = ["model", "version", "revision"]
        requests = CounterMetricFamily(
            "dwcp_requests",
            "Requests by HTTP status or its gRPC counterpart",
            labels=[*labels, "code"],
        )
        rejected = CounterMetricFamily(
            "dwcp_rejected_inputs", "Requests refused, by reason", labels=[*labels, "reason"]
        )
        in_flight = GaugeMetricFamily(
            "dwcp_requests_in_flight", "Requests being answered", labels=labels
        )
        latency = HistogramMetricFamily(
            "dwcp_request_seconds", "From the head of a request to its answer", labels=labels
        )
        scores = HistogramMetricFamily(
            "dwcp_model_score", "First output of each row", labels=labels
        )
        info = InfoMetricFamily("dwcp_model", "What is served", labels=labels)
        ready = GaugeMetricFamily("dwcp_model_ready", "1 while a version answers", labels=labels)
        failures = CounterMetricFamily(
            "dwcp_model_load_failures", "Versions that were refused", labels=["model"]
        )
        for name, count in self.load_failures.items():
            failures.add_metric([name], count)
        for one in (self.unknown, *self._models.values()):
            for code, count in one.requests.items():
                requests.add_metric([*one.labels, str(code)], count)
            for reason, count in one.rejected.items():
                rejected.add_metric([*one.labels, reason], count)
            latency.add_metric(one.labels, one.latency_s.buckets(), one.latency_s.total)
            if one is not self.unknown:
                in_flight.add_metric(one.labels, one.in_flight)
                scores.add_metric(one.labels, one.scores.buckets(), one.scores.total)
                info.add_metric(one.labels, {"digest": one.digest})
                ready.add_metric(one.labels, int(one.ready))
        yield from (requests, rejected, in_flight, latency, scores, info, ready, failures)
        if self._samples is not None:
            yield _kept(self._samples)


def _kept(samples: SampleLog) -> Metric:
    kept = CounterMetricFamily(
        "dwcp_samples", "Rows kept of users' requests, and those dropped", labels=["end"]
    )
    kept.add_metric(["written"], samples.written)
    kept.add_metric(["dropped"], samples.dropped)
    return kept
