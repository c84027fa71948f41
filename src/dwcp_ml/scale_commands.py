"""`dwcp scale`: stages over partitions on Spark."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dwcp_ml.console import Commands, params_option
from dwcp_ml.scale.workers_command import train_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyspark.sql import SparkSession


@click.group("scale", cls=Commands)
def scale_commands() -> None:
    """Telemetry larger than one machine: stages on Spark, training by several workers.

    The stages are those of one process, run over part files; the results are the same. Their places
    are folders that every worker sees under the same path, or s3://BUCKET/PREFIX.
    """


def spark_options(command: Any) -> Any:
    """Which cluster, with which settings."""
    for option in (
        click.option("--master", help="local[2], spark://HOST:7077, k8s://https://HOST:PORT or "
                     "yarn.  [default: spark-submit's, or local[*]]"),
        click.option("--conf", "settings", multiple=True, metavar="KEY=VALUE",
                     help="A setting of Spark."),
    ):  # fmt: skip
        command = option(command)
    return command


out_option = click.option("--out", required=True, help="Where the result appears as a whole.")
replace_option = click.option("--replace", is_flag=True, help="An existing folder gives way.")
part_option = click.option(
    "--part",
    "role",
    type=click.Choice(["train", "validation", "test"]),
    default="test",
    show_default=True,
    help="Of a split; raw telemetry is taken whole.",
)


@scale_commands.command("simulate")
@params_option
@click.option("--nodes", type=click.IntRange(min=1), help="Instead of the parameter file's.")
@click.option("--steps", type=click.IntRange(min=2), help="Instead of the parameter file's.")
@click.option("--nodes-per-part", type=click.IntRange(min=1), help="Nodes that a task makes.")
@click.option("--seed", type=int, help="Another seed than the parameter file's.")
@out_option
@replace_option
@spark_options
def simulate(
    params_path: Path,
    nodes: int | None,
    steps: int | None,
    nodes_per_part: int | None,
    seed: int | None,
    out: str,
    replace: bool,
    **cluster: Any,
) -> None:
    """Simulate a fleet: the part files of `dwcp simulate`, to the byte."""
    from dwcp_ml.models import read_params
    from dwcp_ml.scale.simulate import simulate as stage

    sizes = {"nodes": nodes, "steps": steps, "nodes_per_part": nodes_per_part}
    given = {name: value for name, value in sizes.items() if value is not None}
    params = read_params(params_path).simulate.model_copy(update=given)
    with _spark(cluster, "simulate") as (spark, tick):
        made = stage(spark, params, out, seed=seed, replace=replace, tick=tick)
    click.echo(f"{made.rows} rows of {made.series} series in {out}")


@scale_commands.command("validate")
@click.option("--raw", required=True, help="Raw telemetry.")
@click.option("--out", default="reports", show_default=True,
              help="Folder of this machine for the report, or s3://BUCKET/PREFIX.")  # fmt: skip
@spark_options
def validate(raw: str, out: str, **cluster: Any) -> None:
    """Check telemetry against the data contract with Great Expectations' Spark engine."""
    from dwcp_ml.scale.validate import validate as stage

    with _spark(cluster, "validate") as (spark, tick):
        report = stage(spark, raw, out, tick=tick)
    click.echo(f"{report.evaluated} expectations hold on {report.rows} rows")


@scale_commands.command("split")
@params_option
@click.option("--raw", required=True, help="Raw telemetry.")
@out_option
@replace_option
@spark_options
def split(params_path: Path, raw: str, out: str, replace: bool, **cluster: Any) -> None:
    """Cut telemetry by time into train, validation and test: folders of part files."""
    from dwcp_ml.models import gap_steps, read_params
    from dwcp_ml.scale.split import split as stage

    params = read_params(params_path)
    gap = gap_steps(params)
    with _spark(cluster, "split") as (spark, tick):
        made = stage(spark, raw, params.split, out, gap_steps=gap, replace=replace, tick=tick)
    click.echo(", ".join(f"{role} {part.rows} rows" for role, part in made.parts.items()))


@scale_commands.command("windows")
@params_option
@click.option("--data", required=True, help="Raw telemetry or a split.")
@part_option
@out_option
@replace_option
@spark_options
@click.argument("model")
def windows(
    model: str, params_path: Path, data: str, role: str, out: str, replace: bool, **cluster: Any
) -> None:
    """Write every example of MODEL with its targets, none left out and none thinned."""
    from dwcp_ml.models import get, read_params
    from dwcp_ml.scale.windows import windows as stage

    get(model)
    params = read_params(params_path)
    with _spark(cluster, f"windows {model}") as (spark, tick):
        rows = stage(spark, data, model, params, out, role=role, replace=replace, tick=tick)
    click.echo(f"{rows} examples in {out}")


@scale_commands.command("score")
@params_option
@click.option("--registry", default="models", show_default=True,
              help="Root of the registry, or s3://BUCKET/PREFIX.")  # fmt: skip
@click.option("--version", help="Registered version.  [default: the latest]")
@click.option("--data", required=True, help="Raw telemetry or a split.")
@part_option
@out_option
@replace_option
@spark_options
@click.argument("model")
def score(
    model: str,
    params_path: Path,
    registry: str,
    version: str | None,
    data: str,
    out: str,
    **rest: Any,
) -> None:
    """Answer every example of the telemetry with a registered MODEL."""
    from dwcp_ml.models import get, read_params
    from dwcp_ml.scale.score import registered
    from dwcp_ml.scale.score import score as stage

    get(model)
    params = read_params(params_path)
    more = {name: rest.pop(name) for name in ("role", "replace")}
    with (
        registered(registry, model, version) as folder,
        _spark(rest, f"score {model}") as (spark, tick),
    ):
        rows = stage(spark, data, model, folder, params, out, tick=tick, **more)
    click.echo(f"{rows} answers in {out}")


@contextmanager
def _spark(
    cluster: dict[str, Any], title: str
) -> Iterator[tuple[SparkSession, Callable[[int, int], None]]]:
    from dwcp_ml.progress import bar
    from dwcp_ml.scale.spark import session

    settings = {}
    for text in cluster["settings"]:
        key, equals, value = text.partition("=")
        if not key.startswith("spark.") or not equals:
            raise click.BadParameter(f"'{text}' is not spark.KEY=VALUE")
        settings[key] = value
    with session(cluster["master"], settings) as spark, bar(title) as tick:
        yield spark, tick


scale_commands.add_command(train_command)
