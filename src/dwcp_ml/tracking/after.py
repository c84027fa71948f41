"""Sends what a stage finished: a server that is down costs seconds and one warning."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from dwcp_ml.errors import DwcpError, TrackingError
from dwcp_ml.evaluation.jsons import read_json
from dwcp_ml.evaluation.report import MASTER
from dwcp_ml.files import sha256, write_json
from dwcp_ml.tracking.place import URI, tracking_place, without_login
from dwcp_ml.tracking.training import read_training

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from optuna import Study

    from dwcp_ml.tracking.place import Place
    from dwcp_ml.tracking.send import Sent
    from dwcp_ml.tracking.training import Around

BUDGET_S = 180.0  # a stage waits no longer for a slow server, plus one request
UNSENT = ".unsent.json"  # among the reports: the result that was not sent, and where to


def send_all(
    names: Sequence[str], around: Around, place: Place, budget_s: float | None = None
) -> Iterator[Sent]:
    """Send the trainings of these models, one after the other.

    Raises:
        TrackingError: the server cannot be used.
        UnreadableFileError: a model's files are missing or do not belong together.
    """
    from dwcp_ml.tracking.send import send
    from dwcp_ml.tracking.server import Server

    server = Server(place, budget_s)
    for name in names:
        yield send(server, read_training(name, around))
    (around.reports / UNSENT).unlink(missing_ok=True)


def after_stage(
    names: Sequence[str], around: Around, environment: Mapping[str, str]
) -> Iterator[str]:
    """Send the trainings if MLFLOW_TRACKING_URI is set; lines to tell. Nothing is ever raised.

    A result that could not be sent is remembered, so that the next stage neither waits again nor
    warns again.
    """
    wanted = without_login(environment.get(URI, "").strip())
    if not wanted:
        return
    try:
        if _known_unsent(around, wanted):
            return
        place = needed_place(environment)
        there = [name for name in names if (around.reports / f"{name}_report.json").exists()]
        for sent in send_all(there, around, place, BUDGET_S):
            if sent.state != "was there":
                yield f"{sent.name}: {sent.state}, {sent.page}"
    except Exception as error:  # whatever it is, the training is worth more
        yield _warning(error, "'dwcp track'")
        with suppress(DwcpError):
            write_json(around.reports / UNSENT, _result(around, wanted))


def after_study(study: Study, model: str, environment: Mapping[str, str]) -> Iterator[str]:
    """Send a study if MLFLOW_TRACKING_URI is set; lines to tell. Nothing is ever raised."""
    if not environment.get(URI, "").strip():
        return
    from dwcp_ml.tracking.server import Server
    from dwcp_ml.tracking.study import send_study

    try:
        place = needed_place(environment)
        yield f"{model}: study sent, {send_study(Server(place, BUDGET_S), study, model)}"
    except Exception as error:
        yield _warning(error, "the same command again")


def run_line(name: str, onnx_sha256: str, environment: Mapping[str, str]) -> str:
    """The run that made an ONNX file, for the lineage; why it is unknown where it is."""
    from dwcp_ml.tracking.send import run_of
    from dwcp_ml.tracking.server import Server

    try:
        page = run_of(Server(needed_place(environment)), name, onnx_sha256)
    except TrackingError as error:
        return f"unknown: {error}"
    return page or "none on the tracking server"


def needed_place(environment: Mapping[str, str]) -> Place:
    """The place that the environment names.

    Raises:
        TrackingError: it names none.
    """
    place = tracking_place(environment)
    if place is None:
        raise TrackingError(f"{URI} is not set; for example {URI}=http://localhost:5000")
    return place


def _warning(error: Exception, again: str) -> str:
    why = str(error) if isinstance(error, DwcpError) else f"{type(error).__name__}: {error}"
    return f"warning: not tracked: {without_login(why)}; {again} sends it later"


def _known_unsent(around: Around, place: str) -> bool:
    path = around.reports / UNSENT
    return path.exists() and read_json(path) == _result(around, place)


def _result(around: Around, place: str) -> dict[str, str]:
    """The result that lies in the reports, and the place, without a password."""
    master = around.reports / f"{MASTER}.json"
    return {"to": place, "master": sha256(master) if master.exists() else ""}
