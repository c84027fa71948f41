"""`dwcp drift` and `dwcp retrain`: has what the models are asked changed, and what then?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from dwcp_ml.console import FOLDER, PATH

if TYPE_CHECKING:
    from dwcp_ml.retraining import Cause

CHANGED = 32  # exit code of --exit-code; no error has it


@click.command("drift")
@click.option("--reference", type=PATH, required=True, help="What the model was trained on.")
@click.option("--live", type=PATH, required=True, help="What it sees now.")
@click.option("--column", "columns", multiple=True, help="Only these; by default all in common.")
@click.option("--subject", default="telemetry", show_default=True, help="Name in the reports.")
@click.option("--window-h", default=24.0, show_default=True, help="Hours of a window.")
@click.option("--k", default=2, show_default=True, help="Windows of the last N that must drift.")
@click.option("--n", default=3, show_default=True)
@click.option("--out", type=FOLDER, default="reports", show_default=True)
@click.option("--exit-code", is_flag=True, help=f"Exit with {CHANGED} when a training is due.")
def drift_command(
    reference: Path, live: Path, columns: tuple[str, ...], subject: str, window_h: float, k: int,
    n: int, out: Path, exit_code: bool,
) -> None:  # fmt: skip
    """Compare windows of live values with the reference, column by column.

    REFERENCE and LIVE are a CSV or Parquet file, raw telemetry, a part of a split, or a folder
    that `dwcp serve --samples` writes. A window drifts where a column moved further than any
    window of the reference lies from the others. Writes OUT/drift.json, drift.html and drift.prom
    (Prometheus).
    """
    import sys

    from dwcp_ml.monitoring.show import write_reports
    from dwcp_ml.monitoring.tables import read_values
    from dwcp_ml.monitoring.watch import Rule, watch

    rule = Rule(window_h, k, n)
    was, now = read_values(reference), read_values(live)
    if columns:
        was, now = was.only(columns), now.only(columns)
    verdict = watch(was, now, rule)
    write_reports(verdict, out, subject)
    for window in verdict.windows:
        moved = ", ".join(c.name for c in window.columns if c.drifted)
        click.echo(f"{window.start:%Y-%m-%d %H:%M}  {window.rows:>9,} rows  {moved or 'as usual'}")
    click.echo("train again" if verdict.retrain else "nothing to do")
    if exit_code and verdict.retrain:
        sys.exit(CHANGED)


@click.command("retrain")
@click.option(
    "--if",
    "cause",
    type=click.Choice(["schedule", "drift", "force"]),
    required=True,
    help="Why: a schedule came round, the drift report asks for it, or you do.",
)
@click.option("--drift", type=PATH, default="reports/drift.json", show_default=True)
@click.option("--dry-run", is_flag=True, help="Say what would be done.")
def retrain_command(cause: str, drift: Path, dry_run: bool) -> None:
    """Run the stages again when there is a reason, and something that could come out differently.

    `schedule` and `drift` do nothing when data, parameters and code are those of the last run;
    `force` trains all the same. One retraining at a time in a checkout.
    """
    from dwcp_ml.retraining import retrain

    ran, why = retrain(Path(), cast("Cause", cause), drift, dry_run=dry_run)
    words = "would train again" if ran and dry_run else "trained again" if ran else "nothing to do"
    click.echo(f"{words}: {'; '.join(why)}")
