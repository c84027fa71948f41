"""A Keras network whose batches are shared out, and whose gradients are summed over workers.

Every worker draws the same batches in the same order and computes the gradient of its own rows of
each; the sum of the workers' gradients is the gradient of the batch. Dropout draws for the whole
batch and keeps its own rows, so that the noise is that of a single process too. What differs is
the order in which floats are added.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dwcp_ml.errors import TrainingError
from dwcp_ml.export import quiet

if TYPE_CHECKING:
    from collections.abc import Callable

    from dwcp_ml.scale.workers_link import Link

MEAN = "sum_over_batch_size"  # Keras's name of the mean over all numbers of a batch


def shared(network: Any, link: Link) -> Any:
    """What to compile and fit in the place of ``network``, which gets its weights in the end.

    Raises:
        TrainingError: a batch cannot be shared out, because its rows do not stand alone.
    """
    keras = quiet.keras()
    copy = keras.models.clone_model(network, clone_function=_copier(link))
    copy.set_weights(link.from_chief(network.get_weights()))
    _check(copy)
    return _model(network, copy, link)


def _copier(link: Link) -> Callable[[Any], Any]:
    keras = quiet.keras()

    class SharedDropout(keras.layers.Dropout):  # type: ignore[misc,name-defined]
        def call(self, inputs: Any, training: bool = False) -> Any:
            """Drop what the layer would drop in these rows of the whole batch."""
            if not training or not self.rate:
                return inputs
            tf = quiet.tensorflow()
            shape = tf.shape(inputs)
            rows, index = shape[0], link.team.index
            whole = tf.ones(tf.concat([[rows * len(link.team)], shape[1:]], 0), inputs.dtype)
            kept = keras.random.dropout(whole, self.rate, self.noise_shape, self.seed_generator)
            return inputs * kept[index * rows : (index + 1) * rows]

    def copied(layer: Any) -> Any:
        kind = SharedDropout if type(layer) is keras.layers.Dropout else type(layer)
        made = kind.from_config(layer.get_config())
        if kind is SharedDropout and layer.rate:
            made.seed_generator.state.assign(layer.seed_generator.state)
        return made

    return copied


def _check(copy: Any) -> None:
    """A training pass must change nothing but the noise of dropout, and no loss may be hidden."""
    keras, tf = quiet.keras(), quiet.tensorflow()
    noise = [
        layer.seed_generator.state
        for layer in copy.layers
        if isinstance(layer, keras.layers.Dropout) and layer.rate
    ]
    before = {v.path: np.array(v) for v in copy.non_trainable_variables}
    copy(tf.zeros([2, *copy.input_shape[1:]]), training=True)
    after = {v.path: v for v in copy.non_trainable_variables}
    changed = [p for p, old in before.items() if not np.array_equal(old, np.asarray(after[p]))]
    for path in changed:
        after[path].assign(before[path])
    known = {state.path for state in noise}
    for path in changed:
        if path not in known:
            raise TrainingError(
                f"the network keeps '{path}' from batch to batch, which several workers cannot "
                "share; of such layers only Dropout can be trained over workers"
            )
    if copy.losses:
        raise TrainingError("a network with losses of its layers cannot be trained over workers")


def _model(network: Any, copy: Any, link: Link) -> Any:
    keras, tf = quiet.keras(), quiet.tensorflow()
    workers, index = len(link.team), link.team.index

    class SharedNetwork(keras.Model):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.copy = copy
            self.mean_loss = keras.metrics.Mean("loss")

        def compile(self, optimizer: Any, loss: Any, **options: Any) -> None:
            super().compile(optimizer=optimizer, **options)
            self.row_loss = _row_loss(loss)

        @property
        def metrics(self) -> list[Any]:
            return [self.mean_loss]

        def call(self, inputs: Any, training: bool = False) -> Any:
            return self.copy(inputs, training=training)

        def fit(self, *arguments: Any, **options: Any) -> Any:
            history = super().fit(*arguments, **options)
            network.set_weights(self.copy.get_weights())
            return history

        def part_of_loss(self, data: Any, training: bool) -> tuple[Any, Any]:
            """This worker's part of the mean loss of a batch, and the batch's rows."""
            inputs, targets, _ = keras.utils.unpack_x_y_sample_weight(data)
            count = tf.shape(inputs)[0]
            rows = -(-count // workers)
            own = index * rows + tf.range(rows)
            valid = tf.cast(own < count, tf.float32)  # the last worker may have fewer rows
            own = tf.minimum(own, count - 1)
            answers = self(tf.gather(inputs, own), training=training)
            losses = self.row_loss(tf.gather(targets, own), answers)  # (rows, ...)
            numbers = count * (tf.size(losses) // rows)
            weights = tf.reshape(valid, [-1] + [1] * (losses.shape.rank - 1))
            return tf.reduce_sum(losses * weights) / tf.cast(numbers, tf.float32), count

        def train_step(self, data: Any) -> dict[str, Any]:
            with tf.GradientTape() as tape:
                part, count = self.part_of_loss(data, training=True)
            variables = self.trainable_variables
            found = tape.gradient(part, variables)
            # Where a network repeats a vector, TensorFlow forgets the shape of a gradient.
            known = [tf.ensure_shape(g, v.shape) for g, v in zip(found, variables, strict=True)]
            *gradients, loss = link.sum([*known, part])
            self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
            return self.told(loss, count)

        def test_step(self, data: Any) -> dict[str, Any]:
            part, count = self.part_of_loss(data, training=False)
            (loss,) = link.sum([part])
            return self.told(loss, count)

        def told(self, loss: Any, count: Any) -> dict[str, Any]:
            self.mean_loss.update_state(loss, sample_weight=count)
            return {"loss": self.mean_loss.result()}

    return SharedNetwork()


def _row_loss(loss: Any) -> Callable[[Any, Any], Any]:
    """The loss of every row, before the mean is taken."""
    keras = quiet.keras()
    found = keras.losses.get(loss)
    if not isinstance(found, keras.losses.Loss):
        return found
    if found.reduction != MEAN:
        raise TrainingError(
            f"a loss whose reduction is '{found.reduction}' cannot be trained over workers; "
            "it must be a mean"
        )
    return found.call
