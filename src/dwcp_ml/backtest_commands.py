"""`dwcp backtest`: the models' own code on real measurements."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from dwcp_ml.console import FOLDER, PATH, params_option

if TYPE_CHECKING:
    from dwcp_ml.backtest.task import By


@click.command("backtest")
@params_option
@click.argument("task", required=False)
@click.option("--data", type=PATH, multiple=True, help="A CSV (plain or .gz) or Parquet file.")
@click.option(
    "--by",
    type=click.Choice(["time", "entity"]),
    default="time",
    show_default=True,
    help="What the test part of --data is apart by.",
)
@click.option(
    "--public",
    type=FOLDER,
    default="data/public",
    show_default=True,
    help="Without --data: the data sets that its sources.yaml lists.",
)
@click.option("--out", type=FOLDER, default="reports", show_default=True)
@click.option("--page", type=PATH, help="Write the figures as a Markdown page too.")
def backtest_command(
    params_path: Path, task: str | None, data: tuple[Path, ...], by: str, public: Path, out: Path,
    page: Path | None,
) -> None:  # fmt: skip
    """Train and score a model's own code on real measurements.

    \b
    TASK and the columns that its file needs:
      bandwidth    link_id, timestamp, throughput_mbps; the other inputs where measured
      compression  machine, payload, level, ratio, compress_mb_s, decompress_mb_s
      reliability  entity_id, timestamp, is_anomaly and any numeric columns
      consensus    cluster_id, timestamp, consensus_latency_ms; is_high_latency where known

    Without --data it runs on the public measurements that come with the project. Writes
    OUT/backtest.json. A bound that is missed is recorded and shown; the exit code is 0.
    """  # noqa: D301  click wants the character itself
    from dwcp_ml import backtest
    from dwcp_ml.backtest.score import run
    from dwcp_ml.backtest.show import markdown, table
    from dwcp_ml.backtest.stage import REPORT, backtest_all
    from dwcp_ml.errors import ParamsError
    from dwcp_ml.files import whole_file, write_json
    from dwcp_ml.models import read_params
    from dwcp_ml.progress import EpochBar, bar

    params = read_params(params_path)
    if task is not None:
        backtest.get(task)
    if data and task is None:
        raise ParamsError("--data needs a TASK: bandwidth, compression, reliability or consensus")
    with bar("backtest") as tick:
        if not data:
            report = backtest_all(public, out, params, lambda _title: EpochBar(tick), task=task)
        else:
            report = {
                "backtests": [
                    run(str(task), file, cast("By", by), params, EpochBar(tick)) for file in data
                ]
            }
            write_json(out / REPORT, report)
    for entry in report["backtests"]:
        if data:
            from rich.console import Console

            Console().print(table(entry))
            continue
        met = sum(gate["passed"] for gate in entry["gates"])
        click.echo(f"{entry['title']}: {met} of {len(entry['gates'])} bounds met")
    if page is not None:
        with whole_file(page) as partial:
            partial.write_text(markdown(report), encoding="utf-8")
