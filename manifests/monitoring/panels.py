"""What the two dashboards show: one line of PromQL, a unit and a sentence a panel.

$namespace, $model and $rollout are variables of the dashboards; Grafana fills in $__rate_interval
and $__range.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Panel:
    """A panel.

    Attributes:
        title: heading.
        why: what it tells, shown on hover.
        queries: (PromQL, legend) each.
        kind: Grafana's panel type; a table asks for one moment, all others for a range.
        unit: of the values, by Grafana's name.
        width: of 24 columns.
    """

    title: str
    why: str
    queries: tuple[tuple[str, str], ...]
    kind: str = "timeseries"
    unit: str = "short"
    width: int = 12


OF_MODEL = 'namespace=~"$namespace", model=~"$model"'
OF_ROLLOUT = 'namespace=~"$namespace", rollout=~"$rollout"'
FAILED = ', code=~"5.."'
# Of a job that ends; its namespace is that of whoever keeps its last word.
OF_DRIFT = 'model=~"$model"'
OWN_PROCESS = f"and on (job, instance) dwcp_model_ready{{{OF_MODEL}}}"


def _rate(metric: str, by: str, more: str = "") -> str:
    """Events a second, by labels."""
    return f"sum by ({by}) (rate({metric}{{{OF_MODEL}{more}}}[$__rate_interval]))"


def _quantile(quantile: float, metric: str, by: str) -> str:
    """A quantile of a histogram, by labels."""
    return f"histogram_quantile({quantile}, {_rate(f'{metric}_bucket', f'{by}, le')})"


SIDES = "model, version, revision"
SIDE = "{{model}} {{version}} {{revision}}"

MODELS = (
    Panel(
        "Served now",
        "Version, revision and digest of every model that is ready.",
        (
            (
                f"max by (namespace, {SIDES}, digest) (dwcp_model_info{{{OF_MODEL}}} "
                "and ignoring (digest) (dwcp_model_ready == 1))",
                "",
            ),
        ),
        kind="table",
        width=24,
    ),
    Panel(
        "Requests",
        "Answers a second, by model and status.",
        ((_rate("dwcp_requests_total", "model, code"), "{{model}} {{code}}"),),
        unit="reqps",
    ),
    Panel(
        "Errors",
        "Share of the requests answered with a 5xx. The objective allows 0.1 %.",
        (
            (
                f"{_rate('dwcp_requests_total', SIDES, FAILED)} "
                f"/ {_rate('dwcp_requests_total', SIDES)}",
                SIDE,
            ),
        ),
        unit="percentunit",
    ),
    Panel(
        "Burn of the error budget",
        "1 spends the budget of 30 days in 30 days. 14.4 for an hour or 6 for six pages somebody.",
        (
            (f"dwcp:request_errors:ratio_rate1h{{{OF_MODEL}}} / 0.001", "{{model}} 1 h"),
            (f"dwcp:request_errors:ratio_rate6h{{{OF_MODEL}}} / 0.001", "{{model}} 6 h"),
            (f"dwcp:request_errors:ratio_rate3d{{{OF_MODEL}}} / 0.001", "{{model}} 3 d"),
        ),
    ),
    Panel(
        "Latency",
        "From the head of a request to its answer, inside the server.",
        (
            (_quantile(0.5, "dwcp_request_seconds", "model"), "{{model}} p50"),
            (_quantile(0.99, "dwcp_request_seconds", "model"), "{{model}} p99"),
        ),
        unit="s",
    ),
    Panel(
        "Rejected inputs",
        "Requests refused a second, by reason. Model `none`: the request named no model of ours.",
        ((_rate("dwcp_rejected_inputs_total", "model, reason"), "{{model}} {{reason}}"),),
        unit="reqps",
    ),
    Panel(
        "In flight",
        "Requests being answered.",
        ((f"sum by (model) (dwcp_requests_in_flight{{{OF_MODEL}}})", "{{model}}"),),
    ),
    Panel(
        "Scores",
        "First output of each row: probabilities, levels or Mbit/s. Choose one model.",
        (
            (
                f"sum by (le) (increase(dwcp_model_score_bucket{{{OF_MODEL}}}[$__rate_interval]))",
                "{{le}}",
            ),
        ),
        kind="heatmap",
    ),
    Panel(
        "Scores of each version",
        "Tenth, half and nine tenths of the first output: two versions side by side in a rollout.",
        tuple(
            (_quantile(share, "dwcp_model_score", SIDES), f"{SIDE} q{share}")
            for share in (0.1, 0.5, 0.9)
        ),
    ),
    Panel(
        "Ready and refused",
        "Servers that answer for a model, and versions that a server refused to load in an hour.",
        (
            (f"sum by (model) (dwcp_model_ready{{{OF_MODEL}}})", "{{model}} ready"),
            (
                f"sum by (model) (increase(dwcp_model_load_failures_total{{{OF_MODEL}}}[1h]))",
                "{{model}} refused",
            ),
        ),
    ),
    Panel(
        "Drift",
        "Distance to the reference over its limit, of the newest window: above 1 a column, an "
        "answer or the performance drifted. Choose one model.",
        (
            (
                f"max by (model, kind, column) (dwcp_drift_distance{{{OF_DRIFT}}} "
                f"/ dwcp_drift_limit{{{OF_DRIFT}}})",
                "{{model}} {{kind}} {{column}}",
            ),
        ),
    ),
    Panel(
        "Windows that drifted",
        "Of the newest windows of the rule, by what drifted; and whether it asks for a training.",
        (
            (
                f"max by (model, kind) (dwcp_drift_windows_violated{{{OF_DRIFT}}})",
                "{{model}} {{kind}}",
            ),
            (f"max by (model) (dwcp_drift_retrain{{{OF_DRIFT}}})", "{{model}} train again"),
        ),
    ),
    Panel(
        "Performance",
        "The model's own figure in the newest window whose truth has arrived, beside what is usual "
        "and beside persistence, which says that nothing changes.",
        (
            (
                f"max by (model, metric, who) (dwcp_drift_performance{{{OF_DRIFT}}})",
                "{{model}} {{metric}} {{who}}",
            ),
        ),
    ),
    Panel(
        "Drift looked for",
        "Hours since somebody last did, and since the newest window of live values began.",
        (
            (
                f"(time() - max by (model) (dwcp_drift_last_run_seconds{{{OF_DRIFT}}})) / 3600",
                "{{model}} run",
            ),
            (
                f"(time() - max by (model) (dwcp_drift_window_start_seconds{{{OF_DRIFT}}})) / 3600",
                "{{model}} newest window",
            ),
        ),
        unit="h",
    ),
    Panel(
        "Memory",
        "Resident memory of each server.",
        ((f"process_resident_memory_bytes {OWN_PROCESS}", "{{instance}}"),),
        unit="bytes",
    ),
)

ROLLOUTS = (
    Panel(
        "Phase",
        "Where every rollout stands.",
        (
            (
                f"max by (namespace, rollout, phase) (model_rollout_phase{{{OF_ROLLOUT}}}) == 1",
                "{{rollout}} {{phase}}",
            ),
        ),
        kind="state-timeline",
        width=24,
    ),
    Panel(
        "Weight",
        "Share of the traffic that the canary should have.",
        (
            (
                f"max by (namespace, rollout) (model_rollout_percent{{{OF_ROLLOUT}}})",
                "{{rollout}}",
            ),
        ),
        unit="percent",
    ),
    Panel(
        "Who answers",
        "Requests a second by version and revision: the weight as it really is.",
        (
            (
                f"sum by ({SIDES}) (rate(dwcp_requests_total{{"
                'namespace=~"$namespace", model!="none"}[$__rate_interval]))',
                SIDE,
            ),
        ),
        unit="reqps",
    ),
    Panel(
        "Verdicts",
        "Last verdict of every gate.",
        (
            (
                "max by (namespace, rollout, gate, verdict) "
                f"(model_rollout_gate_verdict{{{OF_ROLLOUT}}}) == 1",
                "",
            ),
        ),
        kind="table",
    ),
    Panel(
        "Effects",
        "What every gate measured last, in its own unit; none where there was too little data.",
        (
            (
                f"max by (namespace, rollout, gate) (model_rollout_gate_effect{{{OF_ROLLOUT}}})",
                "{{rollout}} {{gate}}",
            ),
        ),
    ),
    Panel(
        "How they ended",
        "Entered in the time shown: succeeded, going back, rolled back, halted.",
        (
            (
                "sum by (phase) (increase(model_rollout_transitions_total{"
                f'{OF_ROLLOUT}, phase=~"Succeeded|Aborting|RolledBack|Halted"}}[$__range]))',
                "{{phase}}",
            ),
        ),
        kind="stat",
    ),
    Panel(
        "Step and restarts",
        "Index of the step, and analyses begun anew because somebody changed something.",
        (
            (f"max by (rollout) (model_rollout_step{{{OF_ROLLOUT}}})", "{{rollout}} step"),
            (f"max by (rollout) (model_rollout_restarts{{{OF_ROLLOUT}}})", "{{rollout}} restarts"),
        ),
    ),
    Panel(
        "Errors of the API server",
        "By kind, in the last ten minutes. A lost race is retried and harmless.",
        (
            (
                "sum by (rollout, kind) "
                f"(increase(model_rollout_api_errors_total{{{OF_ROLLOUT}}}[10m]))",
                "{{rollout}} {{kind}}",
            ),
        ),
    ),
    Panel(
        "Messages",
        "Webhook calls of the operator by outcome, in the last hour.",
        (("sum by (outcome) (increase(model_rollout_webhooks_total[1h]))", "{{outcome}}"),),
    ),
)
