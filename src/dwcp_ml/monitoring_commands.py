"""`dwcp drift` and `dwcp retrain`: has what the models are asked changed, and what then?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from dwcp_ml.console import FOLDER, PATH
from dwcp_ml.errors import ParamsError, RegistryError

if TYPE_CHECKING:
    from dwcp_ml.monitoring.watch import Rule, Verdict
    from dwcp_ml.retraining import Cause

CHANGED = 32  # exit code of --exit-code; no error has it


@click.command("drift")
@click.option("--reference", required=True, help="What the model was trained on.")
@click.option("--live", required=True, help="What it sees now.")
@click.option("--model", help="Folder or s3:// of a model: artifacts/NAME, models/NAME[@VERSION].")
@click.option("--truth", help="Telemetry that came after a log of answers.")
@click.option("--column", "columns", multiple=True, help="Only these; by default all in common.")
@click.option("--subject", help="Name in the reports; by default the model's, or telemetry.")
@click.option("--window-h", default=24.0, show_default=True, help="Hours of a window.")
@click.option("--k", default=2, show_default=True, help="Windows of the last N that must drift.")
@click.option("--n", default=3, show_default=True)
@click.option("--out", type=FOLDER, default="reports", show_default=True)
@click.option("--push", metavar="URL", help="Push gateway that receives the metrics too.")
@click.option("--exit-code", is_flag=True, help=f"Exit with {CHANGED} when a training is due.")
def drift_command(
    reference: str, live: str, model: str | None, truth: str | None, columns: tuple[str, ...],
    subject: str | None, window_h: float, k: int, n: int, out: Path, push: str | None,
    exit_code: bool,
) -> None:  # fmt: skip
    """Compare windows of live values with the reference, column by column.

    REFERENCE and LIVE are a CSV or Parquet file, raw telemetry, a part of a split, or a folder
    that `dwcp serve --samples` writes; each may lie at s3://BUCKET/PREFIX. A window drifts where a
    column moved further than any window of the reference lies from the others. Writes
    OUT/drift.json, drift.html and drift.prom (Prometheus).

    With MODEL the columns are its inputs and what it answers, and where the truth has arrived in
    later telemetry, how well it answers.
    """
    import sys

    from dwcp_ml.monitoring.metrics import push_metrics
    from dwcp_ml.monitoring.show import write_reports
    from dwcp_ml.monitoring.watch import Rule

    name, verdict = _compared(reference, live, model, truth, columns, Rule(window_h, k, n))
    subject = subject or name
    write_reports(verdict, out, subject)
    for window in verdict.windows:
        moved = [c.name for c in window.columns if c.drifted]
        if verdict.performance and window.performance and window.performance.drifted:
            moved.append(f"performance ({verdict.performance.metric})")
        told = ", ".join(moved) or "as usual"
        click.echo(f"{window.start:%Y-%m-%d %H:%M}  {window.rows:>9,} rows  {told}")
    click.echo("train again" if verdict.retrain else "nothing to do")
    if push:
        push_metrics(verdict, subject, push)
    if exit_code and verdict.retrain:
        sys.exit(CHANGED)


def _compared(
    reference: str, live: str, model: str | None, truth: str | None, columns: tuple[str, ...],
    rule: Rule,
) -> tuple[str, Verdict]:  # fmt: skip
    """What was compared, and the verdict; copies of what lies on S3 are gone afterwards."""
    from contextlib import ExitStack

    from dwcp_ml.monitoring.compare import compare_model, compare_values
    from dwcp_ml.monitoring.model import open_model
    from dwcp_ml.monitoring.versions import answered_last, of_version

    with ExitStack() as stack:
        was, now = (stack.enter_context(_nearby(uri)) for uri in (reference, live))
        if model is None:
            if truth is not None:
                raise ParamsError("--truth says how well a model answered; name it with --model")
            return "telemetry", compare_values(was, now, rule, columns)
        folder = stack.enter_context(_version(model, answered_last(now)))
        now, watched = of_version(now, folder.name), open_model(folder)
        later = stack.enter_context(_nearby(truth)) if truth is not None else None
        return watched.name, compare_model(was, now, rule, watched, truth=later, columns=columns)


@contextmanager
def _nearby(place: str) -> Iterator[Path]:
    """A path; what lies on S3 is a copy as long as it is needed."""
    from tempfile import TemporaryDirectory

    from dwcp_ml.errors import DataSourceError
    from dwcp_ml.registry.objects import SCHEME, objects

    if not place.startswith(SCHEME):
        yield Path(place)
        return
    with TemporaryDirectory() as scratch:
        store = objects(place)
        names = store.names()
        if not names:
            raise DataSourceError(f"{place} holds no object")
        store.download(names, Path(scratch))
        yield Path(scratch)


@contextmanager
def _version(model: str, answered: str | None) -> Iterator[Path]:
    """The folder of PLACE/NAME[@VERSION]: an exported model, or a registered version.

    Without a version it is the one that ``answered`` last, where that is known, else the latest.
    """
    from tempfile import TemporaryDirectory

    from dwcp_ml.evaluation.artifact import ONNX
    from dwcp_ml.registry.remote import bring_version, champions, registry_folder
    from dwcp_ml.registry.store import resolve

    place, _, version = model.partition("@")
    root, _, name = place.rstrip("/").rpartition("/")
    folder = registry_folder(root or ".")
    if folder is not None:
        if not version and (folder / name / ONNX).is_file():
            yield folder / name
            return
        yield folder / name / str(resolve(folder, name, version or answered))
        return
    wanted = version or answered or champions(root, [name]).get(name)
    if wanted is None:
        raise RegistryError(f"{root} holds no version of '{name}'")
    with TemporaryDirectory() as scratch:
        yield bring_version(root, name, wanted, Path(scratch))


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
