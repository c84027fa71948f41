"""What a person asks for: the ``spec`` of a ModelRollout as frozen models.

Field names are camelCase in YAML. An unknown key is refused. Durations are written as Kubernetes
does: ``90s``, ``5m``, ``1h30m``.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator
from pydantic.alias_generators import to_camel

DURATION = re.compile(r"^(?=\d)(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$")


def read_duration(value: object) -> object:
    """Read ``1h30m`` as a timedelta; a timedelta passes."""
    if not isinstance(value, str):
        return value
    match = DURATION.match(value)
    if match is None:
        raise ValueError(f"'{value}' is not a duration; write it like 90s, 5m or 1h30m")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def write_duration(value: timedelta) -> str:
    """Write a timedelta as ``90s``."""
    return f"{int(value.total_seconds())}s"


Duration = Annotated[
    timedelta, BeforeValidator(read_duration), PlainSerializer(write_duration, return_type=str)
]


class Strict(BaseModel):
    """Frozen, camelCase in YAML, no unknown keys."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )


class Target(Strict):
    """The model to roll out; merged over ``predictor.model`` of the InferenceService.

    ``version`` and ``lineage`` are recorded and shown, never interpreted.
    """

    storage_uri: str = Field(min_length=1, description="immutable location of the version")
    runtime: str | None = Field(None, description="ServingRuntime; None keeps the present one")
    version: str | None = None
    lineage: dict[str, str] = {}


class Strategy(Strict):
    """Steps and clocks."""

    steps: tuple[Annotated[int, Field(ge=1, le=99)], ...] = (1, 5, 10, 25, 50)
    step_duration: Duration = timedelta(minutes=2)
    analysis_interval: Duration = timedelta(seconds=30)
    step_deadline: Duration = timedelta(minutes=15)
    ready_deadline: Duration = timedelta(minutes=5)
    apply_deadline: Duration = timedelta(minutes=2)
    watch_window: Duration = timedelta(minutes=10)
    max_restarts: int = Field(2, ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> Strategy:
        if list(self.steps) != sorted(set(self.steps)):
            raise ValueError("strategy.steps must rise")
        if self.step_deadline < self.step_duration:
            raise ValueError("strategy.stepDeadline is shorter than stepDuration")
        return self


GateKind = Literal[
    "error-ratio", "latency", "rejected-ratio", "score-distribution", "golden", "metric"
]

# A pass is evidence that the effect is below the limit, which no canary equal to stable could
# give at these values.
LEAST_LIMIT: dict[str, float] = {
    "error-ratio": 0.0,
    "rejected-ratio": 0.0,
    "latency": 1.0,
    "score-distribution": 0.0,
    "golden": 0.0,
}


class Gate(Strict):
    """One question asked at every step; the canary is compared with stable over the same minutes.

    ``limit`` is in the kind's own effect: error-ratio and rejected-ratio: greatest excess over
    stable, as a fraction of requests; latency: greatest ratio canary/stable of ``quantile``;
    score-distribution: greatest Kolmogorov-Smirnov distance; golden: greatest relative error;
    metric: bound of the PromQL ``query`` in ``direction``.
    """

    name: str = Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")
    kind: GateKind
    limit: float = Field(allow_inf_nan=False)
    quantile: float = Field(0.99, gt=0, lt=1)
    min_samples: int = Field(100, ge=1, description="requests of either side before a verdict")
    source: Literal["prometheus", "prober", "either"] = "either"
    query: str | None = Field(None, description="kind metric: PromQL, {{revision}} is filled in")
    direction: Literal["min", "max"] = "max"

    @model_validator(mode="after")
    def _query(self) -> Gate:
        if (self.kind == "metric") != (self.query is not None):
            raise ValueError(f"gate {self.name}: 'query' belongs to kind metric, and must be there")
        least = LEAST_LIMIT.get(self.kind)
        if least is not None and self.limit <= least:
            raise ValueError(
                f"gate {self.name}: limit must be above {least:g}, or no canary could ever pass"
            )
        return self


# Names of what a server counts; the first is that of `dwcp serve`, the second that of the proxy
# beside every container of a Knative revision, whatever the model server.
PRESETS: dict[str, dict[str, str]] = {
    "dwcp": {
        "requests": "dwcp_requests_total",
        "latency": "dwcp_request_seconds",
        "rejected": "dwcp_rejected_inputs_total",
        "score": "dwcp_model_score",
        "code_label": "code",
    },
    "knative": {
        "requests": "kn_serving_invocation_duration_seconds_count",
        "latency": "kn_serving_invocation_duration_seconds",
        "rejected": "",
        "score": "",
        "code_label": "http_response_status_code",
    },
}


class Metrics(Strict):
    """Where and how to read Prometheus.

    ``preset`` fills in the names that are not given; an empty one says that there is none. A name
    may carry matchers, as in ``requests_total{route="infer"}``; ``latency`` and ``score`` are
    histograms, without _bucket.
    """

    prometheus_url: str
    preset: Literal["dwcp", "knative"] = "dwcp"
    requests: str = Field("", description="counter of answers by status")
    latency: str | None = None
    rejected: str | None = Field(None, description="counter; empty: answers with a 4xx status")
    score: str | None = None
    revision_label: str = Field("revision", description="label that names the revision")
    code_label: str = ""
    matchers: dict[str, str] = Field(
        {"namespace": "{{namespace}}"}, description="labels that every series must have"
    )
    stale_after: Duration = timedelta(seconds=60)
    preflight_span: Duration = Field(
        timedelta(minutes=2), description="every query must have data of stable for so long"
    )

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        names = PRESETS.get(given.get("preset", "dwcp"), {})
        filled = dict(given)
        for field, name in names.items():
            key = to_camel(field) if to_camel(field) in given else field
            unset = ("", None) if field in ("requests", "code_label") else (None,)
            if filled.get(key) in unset:
                filled[key] = name
        return filled


class Prober(Strict):
    """Requests of our own to both revisions through the gateway's tag hosts, labelled apart."""

    gateway: str = Field(description="base URL of the gateway, for example http://kourier.example")
    rate_per_s: float = Field(10, gt=0, le=200, description="requests a second to each revision")
    requests: tuple[dict[str, Any], ...] = Field((), description="V2 bodies; empty: golden ones")
    timeout: Duration = timedelta(seconds=5)
    model: str | None = Field(None, description="name in the V2 path; None: the InferenceService's")
    revision_header: str = Field(
        "x-model-revision",
        description="answer's header that names the revision, where there is one",
    )


class Golden(Strict):
    """A V2 request and the outputs that the target must give."""

    request: dict[str, Any]
    outputs: dict[str, list[float]]
    tolerance: float = Field(1e-4, gt=0, description="relative, with the same absolute floor")


class Verification(Strict):
    """Asked of the dark revision before it gets traffic."""

    golden: tuple[Golden, ...] = ()
    replay: tuple[dict[str, Any], ...] = Field((), description="V2 requests, compared with stable")
    max_replay_disagreement: float = Field(0.5, ge=0, le=1)


class Webhook(Strict):
    """Receives Slack-compatible JSON ``{"text": ...}``."""

    url: str | None = None
    url_file: str | None = Field(None, description="file that holds the URL, for example a Secret")
    on: tuple[Literal["started", "step", "promoted", "rolled-back", "halted"], ...] = (
        "started",
        "promoted",
        "rolled-back",
        "halted",
    )


class Command(Strict):
    """One action of a person, told apart by ``id``; done once."""

    name: Literal["abort", "promote", "undo", "retry"]
    id: str
    by: str
    at: str


class RolloutSpec(Strict):
    """``spec`` of a ModelRollout."""

    inference_service: str = Field(min_length=1)
    mode: Literal["Auto", "Knative", "Standard"] = "Auto"
    target: Target
    template: dict[str, Any] | None = Field(
        None, description="spec of the InferenceService, to create it where there is none"
    )
    strategy: Strategy = Strategy()
    gates: tuple[Gate, ...] = ()
    metrics: Metrics | None = None
    prober: Prober | None = None
    verification: Verification = Verification()
    notify: tuple[Webhook, ...] = ()
    paused: bool = False
    command: Command | None = None

    @model_validator(mode="after")
    def _sources(self) -> RolloutSpec:
        names = [gate.name for gate in self.gates]
        if len(set(names)) != len(names):
            raise ValueError("two gates have the same name")
        for gate in self.gates:
            if gate.kind == "golden":
                continue
            if self.metrics is None and (gate.source == "prometheus" or self.prober is None):
                raise ValueError(f"gate {gate.name} has no source: give metrics or prober")
            if self.prober is None and gate.source == "prober":
                raise ValueError(f"gate {gate.name} asks for the prober; give prober")
        return self
