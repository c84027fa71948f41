"""Training of a Keras network as all models do it: Adam, cosine rate, early stopping, one log."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dwcp_ml.errors import TrainingError
from dwcp_ml.export import quiet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dwcp_ml.models.base import Array, TrainingLog


_stand_in: ContextVar[Callable[[Any], Any] | None] = ContextVar("_stand_in", default=None)


@contextmanager
def fitted_as(stand_in: Callable[[Any], Any]) -> Iterator[None]:
    """Within, ``stand_in(network)`` is compiled and fitted; its ``fit`` leaves network trained."""
    before = _stand_in.set(stand_in)
    try:
        yield
    finally:
        _stand_in.reset(before)


@dataclass(frozen=True)
class Schedule:
    """How long and how fast: epochs, rows a batch, first learning rate, epochs without gain."""

    epochs: int
    batch_size: int
    learning_rate: float
    patience: int


def train_network(
    network: Any,
    train: tuple[Array, Array],
    validation: tuple[Array, Array],
    loss: Any,
    schedule: Schedule,
    log: TrainingLog,
    *,
    callbacks: Sequence[Any] = (),
) -> None:
    """Fit in place and keep the weights of the best validation epoch.

    The learning rate falls along a half cosine to 2 % of its start. The order of rows is drawn
    from Keras's global seed (``quiet.keras(seed)``), so two runs give the same weights.

    Raises:
        TrainingError: no examples, or a loss that is not finite.
    """
    keras = quiet.keras()
    if len(train[0]) == 0 or len(validation[0]) == 0:
        raise TrainingError("no training or validation examples; simulate or ingest more telemetry")
    batches = -(-len(train[0]) // schedule.batch_size)
    rate = keras.optimizers.schedules.CosineDecay(
        schedule.learning_rate, decay_steps=batches * schedule.epochs, alpha=0.02
    )
    stand_in = _stand_in.get()
    fitted = network if stand_in is None else stand_in(network)
    fitted.compile(optimizer=keras.optimizers.Adam(rate), loss=loss, jit_compile=False)
    stop = keras.callbacks.EarlyStopping(
        monitor="val_loss", patience=schedule.patience, restore_best_weights=True
    )
    fitted.fit(
        *train,
        validation_data=validation,
        epochs=schedule.epochs,
        batch_size=schedule.batch_size,
        verbose=0,
        callbacks=[
            stop,
            _bridge(log, schedule.epochs),
            *callbacks,
        ],
    )
    if not all(np.isfinite(w).all() for w in network.get_weights()):
        raise TrainingError("training diverged: weights are not finite; lower the learning rate")


def _bridge(log: TrainingLog, epochs: int) -> Any:
    """Tells the log of every epoch, which refuses a loss that is not finite.

    It has no hook for batches: with one (``TerminateOnNaN`` has it), Keras waits for the numbers of
    every batch, which costs a small network a fifth of its time.
    """

    class Bridge(quiet.keras().callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            log.epoch(epoch + 1, epochs, {k: float(v) for k, v in (logs or {}).items()})

    return Bridge()
