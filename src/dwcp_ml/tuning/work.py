"""Workers of a study: each takes the next trial until the study holds as many as asked for."""

from __future__ import annotations

import multiprocessing
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwcp_ml import models
from dwcp_ml.errors import DwcpError, ParamsError, StudyError
from dwcp_ml.tuning.examples import TuningData
from dwcp_ml.tuning.objective import Pruning, primary, score
from dwcp_ml.tuning.space import Space, Value, with_values
from dwcp_ml.tuning.study import (
    ERROR,
    VALUES,
    WORKER,
    Place,
    comparison,
    finished,
    open_study,
    take_over_dead,
    under_way,
    worker_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from optuna import Study
    from optuna.trial import Trial

    from dwcp_ml.models.base import Model, ModelParams

POLL_S = 0.5


@dataclass(frozen=True)
class Task:
    """What is tuned, on what, in which study; ``trials`` are those that it holds at the end."""

    name: str
    section: ModelParams
    space: Space
    splits: Path
    place: Place
    trials: int
    prune: bool = True

    @property
    def model(self) -> Model:
        """The model itself."""
        return models.get(self.name)

    @property
    def present(self) -> dict[str, Value]:
        """The values of the space's keys in params.yaml."""
        now = self.section.model_dump(mode="json")
        return {key: now[key] for key in self.space.vary}


@dataclass
class Worker:
    """One process at work on a study."""

    task: Task
    data: TuningData = field(init=False)
    digest: str = field(init=False)
    study: Study = field(init=False)
    nameless: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        task = self.task
        self.data = TuningData(task.model, task.splits)
        self.digest = self.data.digest(task.section)
        for key, vary in task.space.vary.items():  # before hours are spent
            for value in vary.extremes:
                section = with_values(task.section, {key: value}, key)
                self.data.check(section, self.digest)
        compares = comparison(
            task.model, task.space, task.section, self.digest, primary(task.model).name
        )
        self.study = open_study(task.place, task.model, task.section.seed, compares)

    def start(self) -> None:
        """Put aside what dead workers left, and see that the present values are a trial too."""
        take_over_dead(self.study, self.nameless)
        present = self.task.space.stored(self.task.present)
        known = [t for t in self.study.get_trials(deepcopy=False) if _same_values(t, self.task)]
        if not known:
            self.study.enqueue_trial(present, user_attrs={VALUES: self.task.present})

    def run(self, tick: Callable[[int, int], None], wanted: Callable[[], bool]) -> None:
        """Take trials until there are enough, or nobody wants them any more."""
        while wanted():
            done = len(finished(self.study))
            tick(min(done, self.task.trials), self.task.trials)
            if done >= self.task.trials:
                return
            if done + under_way(self.study) < self.task.trials:
                self.study.optimize(self._trial, n_trials=1, catch=(_RecordedError,))
            else:  # others are at the last ones; one of them may die
                time.sleep(POLL_S)
                take_over_dead(self.study, self.nameless)

    def _trial(self, trial: Trial) -> float:
        task = self.task
        trial.set_user_attr(WORKER, worker_name())
        suggested = task.space.suggest(trial)
        values = trial.user_attrs.get(
            VALUES, suggested
        )  # exact where the trial was put in the queue
        trial.set_user_attr(VALUES, values)
        logs = []
        if task.prune and task.space.stop_early_on:
            sign = 1.0 if primary(task.model).better == "lower" else -1.0
            logs.append(Pruning(trial, task.space.stop_early_on, sign))
        try:
            section = with_values(task.section, values, f"trial {trial.number}")
            return score(task.model, self.data, section, *logs)
        except ParamsError:
            raise
        except Exception as error:  # whatever a library raises ends this trial, not the study
            from optuna import TrialPruned

            if isinstance(error, TrialPruned):
                raise
            trial.set_user_attr(ERROR, f"{type(error).__name__}: {error}"[:500])
            raise _RecordedError from error


class _RecordedError(Exception):
    """A trial failed and the study says why."""


def _same_values(trial: Any, task: Task) -> bool:
    """Whether a trial that counts, waits or runs has the present values."""
    from optuna.trial import TrialState as State

    gone = trial.state == State.FAIL and ERROR not in trial.user_attrs
    return not gone and trial.user_attrs.get(VALUES) == task.present


def tune(task: Task, jobs: int, tick: Callable[[int, int], None]) -> Study:
    """Run the study until it holds ``task.trials``; the study.

    Args:
        task: what is tuned.
        jobs: processes at work; more may work on the same storage elsewhere.
        tick: is told trials done and asked for.

    Raises:
        StudyError: as of ``open_study``, or a worker died.
        ParamsError: the space changes the validation examples.
    """
    worker = Worker(task)
    worker.start()
    if jobs == 1:
        worker.run(tick, lambda: True)
        return worker.study
    start = multiprocessing.get_context("spawn")
    processes = [start.Process(target=_work, args=(task,)) for _ in range(jobs)]
    for process in processes:
        process.start()
    try:
        while any(p.is_alive() for p in processes):
            tick(min(len(finished(worker.study)), task.trials), task.trials)
            time.sleep(POLL_S)
    finally:
        for process in processes:
            process.terminate()
            process.join()
    left = task.trials - len(finished(worker.study))
    tick(task.trials - max(left, 0), task.trials)
    if left > 0:
        codes = [p.exitcode for p in processes if p.exitcode]
        raise StudyError(
            f"the workers ended (exit codes {codes}) with {left} of {task.trials} trials to do; "
            "run again to go on"
        )
    return worker.study


def _work(task: Task) -> None:
    """A worker process; it stops after a trial if its parent is gone."""
    parent = multiprocessing.parent_process()
    try:
        Worker(task).run(lambda *_: None, lambda: parent is None or parent.is_alive())
    except DwcpError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
