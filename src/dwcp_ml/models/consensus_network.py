"""The consensus network: raw latencies in, score and decision out, as one TensorFlow function.

A window is divided by the median of what precedes it, because the same latency is an outage in
one cluster and normal in the next. A running median of three takes single spikes out, which are
normal. An autoencoder that has seen only normal windows then fails on strange shapes, but it can
copy a mere level: the score adds the size of the window's median.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dwcp_ml.export.quiet import keras, tensorflow
from dwcp_ml.export.tensorflow_ops import trailing_median
from dwcp_ml.models.consensus_features import WINDOW

if TYPE_CHECKING:
    from collections.abc import Callable

SMOOTH = WINDOW - 2  # steps left by the running median
FLOOR_MS = 1e-3  # a latency below it counts as this in the logarithm
SCORE, FLAG = "reconstruction_error", "is_high_latency"


def build(units: tuple[int, int], dropout: float) -> Any:
    """Keras autoencoder of (n, SMOOTH, 1): LSTM wide, narrow - narrow, wide, then one number.

    The code has more numbers than a window has steps, so that nothing but dropout on it and a
    short training keeps the network from copying the noise of the clusters it has seen.
    """
    wide, narrow = units
    layers = keras().layers
    return keras().Sequential(
        [
            keras().Input((SMOOTH, 1)),
            layers.LSTM(wide, return_sequences=True),
            layers.LSTM(narrow),
            layers.Dropout(dropout),
            layers.RepeatVector(SMOOTH),
            layers.LSTM(narrow, return_sequences=True),
            layers.LSTM(wide, return_sequences=True),
            layers.Dense(1),
        ]
    )


def prepare(features: Any) -> Any:
    """Latencies (n, steps, 1), ms, to smoothed log ratios to the cluster's baseline, (n, SMOOTH).

    The baseline is the median of all steps before the window; fewer than ``WINDOW`` of them, down
    to none, are topped up with the oldest steps of the window itself.
    """
    tf = tensorflow()
    latency = tf.maximum(tf.squeeze(features, 2), FLOOR_MS)
    base = trailing_median(latency, WINDOW, WINDOW)
    ratio = tf.math.log(latency[:, -WINDOW:] / tf.expand_dims(base, 1))
    before, here, after = ratio[:, :-2], ratio[:, 1:-1], ratio[:, 2:]
    low, high = tf.minimum(before, here), tf.maximum(before, here)
    return tf.maximum(low, tf.minimum(high, after))


def decision(
    network: Any, scale: float, level_weight: float, threshold: float
) -> Callable[[Any], dict[str, Any]]:
    """Raw features to score (n,) and flag (n,).

    Args:
        network: the autoencoder, of log ratios in units of ``scale``.
        scale: robust deviation of normal log ratios.
        level_weight: weight of |median| beside the mean squared error, both in units of scale.
        threshold: of the score.
    """
    tf = tensorflow()

    def answer(features: Any) -> dict[str, Any]:
        shape = prepare(features) / scale
        copy = tf.squeeze(network(tf.expand_dims(shape, 2), training=False), 2)
        error = tf.reduce_mean(tf.square(copy - shape), axis=1)
        upper = tf.math.top_k(shape, SMOOTH // 2 + 1).values  # the middle two come last
        level = tf.abs(tf.reduce_mean(upper[:, -2:], axis=1))
        score = error + level_weight * level
        return {SCORE: score, FLAG: tf.cast(score > threshold, tf.int64)}

    return answer
