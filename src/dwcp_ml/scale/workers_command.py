"""`dwcp scale train`: one model by several workers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dwcp_ml.console import FOLDER, params_option

if TYPE_CHECKING:
    from dwcp_ml.scale.workers import Team


@click.command("train")
@params_option
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="Processes on this machine; in a team this process is one of its workers.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="Of TensorFlow in every process on this machine.  [default: its cores / workers]",
)
@click.option(
    "--timeout-s",
    type=click.FloatRange(min=1),
    default=600.0,
    show_default=True,
    help="For the others to come up, and for each of their answers.",
)
@click.option("--splits", type=FOLDER, default="data/splits", show_default=True)
@click.option("--out", type=FOLDER, default="artifacts", show_default=True)
@click.option("--tensorboard", type=FOLDER, help="Write TensorBoard logs here.")
@click.argument("model")
def train_command(
    model: str,
    params_path: Path,
    workers: int,
    threads: int | None,
    timeout_s: float,
    splits: Path,
    out: Path,
    tensorboard: Path | None,
) -> None:
    """Train MODEL, a Keras network, by several workers, and write OUT/MODEL as `dwcp train` does.

    The batch of the parameter file is shared out, so that the result is that of one process but
    for the order in which floats are added. Where TF_CONFIG is set, or the variables that
    Kubeflow Trainer hands a node of its JAX policy, this process is one worker of that team.
    Otherwise it starts the workers on this machine.
    """  # fmt: skip
    from dwcp_ml import models
    from dwcp_ml.scale.workers import team
    from dwcp_ml.scale.workers_local import run_workers
    from dwcp_ml.scale.workers_training import check_shareable

    own = team(os.environ)
    if own is not None:
        _work(own, model, params_path, timeout_s, splits, out, tensorboard)
        return
    models.get(model)
    params = models.read_params(params_path)
    check_shareable(model, models.section(params, model), workers)
    command = ["scale", "train", model, f"--params={params_path}", f"--timeout-s={timeout_s}"]
    command += [f"--splits={splits}", f"--out={out}"]
    command += [f"--tensorboard={tensorboard}"] if tensorboard else []
    cores = len(os.sched_getaffinity(0))
    run_workers(workers, command, threads or max(1, cores // workers))


def _work(
    own: Team,
    model: str,
    params_path: Path,
    timeout_s: float,
    splits: Path,
    out: Path,
    tensorboard: Path | None,
) -> None:
    from datetime import UTC, datetime

    from dwcp_ml.models import get, read_params, section
    from dwcp_ml.progress import EpochBar, bar
    from dwcp_ml.scale.workers_link import linked
    from dwcp_ml.scale.workers_training import check_shareable, train_as

    get(model)
    params = read_params(params_path)
    check_shareable(model, section(params, model), len(own))
    title = f"train {model}, worker {own.index} of {len(own)}"
    with bar(title) as tick, linked(own, timeout_s) as link:
        train_as(
            link,
            model,
            splits,
            params,
            out,
            log=EpochBar(tick),
            tensorboard=tensorboard,
            started=datetime.now(UTC).isoformat(timespec="seconds"),
        )
