"""What Prometheus sees, minute by minute, and which alerts must fire then: those and no others.

Values are written as promtool reads them: ``0+600x90`` counts 600 a minute, ``_`` is no sample.
"""

from __future__ import annotations

from dataclasses import dataclass, field

MODEL = 'namespace="n",model="m",version="v1.0",revision="m-1"'
ROLLOUT = 'namespace="n",rollout="m"'
REQUESTS = f"dwcp_requests_total{{{MODEL},code="
REJECTED = f"dwcp_rejected_inputs_total{{{MODEL},reason="
LATENCY = f"dwcp_request_seconds_bucket{{{MODEL},le="
READY = f"dwcp_model_ready{{{MODEL}}}"
INFO = f'dwcp_model_info{{{MODEL},digest="a"}}'
REFUSED = 'dwcp_model_load_failures_total{namespace="n",model="m"}'
PHASE = f"model_rollout_phase{{{ROLLOUT},phase="
MOVES = f"model_rollout_transitions_total{{{ROLLOUT},phase="
ERRORS = f"model_rollout_api_errors_total{{{ROLLOUT},kind="
MESSAGES = "model_rollout_webhooks_total{outcome="
DRIFT = 'dwcp_drift_{}{{model="m"}}'
RETRAIN = DRIFT.format("retrain")
LAST_RUN = DRIFT.format("last_run_seconds")
WINDOW_START = DRIFT.format("window_start_seconds")
LATE = 'dwcp_drift_windows_violated{model="m",kind="performance"}'
DAY = 24 * 60


def a(stem: str, value: str) -> str:
    """A series by its last label."""
    return f'{stem}"{value}"}}'


HEALTHY = {
    a(REQUESTS, "200"): "0+600xN",
    a(REQUESTS, "500"): "0xN",
    a(REJECTED, "tensor"): "0xN",
    a(LATENCY, "0.01"): "0+599xN",
    a(LATENCY, "0.05"): "0+600xN",
    a(LATENCY, "0.1"): "0+600xN",
    a(LATENCY, "+Inf"): "0+600xN",
    READY: "1xN",
    INFO: "1xN",
    REFUSED: "0xN",
    a(PHASE, "Progressing"): "0xN",
    a(PHASE, "Aborting"): "0xN",
    a(PHASE, "Halted"): "0xN",
    a(PHASE, "Succeeded"): "1xN",
    a(MOVES, "Progressing"): "0xN",
    a(MOVES, "RolledBack"): "0xN",
    a(ERRORS, "unreachable"): "0xN",
    a(ERRORS, "race"): "0xN",
    a(MESSAGES, "sent"): "0xN",
    a(MESSAGES, "failed"): "0xN",
    RETRAIN: "0xN",
    LATE: "0xN",
    # Time counts from 0; said anew at every sample.
    LAST_RUN: "0+SxN",
    WINDOW_START: "0+SxN",
}
NO_SERVER = dict.fromkeys(
    (s for s in HEALTHY if s.startswith("dwcp_") and not s.startswith("dwcp_drift_")), ""
)


@dataclass(frozen=True)
class Scenario:
    """Series that differ from the healthy ones ("" leaves one out), and the alerts at a minute.

    Attributes:
        name: in words.
        minute: when it is looked.
        fires: alert -> what it is about.
        series: changed series.
        quiet: the alert that this one only just does not make fire.
        every_min: minutes between two samples.
        judged_every_min: minutes between two evaluations of the rules.
    """

    name: str
    minute: int
    fires: dict[str, str] = field(default_factory=dict)
    series: dict[str, str] = field(default_factory=dict)
    quiet: str = ""
    every_min: int = 1
    judged_every_min: int = 1

    def written(self) -> dict[str, str]:
        """Series and values for promtool."""
        count = str(self.minute // self.every_min)
        merged = {**HEALTHY, **self.series}
        step = str(60 * self.every_min)
        return {
            name: values.replace("N", count).replace("S", step)
            for name, values in merged.items()
            if values
        }


FAST, SLOW = "ModelErrorBudgetBurnsFast", "ModelErrorBudgetBurnsSlowly"
STAGES = (a(PHASE, "Progressing"), a(PHASE, "Succeeded"))
UNDER_WAY = dict(zip(STAGES, ("1xN", "0xN"), strict=True))
ABORTING = {a(PHASE, "Succeeded"): "0xN", a(PHASE, "Aborting"): "1xN"}

SCENARIOS = (
    Scenario("all is well for six hours", 360),
    Scenario("two percent fail", 70, {FAST: "m", SLOW: "m"}, {a(REQUESTS, "500"): "0+12xN"}),
    Scenario(
        "two percent failed for an hour until half an hour ago",
        95,
        {SLOW: "m"},
        {a(REQUESTS, "500"): "0+12x60 720xN"},
        quiet=FAST,
    ),
    Scenario(
        "two percent fail for an hour after five good ones",
        365,
        {FAST: "m", SLOW: "m"},
        {a(REQUESTS, "500"): "0x300 0+12xN"},
    ),
    Scenario(
        "one percent fails for three hours",
        180,
        {FAST: "m", SLOW: "m"},
        {a(REQUESTS, "500"): "0+6xN"},
    ),
    Scenario(
        "two percent failed for an hour until ten minutes ago",
        375,
        {SLOW: "m"},
        {a(REQUESTS, "500"): "0x300 0+12x65 780xN"},
        quiet=FAST,
    ),
    Scenario(
        "two in a thousand fail for six hours after two good days",
        54 * 60,
        {},
        {a(REQUESTS, "500"): "0x576 0+1.2xN"},
        quiet=SLOW,
        every_min=5,
        judged_every_min=5,
    ),
    Scenario("four in a thousand fail", 180, {SLOW: "m"}, {a(REQUESTS, "500"): "0+2.4xN"}, FAST),
    Scenario("one in two thousand fails", 360, {}, {a(REQUESTS, "500"): "0+0.3xN"}, SLOW),
    Scenario(
        "three of the ten requests of an hour fail",
        60,
        {},
        {a(REQUESTS, "200"): "0+0.2xN", a(REQUESTS, "500"): "0x54 1 2 3xN"},
        FAST,
    ),
    Scenario(
        "a sixth takes longer than 50 ms",
        20,
        {"ModelSlow": "m"},
        {a(LATENCY, "0.01"): "0+450xN", a(LATENCY, "0.05"): "0+500xN"},
    ),
    Scenario(
        "slow for two minutes",
        30,
        {},
        {a(LATENCY, "0.01"): "0+400xN", a(LATENCY, "0.05"): "0+600x25 15000x2 16800+600xN"},
        "ModelSlow",
    ),
    Scenario(
        "a tenth is refused", 25, {"ModelRejectsInputs": "m"}, {a(REJECTED, "tensor"): "0+60xN"}
    ),
    Scenario(
        "three in a hundred are refused",
        25,
        {},
        {a(REJECTED, "tensor"): "0+18xN"},
        "ModelRejectsInputs",
    ),
    Scenario(
        "somebody asks for models that do not exist",
        60,
        {},
        {
            'dwcp_requests_total{namespace="n",model="none",code="404"}': "0+60xN",
            'dwcp_rejected_inputs_total{namespace="n",model="none",reason="unknown"}': "0+60xN",
        },
        "ModelRejectsInputs",
    ),
    Scenario("no version is ready", 10, {"ModelNotReady": "m"}, {READY: "0xN"}),
    Scenario(
        "a server went on to the next version",
        10,
        {},
        {READY: "0xN", READY.replace("v1.0", "v1.1"): "1xN"},
        "ModelNotReady",
    ),
    Scenario(
        "the server is gone",
        45,
        {"ModelGone": "m"},
        {**NO_SERVER, READY: "1x30", INFO: "1x30"},
    ),
    Scenario("no server was ever there", 45, {}, NO_SERVER, "ModelGone"),
    Scenario("a reload fails", 45, {"ModelRefused": "m"}, {REFUSED: "0x30 1xN"}),
    Scenario("a load fails as the server starts", 45, {"ModelRefused": "m"}, {REFUSED: "_x29 1xN"}),
    Scenario("a reload failed an hour ago", 95, {}, {REFUSED: "0x30 1xN"}, "ModelRefused"),
    Scenario(
        "one digest for fifteen days",
        15 * DAY,
        {"ModelStale": "m"},
        every_min=5,
        judged_every_min=60,
    ),
    Scenario(
        "a new digest after ten days",
        15 * DAY,
        {},
        {INFO: "1x2880", INFO.replace('"a"', '"b"'): "_x2880 1xN"},
        "ModelStale",
        every_min=5,
        judged_every_min=60,
    ),
    Scenario("drift asks for a training", 10, {"ModelDrifted": "m"}, {RETRAIN: "1xN"}),
    Scenario("drift asked for one until yesterday", 30, {}, {RETRAIN: "1x20 0xN"}, "ModelDrifted"),
    Scenario(
        "two of three windows are answered worse",
        10,
        {"ModelPerformanceDrifted": "m"},
        {LATE: "2xN"},
    ),
    Scenario("one is", 10, {}, {LATE: "1xN"}, "ModelPerformanceDrifted"),
    Scenario(
        "no look at drift for two days",
        2 * DAY,
        {"ModelDriftNotChecked": "m"},
        {LAST_RUN: "0xN", WINDOW_START: "0xN"},
        every_min=5,
        judged_every_min=5,
    ),
    Scenario(
        "a look thirty hours ago",
        30 * 60,
        {},
        {LAST_RUN: "0xN", WINDOW_START: "0xN"},
        "ModelDriftNotChecked",
        every_min=5,
        judged_every_min=5,
    ),
    Scenario(
        "the push gateway has forgotten a look of two days ago",
        2 * DAY,
        {"ModelDriftNotChecked": "m"},
        {LAST_RUN: "0x10", WINDOW_START: "0x10", RETRAIN: "0x10", LATE: "0x10"},
        every_min=5,
        judged_every_min=5,
    ),
    Scenario(
        "looks every day at what arrived five days ago",
        5 * DAY,
        {"ModelDriftNotChecked": "m"},
        {WINDOW_START: "0xN"},
        every_min=5,
        judged_every_min=60,
    ),
    Scenario(
        "nobody ever looked for drift",
        2 * DAY,
        {},
        dict.fromkeys((RETRAIN, LATE, LAST_RUN, WINDOW_START), ""),
        "ModelDriftNotChecked",
        every_min=5,
        judged_every_min=5,
    ),
    Scenario(
        "no operator",
        10,
        {"RolloutOperatorDown": ""},
        {a(MESSAGES, "sent"): "", a(MESSAGES, "failed"): ""},
    ),
    Scenario(
        "no operator for three minutes",
        3,
        {},
        {a(MESSAGES, "sent"): "", a(MESSAGES, "failed"): ""},
        "RolloutOperatorDown",
    ),
    Scenario(
        "a rollout gave up",
        5,
        {"RolloutHalted": "m"},
        {a(PHASE, "Succeeded"): "0xN", a(PHASE, "Halted"): "1xN"},
    ),
    Scenario(
        "a rollout succeeded after one that gave up",
        20,
        {},
        {a(PHASE, "Halted"): "1x10 0xN", a(PHASE, "Succeeded"): "0x10 1xN"},
        "RolloutHalted",
    ),
    Scenario("on the way back for twenty minutes", 20, {"RolloutCannotGoBack": "m"}, ABORTING),
    Scenario("on the way back for ten minutes", 10, {}, ABORTING, "RolloutCannotGoBack"),
    Scenario("under way without a step", 70, {"RolloutStuck": "m"}, UNDER_WAY),
    Scenario(
        "a step fifty minutes ago",
        99,
        {},
        {**UNDER_WAY, a(MOVES, "Progressing"): "0x49 1xN"},
        "RolloutStuck",
    ),
    Scenario("it went back", 45, {"RolloutRolledBack": "m"}, {a(MOVES, "RolledBack"): "0x30 1xN"}),
    Scenario(
        "it went back two hours ago",
        150,
        {},
        {a(MOVES, "RolledBack"): "0x30 1xN"},
        "RolloutRolledBack",
    ),
    Scenario(
        "the API server fails", 20, {"RolloutApiErrors": "m"}, {a(ERRORS, "unreachable"): "0+3xN"}
    ),
    Scenario("races are lost", 20, {}, {a(ERRORS, "race"): "0+3xN"}, "RolloutApiErrors"),
    Scenario(
        "a message is lost", 45, {"RolloutMessagesLost": ""}, {a(MESSAGES, "failed"): "0x30 1xN"}
    ),
    Scenario("messages are sent", 45, {}, {a(MESSAGES, "sent"): "0+1xN"}, "RolloutMessagesLost"),
)
