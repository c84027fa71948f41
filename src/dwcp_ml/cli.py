"""Every command of ``dwcp``; what they do lies in the stages they call."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from dwcp_ml.backtest_commands import backtest_command
from dwcp_ml.console import (
    FOLDER,
    PATH,
    Commands,
    overrides,
    params_option,
    registry_option,
)
from dwcp_ml.monitoring_commands import drift_command, retrain_command
from dwcp_ml.pipeline_commands import pipeline_commands
from dwcp_ml.progress import EpochBar, bar
from dwcp_ml.registry_commands import registry_commands
from dwcp_ml.rollout_commands import rollout_commands
from dwcp_ml.scale_commands import scale_commands
from dwcp_ml.serve_commands import serve_command
from dwcp_ml.tracking_commands import track_command, track_stage
from dwcp_ml.tuning_commands import tune_command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dwcp-ml")
def main() -> None:
    """DWCP telemetry in, four evaluated ONNX models out.

    The stages in order: simulate or ingest, validate, split, train, export, evaluate, report,
    register. `dvc repro` runs them all and skips what has not changed.
    """
    # OpenMP threads fight over few cores; one is fastest here and gives equal sums every run.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when ONNX Runtime is imported


@main.command()
@params_option
@click.option("--out", type=FOLDER, default="data/raw", show_default=True)
@click.option("--seed", type=int, help="Another seed than the parameter file's.")
@click.option("--unless-ingested", is_flag=True, help="Keep telemetry that `dwcp ingest` wrote.")
def simulate(params_path: Path, out: Path, seed: int | None, unless_ingested: bool) -> None:
    """Simulate a fleet: telemetry, incidents and the latent truth."""
    from dwcp_ml.models import read_params
    from dwcp_ml.telemetry.dataset import holds_ingested
    from dwcp_ml.telemetry.simulator import simulate as stage

    if unless_ingested and holds_ingested(out):
        click.echo(f"keeping the ingested telemetry in {out}; delete the folder to simulate")
        return
    with bar("simulate") as tick:
        stage(read_params(params_path).simulate, out, seed=seed, tick=tick)


@main.command()
@params_option
@click.option("--raw", type=FOLDER, default="data/raw", show_default=True)
@click.option("--out", type=FOLDER, default="data/fresh", show_default=True)
def fresh(params_path: Path, raw: Path, out: Path) -> None:
    """Simulate fleets from seeds never trained on, for a second verdict."""
    from dwcp_ml.models import read_params
    from dwcp_ml.telemetry.fresh import simulate_fresh

    params = read_params(params_path)
    with bar("simulate fresh seeds") as tick:
        simulate_fresh(raw, params.simulate, params.fresh, out, tick=tick)


@main.command()
@click.option("--map", "column_map", type=PATH, required=True, help="Column map, YAML.")
@click.option("--out", type=FOLDER, default="data/raw", show_default=True)
@click.argument("files", type=PATH, nargs=-1, required=True)
def ingest(column_map: Path, out: Path, files: tuple[Path, ...]) -> None:
    """Read your CSV or Parquet FILES into the telemetry schema.

    The column map names your columns, their units and what your source does not have; see
    examples/etcd/columns.yaml. Afterwards run `dvc repro` as usual.
    """
    from dwcp_ml.telemetry.ingest import ingest as stage

    with bar("ingest") as tick:
        manifest = stage(files, column_map, out, tick=tick)
    click.echo(f"{manifest.rows} rows of {manifest.series} series in {out}")


@main.command()
@click.option("--raw", type=FOLDER, default="data/raw", show_default=True)
@click.option("--out", type=FOLDER, default="reports", show_default=True)
def validate(raw: Path, out: Path) -> None:
    """Check telemetry against the data contract with Great Expectations."""
    from dwcp_ml.telemetry.contract import validate as stage

    with bar("validate") as tick:
        stage(raw, out, tick=tick)


@main.command()
@params_option
@click.option("--raw", type=FOLDER, default="data/raw", show_default=True)
@click.option("--out", type=FOLDER, default="data/splits", show_default=True)
def split(params_path: Path, raw: Path, out: Path) -> None:
    """Cut telemetry by time into train, validation and test."""
    from dwcp_ml.models import gap_steps, read_params
    from dwcp_ml.telemetry.split import split as stage

    params = read_params(params_path)
    with bar("split") as tick:
        stage(raw, params.split, out, gap_steps=gap_steps(params), tick=tick)


@main.command()
@params_option
@click.option(
    "--data-path",
    type=PATH,
    default="data/splits",
    show_default=True,
    help="A folder of splits, a raw folder, or one Parquet or CSV file.",
)
@click.option("--incidents-path", type=PATH, help="labeled_incidents.json for a single file.")
@click.option("--output-dir", type=FOLDER, default="artifacts", show_default=True)
@click.option("--models", help="With `all`: only these, separated by commas.")
@click.option("--jobs", type=int, default=2, show_default=True, help="Models at a time.")
@click.option("--parallel/--serial", default=True, show_default=True)
@click.option(
    "--export-format",
    type=click.Choice(["onnx", "savedmodel"]),
    default="onnx",
    show_default=True,
    help="savedmodel adds TensorFlow's format beside ONNX.",
)
@click.option("--tensorboard", type=FOLDER, help="Write TensorBoard logs here.")
@overrides
@click.argument("model")
def train(model: str, params_path: Path, data_path: Path, output_dir: Path, **options: Any) -> None:
    """Train MODEL, or `all` of them.

    With one name this is the training stage and writes OUTPUT_DIR/MODEL/. With `all` every model
    is trained, exported and evaluated in processes of its own, and OUTPUT_DIR receives one report
    a model and the master report; no DVC is needed.
    """
    from dwcp_ml import session

    plan = session.read_plan(params_path, data_path, output_dir, options)
    if model == "all":
        with bar("train all") as tick:
            master = session.train_all(plan, tick)
        track_stage(plan.params.models, artifacts=output_dir, reports=output_dir)
        _show(master, output_dir)
    else:
        with bar(f"train {model}") as tick:
            session.train_one(plan, model, EpochBar(tick))


@main.command()
@params_option
@click.option("--artifacts", type=FOLDER, default="artifacts", show_default=True)
@click.option("--splits", type=FOLDER, default="data/splits", show_default=True)
@click.option("--export-format", type=click.Choice(["onnx", "savedmodel"]), default="onnx")
@click.argument("model")
def export(
    model: str, params_path: Path, artifacts: Path, splits: Path, export_format: str
) -> None:
    """Write MODEL as one ONNX graph with its metadata, and prove that both answer alike."""
    from dwcp_ml.models import read_params
    from dwcp_ml.models.export import export as stage

    stage(
        model,
        artifacts,
        splits,
        read_params(params_path),
        saved_model=export_format == "savedmodel",
    )


@main.command()
@params_option
@click.option(
    "--artifacts",
    "--checkpoints-dir",
    type=FOLDER,
    default="artifacts",
    show_default=True,
    help="Folder with one folder a model.",
)
@click.option(
    "--splits",
    "--test-data-path",
    type=PATH,
    default="data/splits",
    show_default=True,
    help="Folder of splits, or one Parquet or CSV file to test on.",
)
@click.option("--fresh", "fresh_path", type=FOLDER, help="Folder of fleets never trained on.")
@click.option("--champion", type=FOLDER, help="Registry whose latest versions to compare with.")
@click.option("--out", "--output-dir", type=FOLDER, default="reports", show_default=True)
@click.argument("model", required=False)
def evaluate(
    model: str | None,
    params_path: Path,
    artifacts: Path,
    splits: Path,
    fresh_path: Path | None,
    champion: Path | None,
    out: Path,
) -> None:
    """Score the ONNX file of MODEL, or of every model found in the folder.

    Without MODEL comprehensive_evaluation_report.json says APPROVED or FAILED for all of them.
    """
    from dwcp_ml.evaluation.comprehensive import evaluate_all
    from dwcp_ml.evaluation.evaluate import evaluate as stage
    from dwcp_ml.models import read_params

    params = read_params(params_path)
    with bar(f"evaluate {model or 'all models'}") as tick:
        if model:
            latest = None if champion is None else champion / model / "latest"
            stage(
                model, artifacts, splits, out, params, fresh=fresh_path, champion=latest, tick=tick
            )
            return
        found = evaluate_all(artifacts, splits, out, params, registry=champion, tick=tick)
    click.echo(found["deployment_recommendation"])


@main.command()
@params_option
@click.option("--reports", type=FOLDER, default="reports", show_default=True)
def report(params_path: Path, reports: Path) -> None:
    """Write the master report as JSON, Markdown and one HTML page."""
    from dwcp_ml.evaluation.report import report as stage
    from dwcp_ml.models import read_params

    names = read_params(params_path).models
    stage(reports, names)
    track_stage(names, artifacts=Path("artifacts"), reports=reports)


@main.command()
@params_option
@click.option("--reports", type=FOLDER, default="reports", show_default=True)
@click.option("--artifacts", type=FOLDER, default="artifacts", show_default=True)
@registry_option
def register(params_path: Path, reports: Path, artifacts: Path, registry: Path) -> None:
    """Give every model an immutable version, if every gate of every model passed."""
    from dwcp_ml import session
    from dwcp_ml.models import read_params

    names = read_params(params_path).models
    for made in session.register(reports, artifacts, registry, names):
        click.echo(made)
    track_stage(names, artifacts=artifacts, reports=reports, registry=registry)


@main.command()
@click.option("--reports", type=FOLDER, default="reports", show_default=True)
def summary(reports: Path) -> None:
    """Print the verdict: model, target, value, baseline, ceiling."""
    from dwcp_ml.evaluation.jsons import read_json
    from dwcp_ml.evaluation.report import MASTER

    _show(read_json(reports / f"{MASTER}.json"), reports)


def _show(master: dict[str, Any], reports: Path) -> None:
    from rich.console import Console

    from dwcp_ml.evaluation.report import MASTER, summary_table

    console = Console(width=None if sys.stdout.isatty() else 118)
    console.print(summary_table(master))
    console.print(f"[bold]{master['production_readiness']['deployment_recommendation']}[/bold]")
    console.print(f"report: {reports / MASTER}.html", soft_wrap=True, highlight=False)


main.add_command(backtest_command)
main.add_command(drift_command)
main.add_command(retrain_command)
main.add_command(track_command)
main.add_command(tune_command)
main.add_command(registry_commands)
main.add_command(pipeline_commands)
main.add_command(scale_commands)
main.add_command(serve_command)
main.add_command(rollout_commands)


if __name__ == "__main__":
    main()
