"""One trial: train with some values, score the primary metric on the validation examples."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Literal

import numpy as np

from dwcp_ml.errors import ParamsError, TrainingError, nearest
from dwcp_ml.models.log import History

if TYPE_CHECKING:
    from collections.abc import Mapping

    from optuna.trial import Trial

    from dwcp_ml.models.base import Metric, Model, ModelParams, TrainingLog
    from dwcp_ml.tuning.examples import TuningData


def primary(model: Model) -> Metric:
    """The metric that a champion is compared by, which is what tuning improves."""
    return next(metric for metric in model.metrics if metric.name == model.primary_metric)


def direction(model: Model) -> Literal["minimize", "maximize"]:
    """Where the primary metric should go."""
    return "minimize" if primary(model).better == "lower" else "maximize"


def score(model: Model, data: TuningData, section: ModelParams, *logs: TrainingLog) -> float:
    """Train and return the primary metric on validation.

    Raises:
        TrainingError: training ended without a usable model, or the metric is undefined.
    """
    train, validation = (data.examples(role, section) for role in ("train", "validation"))
    random.seed(section.seed)
    np.random.seed(section.seed)
    history = History(*logs)
    fitted = model.fit(train, validation, section, history)
    history.check_converged()
    answers = model.predict(fitted, validation.features)
    value = primary(model).compute(validation, answers, np.ones(len(validation)))
    if not math.isfinite(value):
        raise TrainingError(
            f"{model.name}: {model.primary_metric} is not defined on these validation examples"
        )
    return float(value)


class Pruning:
    """A ``TrainingLog`` that ends a trial which lags behind the others at the same epoch."""

    def __init__(self, trial: Trial, figure: str, sign: float) -> None:
        self._trial, self._figure, self._sign = trial, figure, sign

    def epoch(self, number: int, of: int, figures: Mapping[str, float]) -> None:
        """Report one epoch.

        Raises:
            optuna.TrialPruned: the trial lags behind.
            ParamsError: the model does not report the figure of ``stop_early_on``.
        """
        import optuna

        if self._figure not in figures:
            raise ParamsError(
                f"stop_early_on: an epoch has no figure '{self._figure}'"
                f"{nearest(self._figure, figures)}"
            )
        # Optuna takes intermediate figures for as good as the objective: larger ones, if it rises.
        self._trial.report(self._sign * figures[self._figure], number)
        if self._trial.should_prune():
            raise optuna.TrialPruned(f"behind at epoch {number} of {of}")
