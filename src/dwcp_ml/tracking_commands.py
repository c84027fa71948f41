"""`dwcp track`: finished trainings, and those that a stage finishes, to an MLflow server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dwcp_ml.console import FOLDER, registry_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dwcp_ml.tracking.training import Around


@click.command("track")
@click.option("--artifacts", type=FOLDER, default="artifacts", show_default=True)
@click.option("--reports", type=FOLDER, default="reports", show_default=True)
@registry_option
@click.argument("models", nargs=-1)
def track_command(artifacts: Path, reports: Path, registry: Path, models: tuple[str, ...]) -> None:
    """Send finished trainings to the MLflow server that MLFLOW_TRACKING_URI names.

    Those of MODELS, by default of all that were evaluated. A training has one run, however often
    it is sent: a half-sent one is replaced, another evaluation or a registered version is added.
    `dwcp report` and `dwcp register` do this by themselves when the variable is set.

    Experiments are called dwcp/MODEL; MLFLOW_EXPERIMENT_NAME is taken instead of dwcp.
    """
    from dwcp_ml import models as known
    from dwcp_ml.errors import UnreadableFileError
    from dwcp_ml.tracking.after import needed_place, send_all
    from dwcp_ml.tracking.training import evaluated

    place = needed_place(os.environ)
    for name in models:
        known.get(name)
    names = models or evaluated(reports)
    if not names:
        raise UnreadableFileError(f"{reports} holds no report of a model; run 'dvc repro' first")
    for sent in send_all(names, _around(artifacts, reports, registry), place):
        click.echo(f"{sent.name}: {sent.state}, {sent.page}")


def track_stage(
    names: Sequence[str], *, artifacts: Path, reports: Path, registry: Path = Path("models")
) -> None:
    """Send what a stage finished if MLFLOW_TRACKING_URI is set; a failure is a warning."""
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return
    from dwcp_ml.tracking.after import after_stage

    for line in after_stage(names, _around(artifacts, reports, registry), os.environ):
        click.echo(line, err=True)


def _around(artifacts: Path, reports: Path, registry: Path) -> Around:
    from getpass import getuser

    from dwcp_ml.session import git_commit
    from dwcp_ml.tracking.training import Around

    try:
        user: str | None = getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = None
    return Around(
        artifacts=artifacts,
        reports=reports,
        registry=registry,
        git_commit=git_commit(),
        experiment=os.environ.get("DVC_EXP_NAME"),
        user=user,
    )
