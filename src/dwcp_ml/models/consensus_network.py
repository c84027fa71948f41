"""The consensus network: raw latencies in, score and decision out, as one TensorFlow function.

A window is divided by the median of what precedes it, because the same latency is an outage in
one cluster and normal in the next. A running median of three takes single spikes out, which are
normal. An autoencoder that has seen only normal windows then fails on strange shapes, but it can
copy a mere level: the score adds the size of the window's median. A window is called high only if
latencies rose in it: a cluster that becomes faster has a strange window too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dwcp_ml.export.quiet import keras, tensorflow
from dwcp_ml.export.tensorflow_ops import trailing_median
from dwcp_ml.models import consensus_context
from dwcp_ml.models.consensus_features import WINDOW

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

EDGES = 2  # steps that the running median takes from a window
FLOOR_MS = 1e-3  # a latency below it counts as this in the logarithm
HEADS = 2  # of the attention
RISEN = (
    1  # smoothed steps of a high window that lie above the baseline: a stall of two steps has one
)
RISE = math.log(1.25)  # by so much: the best of 1.1, 1.25, 1.4 and 1.6 on validation windows
SCORE, FLAG = "reconstruction_error", "is_high_latency"


@dataclass(frozen=True)
class View:
    """What of a cluster's steps the network sees.

    Attributes:
        window: newest steps, which are judged.
        spread_floor: least own spread that log ratios are divided by; 0: they are not divided.
        context_scale: deviation of each context column; empty: the latency alone.
    """

    window: int = WINDOW
    spread_floor: float = 0.0
    context_scale: Sequence[float] = ()


def build(
    units: tuple[int, int], dropout: float, steps: int, channels: int = 1, *, attention: bool
) -> Any:
    """Keras autoencoder of (n, steps, channels): LSTM wide, narrow - narrow, wide, then a Dense.

    The code has more numbers than a window has steps, so that nothing but dropout on it and a
    short training keeps the network from copying the noise of the clusters it has seen. With
    ``attention`` the steps of the first layer look at each other before they are summed up.
    """
    wide, narrow = units
    layers = keras().layers
    encoder = [
        keras().Input((steps, channels)),
        layers.LSTM(wide, return_sequences=True),
    ]
    rest = [
        layers.LSTM(narrow),
        layers.Dropout(dropout),
        layers.RepeatVector(steps),
        layers.LSTM(narrow, return_sequences=True),
        layers.LSTM(wide, return_sequences=True),
        layers.Dense(channels),
    ]
    if not attention:
        return keras().Sequential([*encoder, *rest])
    source = encoder[0]
    hidden = encoder[1](source)
    seen = layers.MultiHeadAttention(HEADS, wide // HEADS)(hidden, hidden)
    hidden = layers.LayerNormalization()(layers.Add()([hidden, seen]))
    for layer in rest:
        hidden = layer(hidden)
    return keras().Model(source, hidden)


def prepare(features: Any, view: View) -> Any:
    """Latencies (n, steps, ...), ms, to smoothed log ratios to the cluster's baseline.

    The baseline is the median of all steps before the window; fewer than a window of them, down
    to none, are topped up with the oldest steps of the window itself. With ``spread_floor`` the
    ratios are divided by their robust deviation in those steps, or by the floor if that is more.

    Returns:
        (n, window - EDGES).
    """
    tf, window = tensorflow(), view.window
    alone = features[:, :, :1] if view.context_scale else features
    latency = tf.maximum(tf.squeeze(alone, 2), FLOOR_MS)
    base = trailing_median(latency, window, window)
    if view.spread_floor:
        every = tf.math.log(latency / tf.expand_dims(base, 1))
        spread = 1.4826 * trailing_median(tf.abs(every), window, window)
        ratio = every[:, -window:] / tf.expand_dims(tf.maximum(spread, view.spread_floor), 1)
    else:
        ratio = tf.math.log(latency[:, -window:] / tf.expand_dims(base, 1))
    before, here, after = ratio[:, :-2], ratio[:, 1:-1], ratio[:, 2:]
    low, high = tf.minimum(before, here), tf.maximum(before, here)
    return tf.maximum(low, tf.minimum(high, after))


def channels(features: Any, view: View, scale: float) -> Any:
    """What the autoencoder copies: (n, window - EDGES, 1), with context columns beside."""
    tf = tensorflow()
    shape = tf.expand_dims(prepare(features, view) / scale, 2)
    if not view.context_scale:
        return shape
    changes = consensus_context.context(features, view.window)
    return tf.concat([shape, consensus_context.scaled(changes, view.context_scale)], axis=2)


def decision(
    network: Any, view: View, scale: float, level_weight: float, threshold: float
) -> Callable[[Any], dict[str, Any]]:
    """Raw features to score (n,) and flag (n,).

    Args:
        network: the autoencoder, of log ratios in units of ``scale``.
        view: what it sees.
        scale: robust deviation of normal log ratios.
        level_weight: weight of |median| beside the mean squared error, both in units of scale.
        threshold: of the score.
    """
    tf = tensorflow()
    half = (view.window - EDGES) // 2 + 1
    rise = (1.0 if view.spread_floor else RISE) / scale  # where divided: one own deviation

    def answer(features: Any) -> dict[str, Any]:
        if view.context_scale:
            seen = channels(features, view, scale)
            copy = network(seen, training=False)
            error = tf.reduce_mean(tf.square(copy - seen), axis=[1, 2])
            shape = tf.squeeze(seen[:, :, :1], 2)
        else:
            shape = prepare(features, view) / scale
            copy = tf.squeeze(network(tf.expand_dims(shape, 2), training=False), 2)
            error = tf.reduce_mean(tf.square(copy - shape), axis=1)
        upper = tf.math.top_k(shape, half).values  # the middle two come last
        level = tf.abs(tf.reduce_mean(upper[:, -2:], axis=1))
        score = error + level_weight * level
        high = tf.logical_and(score > threshold, tf.gather(upper, RISEN - 1, axis=1) > rise)
        return {SCORE: score, FLAG: tf.cast(high, tf.int64)}

    return answer
