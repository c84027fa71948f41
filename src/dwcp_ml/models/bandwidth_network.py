"""The bandwidth network: raw window in, forecasts and class out, as one TensorFlow function.

All four heads predict a log residual: throughput to an average that favours the newest step,
the others to their newest value. A network that starts at zero therefore starts at a simple
filter, and what it learns is what the filter misses.
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
SMOOTHING = 0.5  # weight of the newest step in the base level of throughput
CONTEXT = 14  # numbers a step that the LSTM sees
CLIP = 8.0  # largest size of a number that it sees


def reference_table() -> NDArray[np.float32]:
    """Reference throughput by link type and tier, (4, 3), Mbit/s, from the schema."""
    target = load_schema().target("bandwidth_class")
    return np.array(list((target.reference_mbps or {}).values()), np.float32)


def class_boundaries() -> tuple[float, float]:
    """Shares of the reference above which a link is good, and below which it is bad."""
    return load_schema().target("bandwidth_class").boundaries or (0.5, 0.3)


def smoothing_weights(window: int) -> NDArray[np.float32]:
    """Exponential weights of a window's steps, oldest first, summing to 1."""
    weights = SMOOTHING * (1 - SMOOTHING) ** np.arange(window - 1, -1, -1.0)
    return (weights / weights.sum()).astype(np.float32)


def prepare(features: Any) -> tuple[Any, Any]:
    """Raw windows (n, w, 7) to what the LSTM sees (n, w, CONTEXT) and the log base (n, 4)."""
    tf = quiet.tensorflow()

    window = features.shape[1]
    rtt, jitter, rate, loss, link, tier, cwnd = tf.unstack(features, axis=2)
    log_rate, log_rtt, log_loss, log_jitter = (
        tf.math.log(tf.maximum(x, floor))
        for x, floor in zip((rate, rtt, loss, jitter), FLOORS, strict=True)
    )
    weights = tf.constant(smoothing_weights(window))
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
    return tf.concat([tf.clip_by_value(steps, -CLIP, CLIP), kinds], axis=2), last


def build(window: int, dropout: float, units: tuple[int, int], dense: int) -> Any:
    """LSTM -> LSTM -> Dense -> four log residuals; input (n, window, CONTEXT)."""
    keras = quiet.keras()

    return keras.Sequential(
        [
            keras.Input((window, CONTEXT)),
            keras.layers.LSTM(units[0], return_sequences=True),
            keras.layers.Dropout(dropout),
            keras.layers.LSTM(units[1]),
            keras.layers.Dropout(dropout),
            keras.layers.Dense(dense, activation="relu"),
            keras.layers.Dense(len(FORECASTS), kernel_initializer="zeros"),
        ]
    )


def decision(network: Any) -> Callable[[Any], dict[str, Any]]:
    """Raw windows to the outputs of the graph, by name."""
    tf = quiet.tensorflow()

    def answer(features: Any) -> dict[str, Any]:
        steps, base = prepare(features)
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
