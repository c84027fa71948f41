"""The compression network: six raw measurements in, a level out.

A level wins by ratios of rates, so that rates enter as logarithms. Which level wins flips at
sharp values of two of them, the network's share of the sender's rate and the probe's ratio;
fixed ramps over both spare the layers, blurred by dropout, from having to draw the edges.
Everything goes through one hyperbolic tangent: a measurement far from all that was seen counts
as a large one, and serving needs one matrix before it and none after.
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
SCALED = (RATE, RTT, RATIO, SENDER, HITS)
REACH = 3.0  # deviations from the mean at which the hyperbolic tangent begins to flatten
# Centres and steepness of the ramps over log(rate / sender rate) and over log ratio.
SHARE_RAMPS, SHARE_SLOPE = np.linspace(-5.0, 1.0, 8), 2.0
RATIO_RAMPS, RATIO_SLOPE = np.linspace(0.2, 2.2, 8), 6.0
SATURATED = 20.0  # the hyperbolic tangent is 1 there
RAMPS = len(SHARE_RAMPS) + len(RATIO_RAMPS)
PLAIN = len(SCALED)
CONTEXT = PLAIN + RAMPS + LINK_TYPES


def plain_inputs(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """The continuous inputs before scaling, (n, PLAIN): logarithms."""
    return np.asarray(np.log(np.maximum(features[:, SCALED], FLOOR)))


def projection(mean: Any, deviation: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights (6, CONTEXT) and offsets from logarithms to what the tangent makes the inputs of.

    The columns: scaled inputs, ramps, and for the kinds of link the steps of ``kind_steps``.
    """
    weights = np.zeros((len(FEATURES), CONTEXT))
    offset = np.zeros(CONTEXT)
    for column, feature in enumerate(SCALED):
        weights[feature, column] = 1 / (REACH * deviation[column])
        offset[column] = -mean[column] / (REACH * deviation[column])
    share = slice(PLAIN, PLAIN + len(SHARE_RAMPS))
    weights[RATE, share], weights[SENDER, share] = SHARE_SLOPE, -SHARE_SLOPE
    offset[share] = -SHARE_SLOPE * SHARE_RAMPS
    ratio = slice(share.stop, PLAIN + RAMPS)
    weights[RATIO, ratio] = RATIO_SLOPE
    offset[ratio] = -RATIO_SLOPE * RATIO_RAMPS
    offset[PLAIN + RAMPS] = SATURATED  # the constant that stands for kind 0
    for kind in range(1, LINK_TYPES):
        start, end = np.log(kind - RAMP_START), np.log(kind - RAMP_END)
        slope = 2 * SATURATED / (end - start)
        weights[LINK, PLAIN + RAMPS + kind] = slope
        offset[PLAIN + RAMPS + kind] = -SATURATED - slope * start
    return weights.astype(np.float32), offset.astype(np.float32)


def build(units: tuple[int, ...], dropout: float) -> Any:
    """Dense layers with dropout and ten logits; input (n, CONTEXT)."""
    keras = quiet.keras()
    layers: list[Any] = [keras.Input((CONTEXT,))]
    for width in units:
        layers += [keras.layers.Dense(width, activation="relu"), keras.layers.Dropout(dropout)]
    return keras.Sequential([*layers, keras.layers.Dense(LEVELS)])


def loss() -> Any:
    """Cross-entropy from logits to shares of the levels."""
    return quiet.keras().losses.CategoricalCrossentropy(from_logits=True)


def logarithms(features: Any) -> Any:
    """Logarithms of raw measurements (n, 6), of which none is below ``FLOOR``."""
    tf = quiet.tensorflow()
    return tf.math.log(tf.clip_by_value(features, FLOOR, float(np.finfo(np.float32).max)))


def prepare(features: Any, mean: Any, deviation: Any) -> Any:
    """Raw measurements (n, 6) to what the network sees (n, CONTEXT)."""
    tf = quiet.tensorflow()
    weights, offset = (array[..., : PLAIN + RAMPS] for array in projection(mean, deviation))
    codes = tf.clip_by_value(tf.cast(features[:, LINK], tf.int32), 0, LINK_TYPES - 1)
    kinds = tf.one_hot(codes, LINK_TYPES)
    return tf.concat([tf.tanh(tf.matmul(logarithms(features), weights) + offset), kinds], axis=1)


def prepare_fused(features: Any, mean: Any, deviation: Any) -> Any:
    """What ``prepare`` gives, in fewer nodes: the kinds go through the hyperbolic tangent too."""
    tf = quiet.tensorflow()
    weights, offset = projection(mean, deviation)
    steps = tf.tanh(tf.matmul(logarithms(features), weights) + offset)
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
