"""The compression network: six raw measurements in, a level out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

FEATURES = (
    "throughput_mbps",
    "rtt_ms",
    "link_type",
    "hde_compression_ratio",
    "hde_delta_hit_rate",
    "amst_transfer_rate",
)
LEVELS = 10
FLOOR = 1e-3  # smallest value taken into a logarithm
LOGS = (0, 1, 3, 5)  # features that enter as logarithms: a level wins by ratios of rates


def scaled_inputs(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """The five continuous inputs before scaling, (n, 5): four logarithms and the hit rate."""
    logs = np.log(np.maximum(features[:, LOGS], FLOOR))
    return np.column_stack([logs, features[:, 4]])


def build(units: tuple[int, ...], dropout: float) -> Any:
    """Dense layers with dropout and ten logits; input (n, 9)."""
    import keras

    layers: list[Any] = [keras.Input((9,))]
    for width in units:
        layers += [keras.layers.Dense(width, activation="relu"), keras.layers.Dropout(dropout)]
    return keras.Sequential([*layers, keras.layers.Dense(LEVELS)])


def prepare(features: Any, mean: Any, deviation: Any) -> Any:
    """Scale the continuous inputs and encode the link type: (n, 6) to (n, 9)."""
    import tensorflow as tf

    columns = tf.unstack(features, axis=1)
    values = [tf.math.log(tf.maximum(columns[i], FLOOR)) for i in LOGS] + [columns[4]]
    scaled = (tf.stack(values, axis=1) - tf.constant(mean)) / tf.constant(deviation)
    return tf.concat([scaled, tf.one_hot(tf.cast(columns[2], tf.int32), 4)], axis=1)


def decision(network: Any, mean: Any, deviation: Any) -> Callable[[Any], dict[str, Any]]:
    """Raw measurements to the outputs of the graph, by name."""
    import tensorflow as tf

    def answer(features: Any) -> dict[str, Any]:
        logits = network(prepare(features, mean, deviation), training=False)
        return {
            "compression_level": tf.argmax(logits, axis=1, output_type=tf.int64),
            "probabilities": tf.nn.softmax(logits),
        }

    return answer
