"""Studies in a storage: opened or made, known by what they compare, resumed after a kill."""

from __future__ import annotations

import os
import socket
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwcp_ml.errors import StudyError
from dwcp_ml.tuning.objective import direction

if TYPE_CHECKING:
    from collections.abc import Mapping

    from optuna import Study
    from optuna.storages import RDBStorage
    from optuna.trial import FrozenTrial

    from dwcp_ml.models.base import Model, ModelParams
    from dwcp_ml.tuning.space import Space

COMPARES, VALUES, ERROR, WORKER = "compares", "values", "error", "worker"  # attributes
BEAT_S, SILENT_S = 30, 120  # a worker elsewhere that is silent for so long is taken for dead
NAMELESS_S = 20  # for a trial to say who runs it, which takes milliseconds
TRIES_AFTER_KILL = 2


@dataclass(frozen=True)
class Place:
    """A study: where it lies and its name.

    ``storage`` is a file, which SQLite makes, or the URL of a database.
    """

    storage: str
    name: str

    @property
    def url(self) -> str:
        """The storage as SQLAlchemy names it."""
        if "://" in self.storage:
            return self.storage
        return f"sqlite:///{Path(self.storage).absolute()}"

    @property
    def shown(self) -> str:
        """The storage without its password."""
        head, at, host = self.storage.rpartition("@")
        scheme, colon, login = head.partition("://")
        return f"{scheme}{colon}{login.partition(':')[0]}:***{at}{host}" if at else self.storage


def open_study(place: Place, model: Model, seed: int, compares: Mapping[str, Any]) -> Study:
    """Open the study, or make it.

    Args:
        place: where and under which name.
        model: whose primary metric gives the direction.
        seed: of the sampler.
        compares: what makes its trials comparable: model, metric, space, other parameters, data.

    Raises:
        StudyError: the storage cannot be reached, or the study compares something else.
    """
    import optuna
    from optuna.exceptions import OptunaError
    from sqlalchemy.exc import SQLAlchemyError

    from dwcp_ml.tuning.sampler import PerTrialSampler

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = optuna.create_study(
            study_name=place.name,
            storage=_storage(place),
            direction=direction(model),
            sampler=PerTrialSampler(seed),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=1),
            load_if_exists=True,
        )
        attributes = study.user_attrs
        if COMPARES not in attributes and not study.get_trials(deepcopy=False):
            study.set_user_attr(COMPARES, dict(compares))
            attributes = study.user_attrs
    except (SQLAlchemyError, OptunaError, ImportError, RuntimeError, ValueError, OSError) as error:
        raise StudyError(
            f"cannot use the storage {place.shown}: {_first_line(error)}; give --storage a file or "
            "the URL of a database that can be reached"
        ) from error
    _same(place, attributes.get(COMPARES, {}), compares)
    return study


def _storage(place: Place) -> RDBStorage:
    import optuna

    options: dict[str, Any] = {"pool_pre_ping": True}
    if place.url.startswith("sqlite"):
        options["connect_args"] = {"timeout": 60}  # several workers write one file
    if "://" not in place.storage:
        Path(place.storage).absolute().parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.storages.RDBStorage(
            place.url,
            engine_kwargs=options,
            heartbeat_interval=BEAT_S,
            grace_period=SILENT_S,
            heartbeat_stale_trial_callback=_again(),
        )


def _again() -> Any:
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.storages.RetryHeartbeatStaleTrialCallback(max_retry=TRIES_AFTER_KILL)


def _same(place: Place, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    other = [name for name in wanted if found.get(name) != wanted[name]]
    if other:
        was = f" (of {found['model']})" if "model" in other and "model" in found else ""
        raise StudyError(
            f"study '{place.name}'{was} in {place.shown} has another {', another '.join(other)}: "
            "its trials cannot be compared with new ones; give --study another name"
        )


def comparison(
    model: Model, space: Space, section: ModelParams, digest: str, metric: str
) -> dict[str, Any]:
    """What a study compares; trials differ in the values of the space alone."""
    fixed = {k: v for k, v in section.model_dump(mode="json").items() if k not in space.vary}
    return {
        "model": model.name,
        "metric": metric,
        "space": space.model_dump(mode="json"),
        "parameters beside the space": fixed,
        "validation data": digest,
    }


def finished(study: Study) -> list[FrozenTrial]:
    """Trials that count: complete, pruned, or failed by themselves and not with their process."""
    from optuna.trial import TrialState as State

    return [
        t
        for t in study.get_trials(deepcopy=False)
        if t.state in (State.COMPLETE, State.PRUNED)
        or (t.state == State.FAIL and ERROR in t.user_attrs)
    ]


def under_way(study: Study) -> int:
    """Trials that some worker runs now."""
    from optuna.trial import TrialState as State

    return len(study.get_trials(deepcopy=False, states=(State.RUNNING,)))


def take_over_dead(study: Study, nameless: dict[int, float]) -> None:
    """Put trials whose process is gone back into the queue, at most twice each.

    On this machine processes are looked up; elsewhere they are dead when silent for two minutes.

    Args:
        study: whose trials are looked at.
        nameless: remembers from call to call when a trial was first seen that says not yet who
            runs it: it was cut off in the moment between its start and that.
    """
    import optuna
    from optuna.trial import TrialState as State

    for trial in study.get_trials(deepcopy=True, states=(State.RUNNING,)):
        host, _, process = trial.user_attrs.get(WORKER, "").rpartition(":")
        if not host:
            now = time.monotonic()
            gone = now - nameless.setdefault(trial.number, now) > NAMELESS_S
        else:
            gone = host == socket.gethostname() and not _alive(int(process))
        if gone:
            try:
                study.tell(trial.number, state=State.FAIL)
            except (ValueError, optuna.exceptions.UpdateFinishedTrialError):
                continue  # another worker was faster
            _again()(study, trial)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        optuna.storages.fail_stale_trials(study)


def worker_name() -> str:
    """Who runs a trial."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
