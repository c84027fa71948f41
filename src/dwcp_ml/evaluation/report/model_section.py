"""One model on the page: verdict, gates, rivals, slices, figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dwcp_ml.evaluation.figures import read_figure
from dwcp_ml.evaluation.report import plots, text
from dwcp_ml.evaluation.report.cells import badge, plot
from dwcp_ml.evaluation.report.html import Markup, fold, table, tag
from dwcp_ml.evaluation.report.master import approved
from dwcp_ml.evaluation.report.predictors import predictors
from dwcp_ml.evaluation.report.slices import slices
from dwcp_ml.evaluation.report.verdicts import gates

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from dwcp_ml.evaluation.report.rows import Report


def model_section(report: Report, figures: Path) -> Markup:
    """Everything about one model; ``figures`` is the folder of the figures' CSV files."""
    return tag(
        "section",
        _title(report),
        _facts(report),
        tag("h3", "Beside baselines and ceiling"),
        *predictors(report),
        tag("h3", "Gates"),
        gates(report),
        *slices(report),
        *_figures(report, figures),
        *_notes(report),
        fold("Hyper-parameters", _hyperparameters(report)),
        anchor=report["model_name"],
    )


def _title(report: Report) -> Markup:
    passed = sum(g["passed"] for g in report["gates"])
    words = f"{passed} of {len(report['gates'])} gates passed"
    heading = tag("div", tag("h2", report["title"]), tag("div", words, css="sub"))
    return tag("div", heading, badge(approved(report)), css="top")


def _facts(report: Report) -> Markup:
    facts = {
        "Trained": text.moment(report["training_date"]),
        "Training time": text.seconds(report["training_time_seconds"]),
        "Model size": text.number(report["model_size_mb"], "MB"),
        "One row, p99": text.number(report["row_p99_ms"], "ms"),
        "Test examples": text.number(report["test_set_size"]),
        "Groups resampled": text.number(report["datasets"][0]["groups"]),
        **{f"Prevalence of {k}": text.number(v) for k, v in report["prevalence"].items()},
    }
    return tag(
        "dl", *(tag("div", tag("dt", k), tag("dd", v)) for k, v in facts.items()), css="facts"
    )


def _figures(report: Report, folder: Path) -> Iterable[Markup]:
    if not report["figures"]:
        return
    yield tag("h3", "Figures")
    drawn = [plot(d["title"], plots.draw(read_figure(d, folder))) for d in report["figures"]]
    yield tag("div", *drawn, css="plots")


def _notes(report: Report) -> Iterable[Markup]:
    absent = report["absent_columns"]
    notes = list(report["notes"])
    if absent:
        notes.append(f"The source never had {', '.join(absent)}: each holds its neutral value.")
    if notes:
        yield tag("h3", "Notes")
        yield tag("ul", *(tag("li", n) for n in notes))


def _hyperparameters(report: Report) -> Markup:
    rows = [[tag("code", k), tag("code", v)] for k, v in report["hyperparameters"].items()]
    return table(["Parameter", "Value"], rows)
