"""Speed of training beside a bare `fit` on the very arrays that the model's own training fits."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest.mock import patch

from bench_common import Figure, turns_of

if TYPE_CHECKING:
    from argparse import Namespace
    from pathlib import Path

    from dwcp_ml.models.base import Examples, Model, ModelParams
    from dwcp_ml.telemetry.dataset import Role

TIMES_FIT = 1.15


class Fit(NamedTuple):
    """One call of `fit` that a model's training made."""

    network: Any  # as it was trained
    fresh: Any  # the same network before
    arrays: tuple[Any, ...]
    how: dict[str, Any]
    epochs: int


def train_figures(given: Namespace) -> list[Figure]:
    """Training of each Keras model beside a bare `fit` on the very arrays that it fits."""
    from dwcp_ml import models
    from dwcp_ml.models import read_params, section

    params = read_params(given.params)
    found = []
    for name in given.train:
        kind = models.get(name)
        shorter = _shorter(section(params, name), given)
        training, validation = (
            _examples(kind, given.splits, r, shorter) for r in ("train", "validation")
        )
        taken = turns_of(
            lambda k=kind, t=training, v=validation, s=shorter: _pair(k, t, v, s), given.rounds
        )
        note = f"{len(training):,} examples, {shorter.epochs} epochs, {taken.ours_s:.1f} s"
        found.append(Figure(f"train / fit: {name}", taken.ratio, "x", TIMES_FIT, note=note))
    return found


def _shorter(parameters: ModelParams, given: Namespace) -> ModelParams:
    """Fewer rows, and other epochs where asked."""
    most = {"train_windows": given.train_rows, "train_rows": given.train_rows}
    most |= {"validation_windows": given.train_rows // 4, "validation_rows": given.train_rows // 4}
    known = type(parameters).model_fields
    changed = {k: min(getattr(parameters, k), v) for k, v in most.items() if k in known}
    if given.epochs is not None:
        changed["epochs"] = given.epochs
    return parameters.model_copy(update=changed)


def _examples(kind: Model, splits: Path, role: Role, parameters: ModelParams) -> Examples:
    from dwcp_ml.telemetry.split import parts

    return kind.examples(parts(splits)[role], parameters)


def _pair(
    kind: Model, training: Examples, validation: Examples, parameters: ModelParams
) -> tuple[float, float]:
    """Seconds of the model's own training, and of the bare fits on its arrays."""
    from dwcp_ml.export import quiet

    keras = quiet.keras()
    own = keras.Model.fit
    ours_s, fits = _watched(keras, kind, (training, validation), parameters)
    began = time.perf_counter()
    for fit in fits:
        rate = fit.network.optimizer.get_config()["learning_rate"]
        if isinstance(rate, dict):
            rate = keras.optimizers.schedules.deserialize(rate)
        optimizer = keras.optimizers.Adam(rate)
        fit.fresh.compile(optimizer=optimizer, loss=fit.network.loss, jit_compile=False)
        own(fit.fresh, *fit.arrays, **fit.how | {"callbacks": None, "epochs": fit.epochs})
    return ours_s, time.perf_counter() - began


def _watched(
    keras: Any, kind: Model, examples: tuple[Examples, Examples], parameters: ModelParams
) -> tuple[float, list[Fit]]:
    """Train, and note what is handed to `fit`; the noting does not count."""
    from dwcp_ml.models.log import History

    own, fits, aside_s = keras.Model.fit, [], 0.0

    def noted(network: Any, *arrays: Any, **how: Any) -> Any:
        nonlocal aside_s
        began = time.perf_counter()
        fresh = type(network).from_config(network.get_config())
        fresh.set_weights(network.get_weights())
        aside_s += time.perf_counter() - began
        result = own(network, *arrays, **how)
        fits.append(Fit(network, fresh, arrays, how, len(result.epoch)))
        return result

    began = time.perf_counter()
    with patch.object(keras.Model, "fit", noted):
        kind.fit(*examples, parameters, History())
    return time.perf_counter() - began - aside_s, fits
