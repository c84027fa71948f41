"""The model beside its baselines and the ceiling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dwcp_ml.evaluation.report import plots, text
from dwcp_ml.evaluation.report.cells import axis, plot, with_interval
from dwcp_ml.evaluation.report.html import Markup, fold, table, tag

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dwcp_ml.evaluation.report.rows import Report

KIND_ORDER = ("model", "champion", "baseline", "reference", "ceiling")


def predictors(report: Report) -> Iterable[Markup]:
    """A table for each dataset, and a plot of the primary metric."""
    rows = report["metrics"]
    for dataset in report["datasets"]:
        if dataset["name"].startswith("seed-"):
            continue
        here = [r for r in rows if r["dataset"] == dataset["name"]]
        yield tag("p", _dataset_words(dataset), css="sub")
        yield _predictor_table(report, here)
    yield _primary_plot(report)
    yield _seeds(report)


def _dataset_words(dataset: dict[str, Any]) -> str:
    what = {"test": "Held-out test part", "fresh": "Seeds never trained on"}
    name = what.get(dataset["name"], dataset["name"])
    return (
        f"{name}: {dataset['examples']:,} examples of {dataset['groups']:,} groups, "
        f"{dataset['start']} to {dataset['end']}"
    )


def _predictor_table(report: Report, rows: Sequence[dict[str, Any]]) -> Markup:
    """Metrics down, predictors across: the model first, the ceiling last."""
    order = dict.fromkeys(
        r["predictor"] for r in sorted(rows, key=lambda r: KIND_ORDER.index(r["kind"]))
    )
    found = {(r["predictor"], r["metric"]): r for r in rows}
    arrows = {"lower": "↓", "higher": "↑"}
    body = []
    for name, about in report["metric_definitions"].items():
        cells = [found[who, name] for who in order]
        title = f"{about['title']}\u00a0{arrows[about['better']]}"
        body.append([title, *(with_interval(c["value"], c, about["unit"]) for c in cells)])
    header = ["", *(text.words(who) for who in order)]
    return table(header, body, numeric=range(1, len(header)), strong=[1])


def _primary_plot(report: Report) -> Markup:
    """The primary metric of every predictor with intervals, test and fresh side by side."""
    primary = report["primary_metric"]
    definition = report["metric_definitions"][primary]
    drawn = []
    for dataset in ("test", "fresh"):
        rows = [
            (text.words(r["predictor"]), r["value"], r["ci_low"], r["ci_high"],
             KIND_ORDER.index(r["kind"]))
            for r in sorted(report["metrics"], key=lambda r: KIND_ORDER.index(r["kind"]))
            if (r["dataset"], r["metric"]) == (dataset, primary) and r["value"] is not None
        ]  # fmt: skip
        if rows:
            title = f"{definition['title']} on {'fresh seeds' if dataset == 'fresh' else dataset}"
            drawn.append(plot(title, plots.dots(title, rows, axis(definition))))
    return tag("div", *drawn, css="plots")


def _seeds(report: Report) -> Markup:
    """The model on each fresh seed by itself."""
    seeds = [d["name"] for d in report["datasets"] if d["name"].startswith("seed-")]
    if not seeds:
        return Markup("")
    definitions = report["metric_definitions"]
    found = {(r["dataset"], r["metric"]): r for r in report["metrics"] if r["kind"] == "model"}
    body = [
        [d["title"], *(with_interval(found[s, n]["value"], found[s, n], d["unit"]) for s in seeds)]
        for n, d in definitions.items()
    ]
    header = ["", *(text.words(s) for s in seeds)]
    return fold("Each fresh seed", table(header, body, numeric=range(1, len(header))))
