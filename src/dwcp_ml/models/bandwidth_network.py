"""The bandwidth network: raw window in, forecasts and class out, as one TensorFlow function.

All four heads predict a log residual: throughput to an average that favours the newest step,
the others to their newest value. How much it favours that step is fitted, because it depends on
the noise of the source. A network that starts at zero therefore starts at the best simple filter,
and what it learns is what the filter misses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dwcp_ml.export import quiet
from dwcp_ml.telemetry.schema import load_schema

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

FEATURES = (
    "rtt_ms",
    "jitter_ms",
    "throughput_mbps",
    "packet_loss",
    "link_type",
    "network_tier",
    "congestion_window",
)
FORECASTS = ("throughput_mbps", "rtt_ms", "packet_loss", "jitter_ms")
# Smallest value taken into a logarithm, in the order of FORECASTS.
FLOORS = np.array([0.01, 0.01, 1e-5, 0.01], np.float32)
PHASE = "time_of_day"  # an eighth input, for sources whose days are alike
SMOOTHINGS = np.arange(0.3, 1.01, 0.1)  # candidates for the weight of the newest step
CONTEXT = 14  # numbers a step that the LSTM sees, without the phase of the day
CLIP = 8.0  # largest size of a number that it sees


def reference_table() -> NDArray[np.float32]:
    """Reference throughput by link type and tier, (4, 3), Mbit/s, from the schema."""
    target = load_schema().target("bandwidth_class")
    return np.array(list((target.reference_mbps or {}).values()), np.float32)


def class_boundaries() -> tuple[float, float]:
    """Shares of the reference above which a link is good, and below which it is bad."""
    return load_schema().target("bandwidth_class").boundaries or (0.5, 0.3)


def smoothing_weights(window: int, smoothing: float) -> NDArray[np.float32]:
    """Exponential weights of a window's steps, oldest first, summing to 1."""
    weights = (1 - smoothing) ** np.arange(window - 1, -1, -1.0)
    return (weights / weights.sum()).astype(np.float32)


def fit_smoothing(rates: NDArray[np.float32], following: NDArray[np.float32]) -> float:
    """Weight of the newest step whose average is nearest to the next log throughput.

    Args:
        rates: (n, w) throughput of windows, newest last, Mbit/s.
        following: (n,) throughput of the step after each.
    """
    logs, target = (np.log(np.maximum(x, FLOORS[0])) for x in (rates, following))

    def error(smoothing: float) -> float:
        base = logs @ smoothing_weights(rates.shape[1], smoothing)
        return float(np.abs(target - base).mean())

    return min((round(float(a), 1) for a in SMOOTHINGS), key=error)


def prepare(features: Any, smoothing: float) -> tuple[Any, Any]:
    """Raw windows to what the LSTM sees and the log base.

    Args:
        features: (n, w, 7), or (n, w, 8) with the hours since midnight UTC.
        smoothing: weight of the newest step in the base.

    Returns:
        (n, w, CONTEXT), or CONTEXT + 2 with the phase of the day, and (n, 4).
    """
    tf = quiet.tensorflow()

    window = features.shape[1]
    rtt, jitter, rate, loss, link, tier, cwnd, *hours = tf.unstack(features, axis=2)
    log_rate, log_rtt, log_loss, log_jitter = (
        tf.math.log(tf.maximum(x, floor))
        for x, floor in zip((rate, rtt, loss, jitter), FLOORS, strict=True)
    )
    weights = tf.constant(smoothing_weights(window, smoothing))
    base = tf.reduce_sum(log_rate * weights, axis=1)
    bdp = tf.math.log(tf.maximum(cwnd, 1.0)) - log_rtt  # rate of one stream, up to a constant
    reference = _reference(link[:, -1], tier[:, -1])
    level = log_rate - tf.math.log(reference)[:, None]
    quiet_rtt = tf.reduce_min(log_rtt, axis=1, keepdims=True)
    quiet_jitter = tf.reduce_min(log_jitter, axis=1, keepdims=True)
    kinds = tf.one_hot(tf.clip_by_value(tf.cast(link, tf.int32), 0, 3), 4)  # (n, w, 4)
    steps = tf.stack(
        [
            4 * (log_rate - base[:, None]),
            4 * (log_rate - log_rate[:, -1:]),
            4 * (bdp - tf.reduce_mean(bdp, axis=1, keepdims=True)),
            level,
            5 * (log_rtt - quiet_rtt),
            5 * (log_rtt - log_rtt[:, -1:]),
            log_jitter - quiet_jitter,
            log_jitter - log_jitter[:, -1:],
            2 * (log_loss - log_loss[:, -1:]),
            0.5 * (log_loss + 6.5),
        ],
        axis=2,
    )
    last = tf.stack([base, log_rtt[:, -1], log_loss[:, -1], log_jitter[:, -1]], axis=1)
    angles = [h * (2 * np.pi / 24) for h in hours]
    phase = [f(a)[:, :, None] for a in angles for f in (tf.sin, tf.cos)]
    return tf.concat([tf.clip_by_value(steps, -CLIP, CLIP), kinds, *phase], axis=2), last


def build(
    shape: tuple[int, int],
    dropout: float,
    units: tuple[int, int],
    dense: int,
    *,
    attention: bool = False,
) -> Any:
    """LSTM -> LSTM -> Dense -> four log residuals; input (n, *shape).

    With ``attention`` the dense layer sees, beside the last state, an average of all states
    weighted by their own scores (Bahdanau et al. 2015, without the decoder).
    """
    keras = quiet.keras()
    layers = keras.layers

    steps = keras.Input(shape)
    states = layers.Dropout(dropout)(layers.LSTM(units[0], return_sequences=True)(steps))
    state = layers.LSTM(units[1], return_sequences=attention)(states)
    if attention:
        weights = layers.Softmax(axis=1)(layers.Dense(1)(layers.Dense(dense, "tanh")(state)))
        glance = layers.Flatten()(layers.Dot(axes=1)([weights, state]))
        newest = layers.Flatten()(layers.Cropping1D((shape[0] - 1, 0))(state))
        state = layers.Concatenate()([newest, glance])
    hidden = layers.Dense(dense, activation="relu")(layers.Dropout(dropout)(state))
    return keras.Model(steps, layers.Dense(len(FORECASTS), kernel_initializer="zeros")(hidden))


def decision(network: Any, smoothing: float) -> Callable[[Any], dict[str, Any]]:
    """Raw windows to the outputs of the graph, by name."""
    tf = quiet.tensorflow()

    def answer(features: Any) -> dict[str, Any]:
        steps, base = prepare(features, smoothing)
        forecast = tf.exp(base + network(steps, training=False))
        reference = _reference(features[:, -1, 4], features[:, -1, 5])
        share = forecast[:, 0] / reference
        good, bad = class_boundaries()
        classes = tf.cast(share < good, tf.int64) + tf.cast(share < bad, tf.int64)
        return {
            "next_throughput_mbps": forecast[:, 0],
            "forecast": forecast,
            "bandwidth_class": classes,
        }

    return answer


def head_loss(head_weights: tuple[float, ...]) -> Any:
    """L1 on log residuals, rounded near zero, so that rare drops do not rule the fit."""
    tf = quiet.tensorflow()

    weights = tf.constant(head_weights, tf.float32)
    scale = tf.constant([0.02, 0.02, 0.1, 0.1], tf.float32)  # where L1 turns into L2

    def loss(true: Any, predicted: Any) -> Any:
        error = tf.abs(true - predicted)
        smooth = tf.where(error < scale, 0.5 * error**2 / scale, error - 0.5 * scale)
        return tf.reduce_sum(weights * smooth, axis=-1)

    return loss


def _reference(link: Any, tier: Any) -> Any:
    tf = quiet.tensorflow()

    table = reference_table().reshape(-1)
    row = tf.clip_by_value(tf.cast(link, tf.int32), 0, 3) * 3
    column = tf.clip_by_value(tf.cast(tier, tf.int32), 1, 3) - 1
    return tf.gather(tf.constant(table), row + column)
