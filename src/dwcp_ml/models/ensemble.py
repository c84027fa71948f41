"""Networks of several seeds as one: the mean of what their last layers say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dwcp_ml.export import quiet
from dwcp_ml.models.keras_training import train_network

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dwcp_ml.models.base import Array, TrainingLog
    from dwcp_ml.models.keras_training import Schedule


def train_members(
    build: Callable[[], tuple[Any, Any]],
    train: tuple[Array, Array],
    validation: tuple[Array, Array],
    schedule: Schedule,
    seeds: Sequence[int],
    log: TrainingLog,
) -> list[Any]:
    """Train a network from each seed.

    Args:
        build: makes an untrained network and its loss.
        train: inputs and targets.
        validation: the same.
        schedule: how long and how fast each of them learns.
        seeds: one for each member.
        log: is told every epoch; those of a member follow those of the members before it.
    """
    members = []
    for number, seed in enumerate(seeds):
        quiet.keras(seed)
        network, loss = build()
        turn = _Turn(log, number, len(seeds))
        train_network(network, train, validation, loss, schedule, turn)
        members.append(network)
    return members


def averaged(members: list[Any]) -> Any:
    """One network that answers the mean of the members, whose last layers are plain ``Dense``.

    The members stand side by side up to their last layers, which become one: it reads all of
    them. So the last layer is a ``Dense`` here too. A single member is returned as it is.
    """
    if len(members) == 1:
        return members[0]
    keras = quiet.keras()
    inputs = keras.Input(members[0].input_shape[1:])
    hidden = []
    for number, member in enumerate(members):
        inner = keras.Model(member.inputs, member.layers[-1].input, name=f"member_{number}")
        hidden.append(inner(inputs))
    layers = [member.layers[-1].get_weights() for member in members]
    kernel = np.vstack([kernel for kernel, _ in layers]) / len(members)
    last = keras.layers.Dense(kernel.shape[1])
    whole = keras.Model(inputs, last(keras.layers.Concatenate()(hidden)))
    last.set_weights([kernel, np.mean([bias for _, bias in layers], axis=0)])
    return whole


def merged(members: list[Any], build: Callable[[int], Any]) -> Any:
    """``averaged`` for stacks of ``Dense`` layers, in no more layers than one member has.

    The first layers stand side by side, the inner ones along a diagonal, and the last one takes
    the mean, so that the graph has as many nodes as that of one member.

    Args:
        members: trained networks.
        build: makes a network whose layers are so many times as wide.
    """
    from scipy.linalg import block_diag

    if len(members) == 1:
        return members[0]
    whole = build(len(members))
    layers = list(zip(*(member.get_weights() for member in members), strict=True))
    weights: list[Array] = []
    for number in range(0, len(layers), 2):
        kernels, biases = layers[number : number + 2]
        first, last = number == 0, number == len(layers) - 2
        side_by_side = np.hstack(kernels) if first else block_diag(*kernels)
        if last:
            mean = np.mean(kernels, axis=0) if first else np.vstack(kernels) / len(kernels)
            weights += [mean, np.mean(biases, axis=0)]
        else:
            weights += [side_by_side, np.concatenate(biases)]
    whole.set_weights(weights)
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
