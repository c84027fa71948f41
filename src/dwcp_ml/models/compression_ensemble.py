"""Networks of several seeds as one: the mean of their logits, in no more layers than one has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dwcp_ml.export import quiet
from dwcp_ml.models import compression_network as net
from dwcp_ml.models.keras_training import Schedule, train_network

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dwcp_ml.models.base import Array, TrainingLog
    from dwcp_ml.models.compression_selector import CompressionParams


def train_members(
    train: tuple[Array, Array],
    validation: tuple[Array, Array],
    params: CompressionParams,
    log: TrainingLog,
) -> Any:
    """Train ``params.ensemble`` networks from successive seeds and average them."""
    schedule = Schedule(params.epochs, params.batch_size, params.learning_rate, params.patience)
    members = []
    for number in range(params.ensemble):
        keras = quiet.keras(params.seed + number)
        network = net.build(params.units, params.dropout)
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
        turn = _Turn(log, number, params.ensemble)
        train_network(network, train, validation, loss, schedule, turn)
        members.append(network)
    return averaged(members, params.units, params.dropout)


def averaged(members: Sequence[Any], units: tuple[int, ...], dropout: float) -> Any:
    """One network that answers the mean of the members' logits.

    The first layers stand side by side, the inner ones along a diagonal, and the last one takes
    the mean, so that the graph has as many nodes as that of one member.
    """
    from scipy.linalg import block_diag

    if len(members) == 1:
        return members[0]
    whole = net.build(tuple(width * len(members) for width in units), dropout)
    layers = zip(*(member.get_weights() for member in members), strict=True)
    merged: list[Array] = []
    for number, (kernels, biases) in enumerate(zip(layers, layers, strict=True)):
        first, last = number == 0, number == len(units)
        side_by_side = np.hstack(kernels) if first else block_diag(*kernels)
        if last:
            mean = np.mean(kernels, axis=0) if first else np.vstack(kernels) / len(kernels)
            merged += [mean, np.mean(biases, axis=0)]
        else:
            merged += [side_by_side, np.concatenate(biases)]
    whole.set_weights(merged)
    return whole


@dataclass(frozen=True)
class _Turn:
    """The log of one member, whose epochs follow those of the members before it."""

    log: TrainingLog
    number: int
    members: int

    def epoch(self, number: int, of: int, figures: Mapping[str, float]) -> None:
        """Pass one epoch on under its number among those of all members."""
        self.log.epoch(self.number * of + number, self.members * of, figures)
