"""Training of one model by one worker of a team; all workers run this at the same time."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from dwcp_ml import models
from dwcp_ml.errors import ParamsError
from dwcp_ml.models.keras_training import fitted_as
from dwcp_ml.models.train import read_split, train
from dwcp_ml.scale.workers_network import shared

if TYPE_CHECKING:
    from dwcp_ml.models.base import ModelParams, TrainingLog
    from dwcp_ml.params import Params
    from dwcp_ml.scale.workers_link import Link


def check_shareable(name: str, section: ModelParams, workers: int) -> None:
    """ParamsError unless the model is trained in batches of a row a worker at least."""
    batch = getattr(section, "batch_size", None)
    if batch is None:
        raise ParamsError(
            f"{name} is not trained in batches, which is what workers share; use 'dwcp train'"
        )
    if batch < workers:
        raise ParamsError(f"{name}.batch_size {batch} is too small for {workers} workers")


def train_as(
    link: Link,
    name: str,
    splits: Path,
    params: Params,
    out: Path,
    *,
    log: TrainingLog | None = None,
    tensorboard: Path | None = None,
    started: str | None = None,
) -> dict[str, Any]:
    """Do this worker's part of ``models.train``; the chief writes ``out/NAME``.

    Every worker reads the whole split, and what it holds of it in memory is what a single process
    would hold; the arithmetic is shared. The batch of the parameters is that of all workers
    together.

    Args:
        link: to the other workers.
        name: of a model that is trained by Keras.
        splits: folder of the split, equal on all workers.
        params: all parameters, equal on all workers.
        out: receives NAME/ from the chief.
        log: is told every epoch.
        tensorboard: receives the chief's event files.
        started: date for the record.

    Returns:
        The record that the chief wrote, on every worker.

    Raises:
        ParamsError: the model cannot be trained by so many workers.
        WorkersError: a worker has another split or other parameters.
        TrainingError: as of ``models.train``.
    """
    section = models.section(params, name)
    check_shareable(name, section, len(link.team))
    same = json.dumps([name, section.model_dump(mode="json"), read_split(splits)], sort_keys=True)
    link.agree("model, parameters and split", same)
    with ExitStack() as stack:
        stack.enter_context(fitted_as(lambda network: shared(network, link)))
        if not link.team.chief:
            out, tensorboard = Path(stack.enter_context(TemporaryDirectory())), None
        record = train(name, splits, params, out, log=log, tensorboard=tensorboard, started=started)
        link.agree("state at the end", "written")  # none ends as if all were well before the chief
        return record
