"""What ``make run`` prints at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dwcp_ml.evaluation.report.text import NONE, number, verdict, words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.table import Table

    from dwcp_ml.evaluation.report.rows import Row


def summary_table(master: Mapping[str, Any]) -> Table:
    """Headline targets of every model, and how many of all its gates passed."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    rows = [row for model in master["models"].values() for row in model["headline"]]
    datasets = ["test"] + ["fresh"] * any(row["fresh"] for row in rows)
    table.add_column("model", no_wrap=True)
    table.add_column("target", overflow="fold")
    for column in (*datasets, "best baseline", "ceiling"):
        table.add_column(column, justify="right")
    table.add_column("verdict")
    for name, model in master["models"].items():
        for index, row in enumerate(model["headline"]):
            table.add_row("" if index else name, *_cells(row, datasets))
        empty = [""] * (len(datasets) + 2)
        label = "" if model["headline"] else name
        table.add_row(label, _gates(model), *empty, _coloured(model["passed"]), end_section=True)
    return table


def _gates(model: Mapping[str, Any]) -> str:
    if not model["gates"]:
        return str(model["why"])
    return f"all gates: {model['gates'] - len(model['failed_gates'])} of {model['gates']}"


def _cells(row: Row, datasets: list[str]) -> list[str]:
    parts = [row["test"], row["fresh"]][: len(datasets)]
    values = [NONE if part is None else number(part["value"], row["unit"]) for part in parts]
    rival = row["baseline"]
    best = NONE if rival is None else f"{number(rival['value'])} {words(rival['name'])}"
    return [row["target"], *values, best, number(row["ceiling"]), _coloured(row["passed"])]


def _coloured(passed: bool) -> str:
    colour = "green" if passed else "bold red"
    return f"[{colour}]{verdict(passed)}[/{colour}]"
