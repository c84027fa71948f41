"""Sends a training: one run for it, however often it is sent."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from dwcp_ml.errors import TrackingError
from dwcp_ml.tracking.training import CONTENT, ONNX_SHA256, TRAINING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from dwcp_ml.tracking.server import Server
    from dwcp_ml.tracking.training import Training

FINISHED, FAILED, RUNNING = "FINISHED", "FAILED", "RUNNING"
SOURCE = {"mlflow.source.name": "dwcp", "mlflow.source.type": "PROJECT"}
PARAMS_AT_ONCE, METRICS_AT_ONCE = 100, 1000  # what a request may hold
DIGEST_LENGTH = 36  # what MLflow keeps of a dataset's digest


@dataclass(frozen=True)
class Sent:
    """A training's run.

    Attributes:
        name: of the model.
        page: where to look at it.
        state: whether it was made, brought up to date, or complete before.
    """

    name: str
    page: str
    state: Literal["sent", "updated", "was there"]


def send(server: Server, training: Training) -> Sent:
    """Make the training's run, or complete the one that it has.

    A run that was left half-sent is deleted and made anew. One that is complete but tells of an
    earlier evaluation, or of no version, is brought up to date.

    Raises:
        TrackingError: the server does not take it; what it took is marked FAILED.
    """
    name = server.place.experiment(training.name)
    experiment = server.experiment(name)
    found = server.runs(experiment, **{TRAINING: training.tags[TRAINING]})
    whole = [run for run in found if run.info.status == FINISHED]
    for run in found:
        if run.info.status != FINISHED:
            with server.asked() as client:
                client.delete_run(run.info.run_id)
    if not whole:
        run_id = start_run(server, experiment, training.title, training.started)
        with ending(server, run_id, training.ended):
            _training(server, run_id, training)
            _evaluation(server, run_id, training)
        return Sent(training.name, server.place.page(experiment, run_id), "sent")
    run_id = whole[0].info.run_id
    page = server.place.page(experiment, run_id)
    if whole[0].data.tags.get(CONTENT) == training.tags[CONTENT]:
        return Sent(training.name, page, "was there")
    with server.asked() as client:
        client.update_run(run_id, status=RUNNING)
    with ending(server, run_id, training.ended):
        _evaluation(server, run_id, training)
    return Sent(training.name, page, "updated")


def run_of(server: Server, name: str, onnx_sha256: str) -> str | None:
    """Page of the newest complete run that made this ONNX file; None where there is none."""
    with server.asked() as client:
        found = client.get_experiment_by_name(server.place.experiment(name))
    if found is None:
        return None
    runs = server.runs(found.experiment_id, **{ONNX_SHA256: onnx_sha256})
    whole = [run for run in runs if run.info.status == FINISHED]
    return server.place.page(found.experiment_id, whole[0].info.run_id) if whole else None


def start_run(
    server: Server, experiment: str, title: str, started: datetime, **tags: str
) -> str:  # fmt: skip
    """Identity of a new run."""
    with server.asked() as client:
        run = client.create_run(
            experiment, start_time=_ms(started), tags=SOURCE | tags, run_name=title
        )
    return str(run.info.run_id)


@contextmanager
def ending(server: Server, run_id: str, ended: datetime) -> Iterator[None]:
    """Mark the run FINISHED if the body succeeds, else FAILED as well as the server allows."""
    try:
        yield
        with server.asked() as client:
            client.set_terminated(run_id, FINISHED, end_time=_ms(ended))
    except BaseException:
        with suppress(TrackingError), server.asked() as client:
            client.set_terminated(run_id, FAILED)
        raise


def log(
    server: Server,
    run_id: str,
    params: Sequence[tuple[str, str]] = (),
    metrics: Sequence[tuple[str, float, int]] = (),
    tags: Sequence[tuple[str, str]] = (),
) -> None:
    """Log params and tags as (key, value), metrics as (key, value, step)."""
    from mlflow.entities import Metric, Param, RunTag

    now = int(1000 * time.time())
    batches: list[dict[str, Any]] = [
        *({"params": [Param(*p) for p in part]} for part in _parts(params, PARAMS_AT_ONCE)),
        *({"tags": [RunTag(*t) for t in part]} for part in _parts(tags, PARAMS_AT_ONCE)),
        *(
            {"metrics": [Metric(key, value, now, step) for key, value, step in part]}
            for part in _parts(metrics, METRICS_AT_ONCE)
        ),
    ]
    for batch in batches:
        with server.asked() as client:
            client.log_batch(run_id, **batch)


def _training(server: Server, run_id: str, training: Training) -> None:
    """What never changes: parameters, curves, data."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    points = [(key, y, x) for key, curve in training.curves.items() for x, y in curve]
    log(server, run_id, params=list(training.params.items()), metrics=points)
    inputs = [
        DatasetInput(
            Dataset(
                name=file,
                digest=digest[:DIGEST_LENGTH],
                source_type="split",
                source=json.dumps({"file": file, "sha256": digest}),
                profile=json.dumps({"num_rows": about.get("rows"), **about}),
            ),
            [InputTag("mlflow.data.context", Path(file).stem)],
        )
        for file, (digest, about) in training.data.items()
    ]
    with server.asked() as client:
        client.log_inputs(run_id, inputs)


def _evaluation(server: Server, run_id: str, training: Training) -> None:
    """What another evaluation or a registration brings up to date."""
    tags = training.tags | {"mlflow.note.content": training.note}
    metrics = [(key, value, 0) for key, value in sorted(training.metrics.items())]
    log(server, run_id, metrics=metrics, tags=list(tags.items()))
    with TemporaryDirectory() as scratch:
        page = _page(training, Path(scratch))
        for file, folder in {**training.files, **dict.fromkeys(page, "")}.items():
            with server.asked() as client:
                client.log_artifact(run_id, str(file), folder or None)


def _page(training: Training, folder: Path) -> list[Path]:
    """The report of this one model with its drawings, where something can draw."""
    if find_spec("matplotlib") is None:
        return []
    from dwcp_ml.evaluation.report.master import master_report
    from dwcp_ml.evaluation.report.page import page

    reports = {training.name: training.report}
    master = master_report(reports, list(reports), training.quality)
    text = page(master, reports, training.quality, None, training.figures)
    file = folder / "report.html"
    file.write_text(text, encoding="utf-8")
    return [file]


def _parts(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [items[i : i + size] for i in range(0, len(items), size)]


def _ms(moment: datetime) -> int:
    return int(1000 * moment.timestamp())
