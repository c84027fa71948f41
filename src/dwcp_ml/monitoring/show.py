"""A drift verdict for people and machines: JSON, one HTML page, Prometheus metrics."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from dwcp_ml.evaluation.report.html import Markup, fold, join, table, tag, text
from dwcp_ml.evaluation.report.style import CSS
from dwcp_ml.files import as_json, whole_file
from dwcp_ml.monitoring import metrics

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dwcp_ml.monitoring.drift import ColumnDrift
    from dwcp_ml.monitoring.watch import Verdict

NAME = "drift"
OWN_CSS = """
.bar { position: relative; width: 8rem; height: .55rem; margin-top: .4rem; border-radius: 3px;
  background: var(--line); overflow: hidden; }
.bar i { position: absolute; inset: 0 auto 0 0; background: var(--ok); }
.bar.bad i { background: var(--bad); }
td.num + td:not(.num), th.num + th:not(.num) { padding-left: 1.2rem; }
"""


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
        "prom": metrics.text(verdict, subject, time.time()),
    }
    with ExitStack() as all_or_none:
        for ending, content in texts.items():
            draft = all_or_none.enter_context(whole_file(out / f"{NAME}.{ending}"))
            draft.write_text(content, encoding="utf-8")


def page(verdict: Verdict, subject: str) -> str:
    """One file without network: what follows, every window, every column of the newest."""
    parts = [
        _verdict(verdict, subject),
        _performance(verdict),
        tag("section", tag("h2", "Newest window"), _newest(verdict)),
        tag("section", tag("h2", "All windows"), _windows(verdict)),
        _left_out(verdict),
    ]
    body = tag("main", *parts)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Drift of {text(subject)}</title>\n"
        f"<style>{CSS}{OWN_CSS}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def number(value: float) -> str:
    """Three digits; a hyphen for what is not defined."""
    return f"{value:#.3g}".rstrip(".") if value == value else "-"  # NaN differs from itself


def _verdict(verdict: Verdict, subject: str) -> Markup:
    rule, flags = verdict.rule, verdict.drifted
    seen, drifted = min(rule.n, len(flags)), sum(flags[-rule.n :])
    follows = (
        f"{drifted} of the last {seen} windows of {rule.window_h:g} hours drifted; {rule.k} of "
        f"{rule.n} ask for a new training."
    )
    if verdict.since is not None:
        follows += f" The rule was first met at {verdict.since:%Y-%m-%d %H:%M} (UTC)."
    usual = (
        f"What is usual was learnt from {verdict.reference_windows} windows of the reference; a "
        f"window like those is called a drift with probability {verdict.false_alarm_rate:.1%} at "
        "most, over all columns together"
    )
    if verdict.performance is not None:
        usual += f", and {verdict.performance.false_alarm_rate:.1%} by its performance"
    words = "TRAIN AGAIN" if verdict.retrain else "NOTHING TO DO"
    badge = tag("span", words, css=f"badge {'bad' if verdict.retrain else 'ok'}")
    head = tag("div", tag("h1", f"Drift of {subject}"), badge, css="top")
    return tag("section", head, tag("p", follows), tag("p", f"{usual}.", css="sub"))


def _performance(verdict: Verdict) -> Markup:
    if verdict.performance is None:
        if not verdict.no_performance:
            return Markup("")
        why = tag("p", f"Not known: {verdict.no_performance}.")
        return tag("section", tag("h2", "Performance"), why)
    about = verdict.performance
    worst = about.usual + (about.limit if about.better == "lower" else -about.limit)
    unit = "" if about.unit == "1" else f" {about.unit}"
    words = (
        f"{about.title}, {about.better} is better. Usual in {about.reference_windows} windows of "
        f"the reference: {number(about.usual)}{unit}; a violation beyond {number(worst)}{unit}."
    )
    if about.rival == about.rival:
        words += (
            " Persistence says that nothing changes; where its figure grows as well, the world "
            f"became harder, not the model older. Usual for it: {number(about.rival)}{unit}."
        )
    header = ["start, UTC", "answers with truth", "model", "persistence", "verdict"]
    rows = [
        [f"{w.start:%Y-%m-%d %H:%M}", f"{p.rows:,}", number(p.value), number(p.rival),
         _told(p.drifted)]
        for w in reversed(verdict.windows)
        if (p := w.performance) is not None
    ]  # fmt: skip
    shown = (
        table(header, rows, numeric=range(1, 4))
        if rows
        else tag("p", "No live window has enough answers whose truth is known.")
    )
    return tag("section", tag("h2", "Performance"), tag("p", words), shown)


def _newest(verdict: Verdict) -> Markup:
    window = verdict.windows[-1]
    order = sorted(window.columns, key=lambda c: -_reach(c))
    violated = [c for c in order if c.drifted]
    noted = [c for c in order if not c.drifted and c.note]
    rest = [c for c in order if not c.drifted and not c.note]
    words = (
        f"From {window.start:%Y-%m-%d %H:%M} (UTC), {window.rows:,} rows: {len(violated)} of "
        f"{len(order)} columns drifted. Distance: Kolmogorov-Smirnov of numbers, total variation "
        "of categories, 0 to 1; a full bar is twice the limit."
    )
    parts = [tag("p", words)]
    if violated or noted:
        parts.append(_columns([*violated, *noted]))
    if rest:
        parts.append(fold(f"{len(rest)} columns as usual", _columns(rest)))
    return join(parts)


def _columns(columns: Sequence[ColumnDrift]) -> Markup:
    header = ["column", "kind", "distance", "limit", "of the limit", "usual", "PSI", "shift, IQR",
              "verdict", "note"]  # fmt: skip
    rows = [
        [c.name, c.kind, number(c.distance), number(c.limit), _bar(c),
         *(number(v) for v in (c.usual, c.psi, c.shift)), _told(c.drifted), c.note]
        for c in columns
    ]  # fmt: skip
    return table(header, rows, numeric=[2, 3, 5, 6, 7])


def _bar(column: ColumnDrift) -> Markup:
    """How far the distance reaches; a full bar is twice the limit."""
    share = min(_reach(column) / 2, 1.0)
    css = "bar bad" if column.drifted else "bar"
    return Markup(f'<div class="{css}"><i style="width:{share:.0%}"></i></div>')


def _reach(column: ColumnDrift) -> float:
    return column.distance / column.limit if column.distance == column.distance else 0.0


def _told(drifted: bool) -> Markup:
    css, words = ("bad", "✗ drifted") if drifted else ("ok", "✓ as usual")
    return tag("span", words, css=f"mark {css}")


def _windows(verdict: Verdict) -> Markup:
    rows = [
        [
            f"{w.start:%Y-%m-%d %H:%M}",
            f"{w.rows:,}",
            _told(w.drifted),
            ", ".join(w.kinds) or "-",
            ", ".join(c.name for c in w.columns if c.drifted) or "-",
        ]
        for w in reversed(verdict.windows)
    ]
    header = ["start, UTC", "rows", "verdict", "kinds", "columns that drifted"]
    return table(header, rows, numeric=[1])


def _left_out(verdict: Verdict) -> Markup:
    lines = [f"{name}: {why}" for name, why in verdict.left_out.items()]
    lines += [
        f"{at:%Y-%m-%d %H:%M}: {rows:,} rows are too few for a window"
        for at, rows in verdict.skipped
    ]
    if not lines:
        return Markup("")
    inner = tag("ul", join([tag("li", line) for line in lines]))
    return tag("section", tag("h2", "Not compared"), inner)
