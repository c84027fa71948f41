"""The compression network: six raw measurements in, a level out.

A level wins by ratios of rates, so that rates enter as logarithms. Which level wins flips at
sharp values of two of them, the network's share of the sender's rate and the probe's ratio;
fixed ramps over both spare the layers, blurred by dropout, from having to draw the edges.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dwcp_ml.export import quiet
from dwcp_ml.models.kind_steps import RAMP_END, RAMP_START, kinds_from_steps

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
LINK_TYPES = 4
FLOOR = 1e-3  # smallest value taken into a logarithm
RATE, RTT, LINK, RATIO, HITS, SENDER = range(len(FEATURES))
LOGS = (RATE, RTT, RATIO, SENDER)
# Centres and steepness of the ramps over log(rate / sender rate) and over log ratio.
SHARE_RAMPS, SHARE_SLOPE = np.linspace(-5.0, 1.0, 8), 2.0
RATIO_RAMPS, RATIO_SLOPE = np.linspace(0.2, 2.2, 8), 6.0
SATURATED = 20.0  # the hyperbolic tangent is 1 there
RAMPS = len(SHARE_RAMPS) + len(RATIO_RAMPS)
PLAIN = len(LOGS) + 1  # logarithms and the hit rate
CONTEXT = PLAIN + RAMPS + LINK_TYPES


def plain_inputs(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """The continuous inputs before scaling, (n, PLAIN): four logarithms and the hit rate."""
    logs = np.log(np.maximum(features[:, LOGS], FLOOR))
    return np.column_stack([logs, features[:, HITS]])


def projection(mean: Any, deviation: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights (2 * 6, PLAIN + RAMPS) and offsets from [log x, x] to scaled inputs and ramps."""
    weights = np.zeros((2 * len(FEATURES), PLAIN + RAMPS))
    offset = np.zeros(PLAIN + RAMPS)
    for column, feature in enumerate((*LOGS, len(FEATURES) + HITS)):
        weights[feature, column] = 1 / deviation[column]
        offset[column] = -mean[column] / deviation[column]
    share = slice(PLAIN, PLAIN + len(SHARE_RAMPS))
    weights[RATE, share], weights[SENDER, share] = SHARE_SLOPE, -SHARE_SLOPE
    offset[share] = -SHARE_SLOPE * SHARE_RAMPS
    weights[RATIO, share.stop :] = RATIO_SLOPE
    offset[share.stop :] = -RATIO_SLOPE * RATIO_RAMPS
    return weights.astype(np.float32), offset.astype(np.float32)


def build(units: tuple[int, ...], dropout: float) -> Any:
    """Dense layers with dropout and ten logits; input (n, CONTEXT)."""
    keras = quiet.keras()
    layers: list[Any] = [keras.Input((CONTEXT,))]
    for width in units:
        layers += [keras.layers.Dense(width, activation="relu"), keras.layers.Dropout(dropout)]
    return keras.Sequential([*layers, keras.layers.Dense(LEVELS)])


def prepare(features: Any, mean: Any, deviation: Any) -> Any:
    """Raw measurements (n, 6) to what the network sees (n, CONTEXT)."""
    tf = quiet.tensorflow()
    weights, offset = projection(mean, deviation)
    both = tf.concat([tf.math.log(tf.maximum(features, FLOOR)), features], axis=1)
    mixed = tf.matmul(both, weights) + offset
    codes = tf.clip_by_value(tf.cast(features[:, LINK], tf.int32), 0, LINK_TYPES - 1)
    kinds = tf.one_hot(codes, LINK_TYPES)
    return tf.concat([mixed[:, :PLAIN], tf.tanh(mixed[:, PLAIN:]), kinds], axis=1)


def prepare_fused(features: Any, mean: Any, deviation: Any) -> Any:
    """What ``prepare`` gives, in fewer nodes: the kinds go through the hyperbolic tangent too."""
    tf = quiet.tensorflow()
    weights, offset = projection(mean, deviation)
    kinds, start = np.zeros((len(weights), LINK_TYPES)), np.full(LINK_TYPES, SATURATED)
    slope = 2 * SATURATED / (RAMP_START - RAMP_END)
    kinds[len(FEATURES) + LINK, 1:] = slope
    start[1:] = -slope * (np.arange(1, LINK_TYPES) - (RAMP_START + RAMP_END) / 2)
    weights = np.hstack([weights, kinds]).astype(np.float32)
    offset = np.append(offset, start).astype(np.float32)
    both = tf.concat([tf.math.log(tf.maximum(features, FLOOR)), features], axis=1)
    plain, curved = tf.split(tf.matmul(both, weights) + offset, [PLAIN, CONTEXT - PLAIN], axis=1)
    steps = tf.concat([plain, tf.tanh(curved)], axis=1)
    return tf.matmul(steps, kinds_from_steps(PLAIN + RAMPS, LINK_TYPES, 1.0))


def decision(
    network: Any, mean: Any, deviation: Any, *, fused: bool = False
) -> Callable[[Any], dict[str, Any]]:
    """Raw measurements to the outputs of the graph, by name; fused for serving."""
    tf = quiet.tensorflow()
    prepared = prepare_fused if fused else prepare

    def answer(features: Any) -> dict[str, Any]:
        logits = network(prepared(features, mean, deviation), training=False)
        return {
            "compression_level": tf.argmax(logits, axis=1, output_type=tf.int64),
            "probabilities": tf.nn.softmax(logits),
        }

    return answer
