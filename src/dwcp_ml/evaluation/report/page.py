"""The HTML page: one file, no network, light or dark as the reader's system is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dwcp_ml.evaluation.report import text
from dwcp_ml.evaluation.report.backtests import backtest_section
from dwcp_ml.evaluation.report.cells import badge
from dwcp_ml.evaluation.report.html import Markup, join, mark, table, tag
from dwcp_ml.evaluation.report.master import APPROVED, approved
from dwcp_ml.evaluation.report.model_section import model_section
from dwcp_ml.evaluation.report.style import CSS
from dwcp_ml.evaluation.report.verdicts import headline_table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dwcp_ml.evaluation.report.rows import Report

HOW_TO_READ = (
    "Every figure is measured on the ONNX file that would be served, not on the training "
    "framework's model.",
    "A gate's verdict is on the value itself. Below it stands the percentile interval of a "
    "bootstrap that resamples whole groups (links, nodes or clusters): where it reaches across "
    "the bound, another fleet could well give the other verdict.",
    "Baselines are tuned on the training and validation parts only. A model that does not beat "
    "them is not worth its upkeep, whatever its absolute figures.",
    "The ceiling is what somebody who knows the simulator's hidden state would reach. It exists "
    "for simulated data only; nobody can pass it, and figures close to it leave little to gain.",
    "Fresh seeds are whole fleets simulated with seeds that training never saw. They share the "
    "simulator's assumptions with the training data, so they say nothing about a real network.",
    "'Not checked' means that nobody looked. It counts neither as passed nor as failed.",
)


QUALITY_FACTS = (
    "success",
    "expectations_written",
    "expectations_evaluated",
    "expectations_failed",
    "rows",
    "incidents",
)


def page(
    master: Mapping[str, Any],
    reports: Mapping[str, Report],
    quality: Mapping[str, Any] | None,
    backtest: Mapping[str, Any] | None,
    figures: Path,
) -> str:
    """The whole document; ``figures`` is the folder of the figures' CSV files."""
    body = join(
        [
            _navigation(reports),
            tag(
                "main",
                _verdict(master, reports),
                *(model_section(r, figures) for r in reports.values()),
                backtest_section(backtest),
                _quality(quality),
                _how_to_read(),
            ),
        ]
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>DWCP models: {_recommendation(master)}</title>\n<style>{CSS}</style>\n"
        f"</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _recommendation(master: Mapping[str, Any]) -> str:
    return str(master["production_readiness"]["deployment_recommendation"])


def _navigation(reports: Mapping[str, Report]) -> Markup:
    links: list[tuple[str, str, bool | None]] = [("summary", "Summary", None)]
    links += [(n, r["title"], approved(r)) for n, r in reports.items()]
    links += [
        ("backtest", "Real measurements", None),
        ("data", "Data", None),
        ("reading", "How to read it", None),
    ]
    signs: dict[bool | None, Markup] = {
        True: tag("span", " ✓", css="mark ok"),
        False: tag("span", " ✗", css="mark bad"),
    }
    inner = (
        Markup(f'<a href="#{anchor}">{tag("span", title)}{signs.get(ok, "")}</a>')
        for anchor, title, ok in links
    )
    return tag("nav", tag("div", *inner))


def _verdict(master: Mapping[str, Any], reports: Mapping[str, Report]) -> Markup:
    readiness = master["production_readiness"]
    session = master["training_session"]
    words = (
        f"{master['models_passed']} of {len(master['models'])} models passed every gate. "
        f"Trained in {text.seconds(master['total_training_time_seconds'])}, "
        f"session {session['id']}, data from {' and '.join(session['source']) or text.NONE}."
    )
    checks = {k: v for k, v in readiness.items() if k != "deployment_recommendation"}
    missing = [f"{n}: {m['why']}" for n, m in master["models"].items() if n not in reports]
    return tag(
        "section",
        tag(
            "div",
            tag("div", tag("h1", "DWCP models"), tag("div", words, css="sub")),
            badge(_recommendation(master) == APPROVED),
            css="top",
        ),
        tag(
            "dl",
            *(tag("div", tag("dt", text.words(k)), tag("dd", mark(v))) for k, v in checks.items()),
            css="facts",
        ),
        *(tag("p", m, css="note") for m in missing),
        tag("h3", "Headline targets"),
        headline_table(master),
        anchor="summary",
    )


def _quality(quality: Mapping[str, Any] | None) -> Markup:
    """What the data contract found; the full list is in data_quality.html."""
    heading = tag("h2", "Data quality")
    if quality is None:
        words = "No data contract was run beside these reports."
        return tag("section", heading, tag("p", words), anchor="data")
    facts = [
        tag("div", tag("dt", text.words(key)), tag("dd", _fact(quality[key])))
        for key in QUALITY_FACTS
        if key in quality
    ]
    failed = [
        [", ".join(r["columns"]) or "telemetry", r["title"], r["why"]]
        for r in quality.get("results", [])
        if not r["success"]
    ]
    source = quality.get("telemetry", {})
    absent = ", ".join(source.get("absent_columns", [])) or "none"
    labels = ", ".join(source.get("missing_labels", [])) or "none"
    return tag(
        "section",
        heading,
        tag("p", "The contract that ran before the split; all of it in data_quality.html."),
        tag("dl", *facts, css="facts"),
        tag("p", f"Columns declared absent, which hold neutral values: {absent}. ",
            f"Labels that the source lacks: {labels}."),
        table(["Column", "Expectation", "Why it failed"], failed) if failed else "",
        anchor="data",
    )  # fmt: skip


def _fact(value: bool | int) -> object:
    return mark(value) if isinstance(value, bool) else text.number(value)


def _how_to_read() -> Markup:
    return tag(
        "section",
        tag("h2", "How to read it"),
        tag("ul", *(tag("li", line) for line in HOW_TO_READ)),
        anchor="reading",
    )
