"""A study of parameters as one run, its finished trials as runs below it."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dwcp_ml.tracking.send import FINISHED, ending, log, start_run
from dwcp_ml.tuning.study import COMPARES, ERROR, VALUES, finished

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

    from dwcp_ml.tracking.server import Server

STUDY, TRIAL, PARENT = "study", "trial", "mlflow.parentRunId"  # tags


def send_study(server: Server, study: Study, model: str) -> str:
    """Send the trials that were not sent before; the page of the study's run.

    Raises:
        TrackingError: the server does not take it.
    """
    experiment = server.experiment(server.place.experiment(model, "tuning"))
    compares = study.user_attrs.get(COMPARES, {})
    trials = finished(study)
    same = hashlib.sha256(json.dumps([study.study_name, compares], sort_keys=True).encode())
    digest = same.hexdigest()
    first = min((_when(t.datetime_start) for t in trials), default=_when(None))
    last = max((_when(t.datetime_complete) for t in trials), default=first)
    runs = server.runs(experiment, **{STUDY: digest})
    parent = (
        runs[0].info.run_id
        if runs
        else start_run(server, experiment, study.study_name, first, **{STUDY: digest})
    )
    metric, epochs = compares.get("metric", "value"), compares.get("space", {})
    known = _known(server, experiment, parent)
    with ending(server, parent, last):
        for trial in trials:
            if str(trial.number) not in known:
                _send_trial(server, experiment, parent, trial, metric, _curve(study, epochs))
        log(server, parent, metrics=_best(study, metric), tags=[("trials", str(len(trials)))])
    return server.place.page(experiment, parent)


def _known(server: Server, experiment: str, parent: str) -> set[str]:
    """Numbers of the trials that are there; half-sent ones are deleted."""
    known = set()
    for run in server.runs(experiment, **{PARENT: parent}):
        if run.info.status == FINISHED:
            known.add(run.data.tags[TRIAL])
        else:
            with server.asked() as client:
                client.delete_run(run.info.run_id)
    return known


def _send_trial(
    server: Server, experiment: str, parent: str, trial: FrozenTrial, metric: str,
    curve: tuple[str, float],
) -> None:  # fmt: skip
    number = str(trial.number)
    tags = {PARENT: parent, TRIAL: number, "state": trial.state.name}
    tags |= {key: str(trial.user_attrs[key]) for key in (ERROR,) if key in trial.user_attrs}
    started, ended = _when(trial.datetime_start), _when(trial.datetime_complete)
    run = start_run(server, experiment, f"trial {number}", started, **tags)
    values = trial.user_attrs.get(VALUES, trial.params)
    name, sign = curve
    points = [(name, sign * v, step) for step, v in sorted(trial.intermediate_values.items())]
    final = (
        [(metric, trial.values[0], 0)] if trial.values and trial.state.name == "COMPLETE" else []
    )
    with ending(server, run, ended):
        params = [(key, json.dumps(value)) for key, value in values.items()]
        log(server, run, params=params, metrics=[*points, *final])


def _curve(study: Study, space: dict[str, Any]) -> tuple[str, float]:
    """Name of the figure of each epoch, and the sign that the pruner was told it with."""
    return f"training/{space.get('stop_early_on')}", 1.0 if study.direction.value == 1 else -1.0


def _best(study: Study, metric: str) -> list[tuple[str, float, int]]:
    try:
        return [(f"best/{metric}", study.best_value, 0)]
    except ValueError:  # no trial is complete
        return []


def _when(moment: datetime | None) -> datetime:
    return (moment or datetime.now()).astimezone()
