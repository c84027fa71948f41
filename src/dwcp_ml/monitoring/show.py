"""A drift verdict for people and machines: JSON, one HTML page, Prometheus metrics."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from dwcp_ml.evaluation.report.html import Markup, join, mark, table, tag
from dwcp_ml.evaluation.report.style import CSS
from dwcp_ml.files import as_json, whole_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dwcp_ml.monitoring.drift import ColumnDrift
    from dwcp_ml.monitoring.watch import Verdict

NAME = "drift"


def write_reports(verdict: Verdict, out: Path, subject: str) -> None:
    """OUT/drift.json, drift.html and drift.prom, all or none.

    Args:
        verdict: what was found.
        out: folder.
        subject: what was watched: the label ``model`` of the metrics.
    """
    texts = {
        "json": as_json({"subject": subject, **verdict.as_dict()}),
        "html": page(verdict, subject),
        "prom": metrics(verdict, subject),
    }
    with ExitStack() as all_or_none:
        for ending, text in texts.items():
            draft = all_or_none.enter_context(whole_file(out / f"{NAME}.{ending}"))
            draft.write_text(text, encoding="utf-8")


def metrics(verdict: Verdict, subject: str) -> str:
    """Prometheus' text format, for a node exporter's textfile folder or a push gateway."""
    from prometheus_client import CollectorRegistry, Gauge, generate_latest

    registry = CollectorRegistry()
    newest = verdict.windows[-1]
    columns = {
        "dwcp_drift_distance": ("Kolmogorov-Smirnov distance of the newest window", "distance"),
        "dwcp_drift_limit": ("Distance above which a column drifts", "limit"),
        "dwcp_drift_psi": ("Population stability index of the newest window", "psi"),
    }
    for name, (words, attribute) in columns.items():
        gauge = Gauge(name, words, ["model", "column"], registry=registry)
        for column in newest.columns:
            gauge.labels(subject, column.name).set(getattr(column, attribute))
    single = {
        "dwcp_drift_windows_drifted": (
            "Of the last n windows of the rule", sum(verdict.drifted[-verdict.rule.n :])
        ),
        "dwcp_drift_retrain": ("1 when the rule asks for a new training", int(verdict.retrain)),
        "dwcp_drift_window_start_seconds": (
            "Start of the newest window, epoch seconds", newest.start.timestamp()
        ),
    }  # fmt: skip
    for name, (words, value) in single.items():
        Gauge(name, words, ["model"], registry=registry).labels(subject).set(value)
    return generate_latest(registry).decode()


def page(verdict: Verdict, subject: str) -> str:
    """One file without network: what follows, every window, every column of the newest."""
    rule = verdict.rule
    follows = (
        f"Train again: {rule.k} of the last {rule.n} windows drifted."
        if verdict.retrain
        else f"Nothing to do: fewer than {rule.k} of the last {rule.n} windows drifted."
    )
    since = "" if verdict.since is None else f" The rule was first met at {verdict.since:%F %H:%M}."
    usual = (
        f"What is usual was learnt from {verdict.reference_windows} windows of the reference; a "
        f"window like those is called a drift with probability {verdict.false_alarm_rate:.1%} at "
        "most, over all columns together."
    )
    newest = sorted(verdict.windows[-1].columns, key=lambda c: c.limit - c.distance)
    body = tag(
        "main",
        tag(
            "section", tag("h1", f"Drift of {subject}"), tag("p", follows + since), tag("p", usual)
        ),
        tag("section", tag("h2", "Newest window"), _columns(newest)),
        tag("section", tag("h2", "All windows"), _windows(verdict)),
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Drift of {subject}</title>\n<style>{CSS}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def number(value: float) -> str:
    """Three digits; a hyphen for what is not defined."""
    return f"{value:.3g}" if value == value else "-"  # NaN alone differs from itself


def _columns(columns: Sequence[ColumnDrift]) -> Markup:
    header = ["column", "distance", "usual", "limit", "PSI", "shift, IQR", "unchanged"]
    rows = [
        [c.name, *(number(v) for v in (c.distance, c.usual, c.limit, c.psi, c.shift)),
         mark(not c.drifted)]
        for c in columns
    ]  # fmt: skip
    return table(header, rows, numeric=range(1, 6))


def _windows(verdict: Verdict) -> Markup:
    rows = [
        [
            f"{w.start:%Y-%m-%d %H:%M}",
            f"{w.rows:,}",
            mark(not w.drifted),
            join([c.name for c in w.columns if c.drifted], ", ") or "-",
        ]
        for w in verdict.windows
    ]
    return table(["start, UTC", "rows", "unchanged", "columns that drifted"], rows, numeric=[1])
