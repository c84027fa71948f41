"""The measured part of docs/scale.md, written from docs/scale.json between two marks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dwcp_ml.files import write_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BEGIN, END = "<!-- measured: python benchmarks/scale.py -->", "<!-- end of measured -->"
STAGES = ("simulate", "validate", "split", "score")
CROWDED = 0.1  # of the machine's processor time taken by others
EXAMPLE_PRICE = 0.05  # for a core-hour, in any currency


def write_page(page: Path, found: dict[str, Any]) -> None:
    """Put the figures into the page, between the marks.

    Raises:
        ValueError: the page has no marks.
    """
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError(f"{page} has no lines {BEGIN} and {END}")
    body = "\n".join([*_measured(found), *_billion(found)])
    write_text(page, f"{before}{BEGIN}\n{body}\n{END}{after}")


def _measured(found: dict[str, Any]) -> Iterator[str]:
    runs = found["runs"]
    shares = found["shares"]  # null in a run that could not tell them
    cores = found["cores_of_the_machine"]
    yield f"`{found['command']}` on {cores} cores, scoring {found['model']}."
    if shares:
        yield (
            f"Meanwhile other processes took {shares['other_processes']:.0%} of the machine's "
            f"processor time and its host {shares['host']:.0%}."
        )
    if shares and sum(shares.values()) > CROWDED:
        yield (
            "**Seconds by the clock, and their ratio, say little here; processor seconds are "
            "higher than on a quiet machine.**"
        )
    yield ""
    yield (
        "| rows | stage | one process, s | one worker, s | two workers, s | two beside one | "
        "processor s: one process | one worker | two workers | rows/s of a core, two workers |"
    )
    yield "|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    for rows in sorted({run["rows"] for run in runs}):
        sides = {run["workers"]: run["stages"] for run in runs if run["rows"] == rows}
        for name in STAGES:
            wall = [sides[w][name]["wall_s"] if w in sides else None for w in (0, 1, 2)]
            cpu = [sides[w][name]["cpu_s"] if w in sides else None for w in (0, 1, 2)]
            ratio = f"{wall[1] / wall[2]:.2f} x" if wall[1] and wall[2] else ""
            rate = f"{rows / cpu[2]:,.0f}" if cpu[2] else ""
            cells = [f"{rows:,}", name, *map(_shown, wall), ratio, *map(_shown, cpu), rate]
            yield f"| {' | '.join(cells)} |"
    yield ""
    most = max(runs, key=lambda run: (run["workers"], run["rows"]))
    python = max(stage["python_mb"] for stage in most["stages"].values())
    java = max(stage["java_mb"] for stage in most["stages"].values())
    yield (
        f"Starting cluster and session took {most['start_s']:g} s. The largest Python worker held "
        f"{python:,} MB, the largest JVM of a worker {java:,} MB."
    )
    if found["shuffle_bytes_a_row"] is not None:
        yield (
            f"All four stages shuffled {found['shuffle_bytes_a_row']:.1f} bytes a row, every one "
            "of them for the contract's uniqueness of the key."
        )
    yield ""


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _billion(found: dict[str, Any]) -> Iterator[str]:
    told = found["billion"]
    yield "### A billion rows, from these figures"
    yield ""
    yield (
        "The time of a stage is taken as a fixed part, which a job costs whatever its rows, plus a "
        "part for each row; the second is the slope between the two sizes. The check: if time went "
        "with a power of the rows above 1, the slope would promise too much."
    )
    yield ""
    yield "| stage | processor s a million rows, both sizes | time ~ rows^ | core-hours a billion |"
    yield "|---|---|---:|---:|"
    hours = 0.0
    for name in STAGES:
        stage = told["stages"][name]
        low, high = stage["cpu_s_a_million"]
        hours += stage["core_hours_a_billion"]
        power, cost = stage["time_goes_with_rows_to_the"], stage["core_hours_a_billion"]
        yield f"| {name} | {low:g}, {high:g} | {power:g} | {cost:.1f} |"
    yield f"| all | | | {hours:.1f} |"
    yield ""
    size = {name: f"{value:,.0f} GB" for name, value in told["bytes_a_row"].items()}
    yield (
        f"Parquet of a billion rows: telemetry {size['telemetry']}, with its truth "
        f"{size['raw']}; the split {size['splits']}; the scores of one model {size['scores']}."
    )
    if found["shuffle_bytes_a_row"] is not None:
        yield f"Shuffled: {found['shuffle_bytes_a_row']:.0f} GB."
    yield ""
    yield (
        "Cost = core-hours x price of a core-hour + GB x months x price of a GB-month. With an "
        f"example price of {EXAMPLE_PRICE} for a core-hour, which is nobody's quote, compute is "
        f"{hours * EXAMPLE_PRICE:.2f}; on N cores it takes {hours:.1f}/N hours and the fixed part."
    )
