"""Speed of training beside a bare `fit` on the very arrays that the model's own training fits."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest.mock import patch

from bench_common import Figure, turns

if TYPE_CHECKING:
    from argparse import Namespace
    from pathlib import Path

    from dwcp_ml.models.base import Examples, Model, ModelParams
    from dwcp_ml.telemetry.dataset import Role

TIMES_FIT = 1.15


class Fit(NamedTuple):
    """One call of `fit` that a model's training made."""

    network: Any  # as it was trained
    weights: list[Any]  # before
    arrays: tuple[Any, ...]
    how: dict[str, Any]
    epochs: int


def train_figures(given: Namespace) -> list[Figure]:
    """Training of each Keras model beside a bare `fit` on the very arrays that it fits.

    Each in a process of its own: what one training leaves in memory must not slow the next.
    """
    found = []
    for name in given.train:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            found.append(pool.submit(_figure, given, name).result())
    return found


def _figure(given: Namespace, name: str) -> Figure:
    from dwcp_ml import models
    from dwcp_ml.models import read_params, section
    from dwcp_ml.models.log import History

    kind = models.get(name)
    shorter = _shorter(section(read_params(given.params), name), given)
    examples = tuple(_examples(kind, given.splits, r, shorter) for r in ("train", "validation"))
    fits = _watched(kind, examples, shorter)  # and what is paid once a process is paid here
    taken = turns(
        lambda: kind.fit(*examples, shorter, History()),
        lambda: [_bare(fit) for fit in fits],
        given.rounds,
        warm=False,
    )
    note = f"{len(examples[0]):,} examples, {shorter.epochs} epochs, {taken.ours_s:.1f} s"
    note += f"; rounds {', '.join(f'{ratio:.2f}' for ratio in taken.ratios)}"
    return Figure(f"train / fit: {name}", taken.ratio, "x", TIMES_FIT, note=note)


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


def _watched(kind: Model, examples: tuple[Examples, ...], parameters: ModelParams) -> list[Fit]:
    """Train, and note what is handed to `fit`."""
    from dwcp_ml.export import quiet
    from dwcp_ml.models.log import History

    keras = quiet.keras()
    own, fits = keras.Model.fit, []

    def noted(network: Any, *arrays: Any, **how: Any) -> Any:
        weights = network.get_weights()
        result = own(network, *arrays, **how)
        fits.append(Fit(network, weights, arrays, how, len(result.epoch)))
        return result

    with patch.object(keras.Model, "fit", noted):
        kind.fit(*examples, parameters, History())
    return fits


def _bare(fit: Fit) -> None:
    """The same network from the same weights on the same arrays, for as many epochs."""
    from dwcp_ml.export import quiet

    keras = quiet.keras()
    fresh = type(fit.network).from_config(fit.network.get_config())
    fresh.set_weights(fit.weights)
    rate = fit.network.optimizer.get_config()["learning_rate"]
    if isinstance(rate, dict):
        rate = keras.optimizers.schedules.deserialize(rate)
    optimizer = keras.optimizers.Adam(rate)
    fresh.compile(optimizer=optimizer, loss=fit.network.loss, jit_compile=False)
    fresh.fit(*fit.arrays, **fit.how | {"callbacks": None, "epochs": fit.epochs})
