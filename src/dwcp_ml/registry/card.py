"""The model card: for whom, from what, how good, where not.

After Mitchell et al., Model Cards for Model Reporting, 2019.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from dwcp_ml import models
from dwcp_ml.evaluation.report import text
from dwcp_ml.evaluation.report.markdown import figure_lines, gate_lines, grid
from dwcp_ml.registry.chain import chain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dwcp_ml.evaluation.report.rows import Report

INTENDED = (
    "Steers DWCP: the numbers are raw measurements, scaling and thresholds are inside the graph. "
    "It is meant for links, nodes and clusters like those it was trained on; elsewhere measure "
    "it again first."
)
SIMULATED = (
    "Trained and judged on simulated telemetry. The figures say how well it does in the "
    "simulator's world; on a real network they are a promise until they are measured there."
)


def model_card(metadata: Mapping[str, Any], report: Report) -> str:
    """The card as Markdown."""
    return "\n".join(_lines(metadata, report)) + "\n"


def _lines(metadata: Mapping[str, Any], report: Report) -> Iterator[str]:
    yield from (f"# {report['title']} {metadata['version']}", "")
    purpose = inspect.getdoc(type(models.get(report["model_name"]))) or ""
    yield from (purpose.split("\n\n")[0].replace("\n", " "), "", INTENDED)
    for title, key in (("Inputs", "inputs"), ("Outputs", "outputs")):
        yield from ("", f"## {title}", "", *_tensors(metadata.get(key) or []))
    yield from ("", "## Data", "", *_data(metadata, report))
    yield from ("", "## Figures", "", _resampling(report), "", *figure_lines(report))
    if report["slices"]:
        yield from ("", "## Slices", "", *_slices(report))
    yield from ("", "## Limits", "", *(f"- {line}" for line in _limits(report)))
    yield from ("", "## Gates", "", *gate_lines(report["gates"]))
    yield from ("", "## Lineage", "", *_lineage(metadata))


def _tensors(tensors: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = [
        [
            tensor["name"],
            tensor["dtype"],
            f"({', '.join(map(str, tensor['shape']))})",
            tensor["unit"],
            ", ".join(tensor.get("features") or []) or text.NONE,
            tensor.get("description") or text.NONE,
        ]
        for tensor in tensors
    ]
    return grid(["name", "type", "shape", "unit", "order of features", "description"], rows)


def _data(metadata: Mapping[str, Any], report: Report) -> Iterator[str]:
    data = metadata.get("data") or {}
    yield f"Source: {report['source']}, one row every {data.get('step_s', text.NONE)} s."
    parts = [
        [part, text.number(about["rows"]), about["start"], about["end"]]
        for part, about in (data.get("parts") or {}).items()
    ]
    yield from ("", *grid(["part of the split", "rows", "from", "to"], parts), "")
    rows = [
        [d["name"], text.number(d["examples"]), d["groups"], d["start"], d["end"]]
        for d in report["datasets"]
    ]
    yield from grid(["judged on", "examples", "groups", "from", "to"], rows)


def _resampling(report: Report) -> str:
    return (
        f"In brackets the {report['confidence']:.0%} percentile interval of {report['resamples']} "
        "resamples of whole groups. Baselines were tuned on training and validation parts only; "
        "the ceiling knows the simulator's hidden state."
    )


def _slices(report: Report) -> list[str]:
    definitions = report["metric_definitions"]
    rows = []
    for row in report["slices"]:
        metric = definitions[row["metric"]]
        where = f"{row['slice']}={row['slice_value']}"
        value = text.number(row["value"], metric["unit"])
        size = text.number(row["examples"])
        rows.append([row["dataset"], where, size, metric["title"], value, text.interval(row)])
    return grid(["on", "slice", "n", "figure", "value", "interval"], rows)


def _limits(report: Report) -> list[str]:
    limits = [SIMULATED] if report["simulated"] else []
    if report["absent_columns"]:
        absent = ", ".join(report["absent_columns"])
        limits.append(f"Trained without {absent}: each held its neutral value throughout.")
    limits += report["notes"]
    return limits or ["None are known beyond the slices above."]


def _lineage(metadata: Mapping[str, Any]) -> list[str]:
    known = chain(metadata)
    rows = [[key, known[key] or text.NONE] for key in known if key != "tools"]
    rows += [[tool, version] for tool, version in known["tools"].items()]
    return grid(["what", "value"], rows)
