"""The quality report: its figures, data_quality.json and a page that needs no network."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dwcp_ml.telemetry.dataset import Manifest
    from dwcp_ml.telemetry.profile import ColumnFacts

NAMED_FAILURES = 3


@dataclass(frozen=True)
class Result:
    """The verdict on one expectation; ``why`` is empty on success."""

    expectation: str
    columns: tuple[str, ...]
    title: str
    evaluated: bool
    success: bool
    checked: int
    unexpected: int
    unexpected_percent: float
    sample: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class ContractReport:
    """All verdicts on one telemetry folder."""

    results: tuple[Result, ...]
    rows: int
    parts: int
    incidents: int
    columns: tuple[ColumnFacts, ...]
    manifest: Manifest

    @property
    def written(self) -> int:
        """Expectations that were asked for."""
        return len(self.results)

    @property
    def evaluated(self) -> int:
        """Expectations that were answered on every batch."""
        return sum(result.evaluated for result in self.results)

    @property
    def failed(self) -> tuple[Result, ...]:
        """Expectations that failed, raised or were dropped."""
        return tuple(result for result in self.results if not result.success)

    @property
    def success(self) -> bool:
        """Every expectation was evaluated and holds, and there was at least one."""
        return self.written > 0 and self.evaluated == self.written and not self.failed

    def why(self) -> str:
        """One sentence on a failure."""
        if not self.evaluated:
            return f"none of {self.written} expectations was evaluated"
        named = "; ".join(
            f"{', '.join(r.columns) or 'telemetry'}: {r.title}: {r.why}"
            + (f", for example {r.sample[0]}" if r.sample else "")
            for r in self.failed[:NAMED_FAILURES]
        )
        more = len(self.failed) - NAMED_FAILURES
        rest = f"; and {more} more" if more > 0 else ""
        return f"{len(self.failed)} of {self.written} expectations failed: {named}{rest}"


def as_json(report: ContractReport) -> str:
    """data_quality.json."""
    value = {
        "success": report.success,
        "expectations_written": report.written,
        "expectations_evaluated": report.evaluated,
        "expectations_failed": len(report.failed),
        "rows": report.rows,
        "parts": report.parts,
        "incidents": report.incidents,
        "telemetry": asdict(report.manifest),
        "columns": [asdict(column) for column in report.columns],
        "results": [asdict(result) for result in report.results],
    }
    return json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def as_html(report: ContractReport) -> str:
    """data_quality.html, with what failed first."""
    verdict = "passed" if report.success else "failed"
    manifest = report.manifest
    facts = (
        ("rows", f"{report.rows:,}"),
        ("series", f"{manifest.series:,}"),
        ("step", f"{manifest.step_s} s"),
        ("parts", f"{report.parts:,}"),
        ("expectations", f"{report.evaluated} of {report.written}"),
        ("failed", str(len(report.failed))),
        ("incidents", f"{report.incidents:,}"),
        ("source", manifest.source),
    )
    tiles = "".join(f"<div><b>{escape(v)}</b><span>{escape(k)}</span></div>" for k, v in facts)
    ordered = sorted(report.results, key=lambda result: result.success)
    sections = [
        f'<p class="lead">{escape(_lead(report))}</p><section class="tiles">{tiles}</section>',
        "<h2>Expectations</h2>",
        _table(
            ("", "column", "expectation", "checked", "unexpected", "%", "what was found"),
            (_result_row(result) for result in ordered),
        ),
        "<h2>Columns</h2>",
        _table(
            ("", "column", "group", "unit", "missing %", "least", "mean", "most"),
            (_column_row(column) for column in report.columns),
        ),
        _files(manifest),
    ]
    return PAGE.format(verdict=verdict, title=f"Data quality: {verdict}", body="".join(sections))


def _lead(report: ContractReport) -> str:
    manifest = report.manifest
    said = f"Telemetry from {manifest.start} to {manifest.end}."
    if not report.success:
        said += f" {report.why()[0].upper()}{report.why()[1:]}."
    if manifest.absent_columns:
        said += (
            " Declared absent, so every row holds the schema's neutral value: "
            f"{', '.join(manifest.absent_columns)}."
        )
    if manifest.missing_labels:
        said += f" The source has no label {', '.join(manifest.missing_labels)}."
    return said


def _result_row(result: Result) -> tuple[str, ...]:
    found = result.why + (f": {', '.join(result.sample)}" if result.sample else "")
    return (
        "pass" if result.success else "fail",
        ", ".join(result.columns) or "telemetry",
        result.title,
        f"{result.checked:,}",
        f"{result.unexpected:,}",
        f"{result.unexpected_percent:g}",
        found,
    )


def _column_row(column: ColumnFacts) -> tuple[str, ...]:
    figures = (column.missing_percent, column.least, column.mean, column.most)
    shown = ("" if figure is None else f"{figure:.6g}" for figure in figures)
    return (column.state, column.name, column.group, column.unit, *shown)


def _files(manifest: Manifest) -> str:
    if not manifest.files:
        return ""
    rows = ((name, digest) for name, digest in manifest.files.items())
    return "<h2>Files</h2>" + _table(("file", "sha256"), rows)


def _table(head: Sequence[str], rows: Iterable[tuple[str, ...]]) -> str:
    """A table whose first cell, where it is a state, gives the row its colour."""
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = []
    for row in rows:
        state = row[0].split()[0] if head[0] == "" else ""
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in row)
        body.append(f'<tr class="{state}">{cells}</tr>')
    return f'<div class="scroll"><table><tr>{top}</tr>{"".join(body)}</table></div>'


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root {{ color-scheme: light dark; --line: #8884; --good: #1a7f4b; --bad: #c0392b; }}
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto }}
body {{ padding: 0 1rem }}
h1 {{ font-size: 1.5rem; border-left: .4rem solid var(--good); padding-left: .7rem }}
h1.failed {{ border-color: var(--bad) }}
h2 {{ font-size: 1.1rem; margin-top: 2rem }}
.lead {{ max-width: 60rem }}
.tiles {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); gap: .6rem }}
.tiles div {{ border: 1px solid var(--line); border-radius: .5rem; padding: .6rem .8rem }}
.tiles b {{ display: block; font-size: 1.2rem }}
.tiles span {{ opacity: .7; font-size: .85rem }}
.scroll {{ overflow-x: auto }}
table {{ border-collapse: collapse; width: 100%; font-size: .86rem }}
th, td {{ text-align: left; padding: .28rem .6rem; border-bottom: 1px solid var(--line) }}
td {{ font-variant-numeric: tabular-nums }}
td:last-child {{ overflow-wrap: anywhere }}
td:first-child {{ white-space: nowrap }}
tr.pass td:first-child, tr.measured td:first-child {{ color: var(--good) }}
tr.fail td {{ background: #c0392b1c }}
tr.fail td:first-child {{ color: var(--bad); font-weight: 600 }}
tr.absent td, tr.label td {{ opacity: .65 }}
</style></head>
<body><h1 class="{verdict}">{title}</h1>{body}</body></html>
"""
