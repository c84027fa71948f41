"""`dwcp pipeline`: the stages on Kubeflow Pipelines, on this machine or on a cluster."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dwcp_ml.console import FOLDER, PATH, Commands, params_option
from dwcp_ml.errors import ParamsError, nearest

if TYPE_CHECKING:
    from kfp import Client

    from dwcp_ml.kubeflow.client import Run
    from dwcp_ml.kubeflow.settings import Settings

PIPELINE = click.argument("name", default="train")


@click.group("pipeline", cls=Commands)
def pipeline_commands() -> None:
    """Compile, run, submit and schedule the stages on Kubeflow Pipelines.

    Pipelines are `train` and `train_and_deploy`; without a name it is `train`.
    """


def endpoint_options(command: Any) -> Any:
    """Where the endpoint is and who asks."""
    for option in (
        click.option("--endpoint", envvar="KF_PIPELINES_ENDPOINT", help="URL of the API; by "
                     "default the service in the cluster of the kubeconfig."),
        click.option("--token", envvar="DWCP_PIPELINES_TOKEN", help="Bearer token."),
        click.option("--token-file", type=PATH, help="File that holds the token."),
        click.option("--namespace", help="The user's namespace, where there are several users."),
        click.option("--experiment", default="dwcp", show_default=True),
    ):  # fmt: skip
        command = option(command)
    return command


def placement_options(command: Any) -> Any:
    """What is fixed when a pipeline is compiled."""
    for option in (
        click.option("--images", type=PATH, default="build/images.json", show_default=True,
                     help="Images by digest, as `make images` wrote them."),
        click.option("--s3-endpoint", default="http://minio-service.kubeflow:9000",
                     show_default=True, help="Store as seen by tasks; empty for AWS."),
        click.option("--s3-region", default="minio", show_default=True),
        click.option("--s3-secret", default="mlpipeline-minio-artifact", show_default=True,
                     help="Secret with accesskey and secretkey; empty for the pod's account."),
        click.option("--node-selector", multiple=True, metavar="KEY=VALUE"),
        click.option("--toleration", multiple=True, metavar="KEY=VALUE:EFFECT"),
        click.option("--volume", metavar="CLAIM:/PATH", help="Mounted where data is read."),
        click.option("--cache/--no-cache", default=True, show_default=True),
        click.option("--tracking-uri", default="", help="MLflow server as seen by tasks."),
    ):  # fmt: skip
        command = option(command)
    return command


def argument_options(command: Any) -> Any:
    """Arguments of a run."""
    for option in (
        click.option("--data-uri", help="simulator: | /folder | s3://BUCKET/PREFIX | dvc+REMOTE "
                     "| git+URL"),
        click.option("--revision", help="Of the data: md5 for dvc+, tag, branch or commit for "
                     "git+."),
        click.option("--registry-uri", help="/folder or s3://BUCKET/PREFIX."),
        click.option("--set", "given", multiple=True, metavar="NAME=JSON",
                     help="Any other parameter of the pipeline."),
    ):  # fmt: skip
        command = option(command)
    return command


@pipeline_commands.command("compile")
@PIPELINE
@params_option
@placement_options
@click.option("--out", type=PATH, help="By default build/pipelines/NAME.yaml.")
@click.option("--keep", is_flag=True, help="Write pipelines/NAME.yaml, which names no digests.")
@click.option("--check", is_flag=True, help="Fail unless pipelines/NAME.yaml is up to date.")
def compile_pipeline(
    name: str, params_path: Path, out: Path | None, keep: bool, check: bool, **placement: Any
) -> None:
    """Compile a pipeline; equal sources give equal bytes."""
    from dwcp_ml.files import write_text
    from dwcp_ml.kubeflow import compile as compiling

    kept = Path("pipelines", f"{name}.yaml")
    if keep or check:
        placement["images"] = Path(os.devnull, "none")
    text = _compiled(name, params_path, placement)
    if check:
        compiling.check(kept, text)
        return
    target = kept if keep else out or Path("build/pipelines", f"{name}.yaml")
    write_text(target, text)
    click.echo(target)


@pipeline_commands.command("run")
@PIPELINE
@params_option
@argument_options
@click.option("--runner", type=click.Choice(["subprocess", "docker"]), default="subprocess",
              show_default=True)  # fmt: skip
@click.option("--images", type=PATH, default="build/local-images.json", show_default=True)
@click.option("--out", type=FOLDER, default="build/runs", show_default=True)
def run_pipeline(
    name: str, params_path: Path, runner: Any, images: Path, out: Path, **arguments: Any
) -> None:
    """Run a pipeline on this machine; the registry is the folder `models` by default."""
    from dwcp_ml.kubeflow.compile import build
    from dwcp_ml.kubeflow.local import run
    from dwcp_ml.kubeflow.settings import Settings, read_images
    from dwcp_ml.models import read_params

    settings = Settings(images=read_images(images), store=None)
    params = read_params(params_path)
    given = {"registry_uri": "models"} | _arguments(params_path, arguments)
    done = run(build(name, params, settings), given, out, runner)
    click.echo(f"report: {done.output('report', 'page')}")


@pipeline_commands.command("submit")
@PIPELINE
@params_option
@argument_options
@placement_options
@endpoint_options
@click.option("--service-account", help="Of the tasks' pods.")
@click.option("--wait/--no-wait", default=True, show_default=True)
@click.option("--deadline-min", default=360.0, show_default=True, help="Then the run is stopped.")
def submit_pipeline(
    name: str, params_path: Path, wait: bool, deadline_min: float, **given: Any
) -> None:
    """Submit a run with the parameters of the parameter file, and wait for its end."""
    from dwcp_ml.kubeflow import client as runs
    from dwcp_ml.session import now

    text = _compiled(name, params_path, given)
    arguments = _arguments(params_path, given)
    client = _client(given)
    run = runs.submit(client, text, arguments, name=f"{name} {now()}", **_group(given))
    click.echo(f"run {run}")
    if wait:
        told: dict[str, str] = {}
        runs.wait(client, run, deadline_s=60 * deadline_min, tick=lambda r: _tell(r, told))
        click.echo("SUCCEEDED")


@pipeline_commands.command("schedule")
@PIPELINE
@params_option
@argument_options
@placement_options
@endpoint_options
@click.option("--service-account", help="Of the tasks' pods.")
@click.option("--cron", required=True, help='Minute, hour, day, month, weekday: "0 2 * * 0".')
@click.option("--schedule-name", help="By default dwcp-NAME; one of that name is replaced.")
def schedule_pipeline(
    name: str, params_path: Path, cron: str, schedule_name: str | None, **given: Any
) -> None:
    """Submit a run whenever CRON says so."""
    from dwcp_ml.kubeflow import client as runs

    runs.six_fields(cron)
    text = _compiled(name, params_path, given)
    arguments = _arguments(params_path, given)
    title = schedule_name or f"dwcp-{name.replace('_', '-')}"
    made = runs.schedule(_client(given), text, arguments, cron=cron, name=title, **_group(given))
    click.echo(f"schedule {made}")


@pipeline_commands.command("start")
@endpoint_options
@click.option("--schedule-name", required=True, help="Schedule whose pipeline is run now.")
@click.option(
    "--if-drift",
    "drift",
    type=PATH,
    metavar="REPORT",
    help="Only if this drift.json asks for a training.",
)
@click.option(
    "--rest-h",
    default=72.0,
    show_default=True,
    help="Only if the schedule's last run began longer ago than so many hours.",
)
def start_pipeline(
    schedule_name: str, drift: Path | None, rest_h: float, **given: Any
) -> None:  # fmt: skip
    """Run a schedule's pipeline now, unless one of its runs is under way or was just there.

    Everything is as the schedule says; what did not change comes from the cache.
    """
    from datetime import UTC, datetime, timedelta

    from dwcp_ml.kubeflow.scheduled import start_scheduled
    from dwcp_ml.retraining import due

    wanted, why = due("drift", drift) if drift is not None else (True, "asked for")
    if not wanted:
        click.echo(f"nothing to do: {why}")
        return
    run, how = start_scheduled(
        _client(given), schedule_name, at=datetime.now(UTC), rest=timedelta(hours=rest_h),
        experiment=given["experiment"], namespace=given["namespace"],
    )  # fmt: skip
    click.echo(f"{'nothing to do' if run is None else f'run {run}'}: {why}; {how}")


@pipeline_commands.command("status")
@endpoint_options
@click.argument("run", required=False)
def run_status(run: str | None, **given: Any) -> None:
    """Print the tasks of RUN, by default the newest one, its state and the reason."""
    from dwcp_ml.kubeflow import client as runs

    client = _client(given)
    run = run or runs.latest_run(client, given["experiment"], given["namespace"])
    found = runs.status(client, run)
    click.echo(f"{found.name}  {found.id}")
    _tell(found, {})
    click.echo(found.state + (f": {found.reason}" if found.reason else ""))


def _compiled(name: str, params_path: Path, placement: dict[str, Any]) -> str:
    from dwcp_ml.kubeflow.compile import build, compiled
    from dwcp_ml.models import read_params

    return compiled(build(name, read_params(params_path), _settings(placement)))


def _settings(given: dict[str, Any]) -> Settings:
    from dwcp_ml.kubeflow.settings import Settings, Store, Toleration, Volume, read_images

    selector = dict(_pair(text) for text in given["node_selector"])
    return Settings(
        images=read_images(given["images"]),
        store=Store(given["s3_endpoint"], given["s3_region"], given["s3_secret"]),
        node_selector=selector,
        tolerations=tuple(Toleration.parse(text) for text in given["toleration"]),
        volume=Volume.parse(given["volume"]) if given["volume"] else None,
        cache=given["cache"],
        tracking_uri=given["tracking_uri"],
    )


def _arguments(params_path: Path, given: dict[str, Any]) -> dict[str, Any]:
    """What the command line sets; the parameter file's values are the pipeline's defaults."""
    import json

    from dwcp_ml.kubeflow.parameters import pipeline_parameters
    from dwcp_ml.models import read_params

    known = {*pipeline_parameters(read_params(params_path)), "namespace", "runtime"}
    places = ("data_uri", "revision", "registry_uri")
    found = {name: given[name] for name in places if given[name] is not None}
    for key, text in (_pair(item) for item in given["given"]):
        if key not in known:
            raise ParamsError(f"the pipeline has no parameter '{key}'{nearest(key, known)}")
        try:
            found[key] = json.loads(text)
        except ValueError:
            found[key] = text
    return found


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise click.BadParameter(f"'{text}' is not KEY=VALUE")
    return key, value


def _client(given: dict[str, Any]) -> Client:
    from dwcp_ml.kubeflow.endpoint import connect, read_token

    return connect(given["endpoint"], read_token(given["token"], given["token_file"]))


def _group(given: dict[str, Any]) -> dict[str, Any]:
    return {key: given[key] for key in ("experiment", "namespace", "service_account")}


def _tell(run: Run, told: dict[str, str]) -> None:
    """Print every task whose state has changed."""
    for task in run.tasks:
        if told.get(task.name) != task.state:
            told[task.name] = task.state
            click.echo(f"  {task.state:<10} {task.name}")
