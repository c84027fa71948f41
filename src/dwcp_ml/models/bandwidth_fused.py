"""The bandwidth decision for serving: what ``bandwidth_network`` says, in a quarter of the nodes.

Everything that the network sees is a difference of logarithms of the window, cut at +-CLIP. So
one logarithm over all values, one matrix and one cut make all of it, the kind of link included
(see ``kind_steps``). Everything that is answered is linear in the network's last hidden layer and
in the same logarithms: one matrix more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dwcp_ml.export import quiet
from dwcp_ml.models import bandwidth_network as net
from dwcp_ml.models.kind_steps import RAMP_END, RAMP_START, kinds_from_steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

RTT, JITTER, RATE, LOSS, LINK, TIER, CWND = range(len(net.FEATURES))
WIDTH = len(net.FEATURES)
COLUMNS = tuple(net.FEATURES.index(name) for name in net.FORECASTS)
KINDS = 4
MEASURED = net.CONTEXT - KINDS  # numbers a step that are differences of logarithms
SCORES = 3  # one for each class


def floors(window: int) -> NDArray[np.float32]:
    """Smallest values taken into the logarithm: window, its lowest values, reference."""
    step = np.ones(WIDTH)
    step[list(COLUMNS)] = net.FLOORS
    step[LINK] = 0.5  # dc is 0
    return np.append(np.tile(step, window + 1), 1e-3).astype(np.float32)


def projection(window: int, smoothing: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights (w * 7 + 7 + 1, w * CONTEXT) and offsets from logarithms to cut inputs.

    The logarithms: of the window, oldest step first; of each column's lowest value; of the
    reference. The inputs of a step: as of ``net.prepare``; for the kinds a constant and the steps
    from each kind to the next, at +-CLIP after the cut.
    """
    size = window * WIDTH
    low, reference = size, size + WIDTH
    weights = np.zeros((reference + 1, window, net.CONTEXT))
    offset = np.zeros((window, net.CONTEXT))
    newest = size - WIDTH
    for step in range(window):
        now, to = step * WIDTH, weights[:, step].T
        to[0, RATE:size:WIDTH] = -4 * net.smoothing_weights(window, smoothing)
        to[2, RTT:size:WIDTH], to[2, CWND:size:WIDTH] = 4 / window, -4 / window
        for row, column, scale in ((0, RATE, 4), (1, RATE, 4), (2, CWND, 4), (3, RATE, 1)):
            to[row, now + column] += scale
        to[2, now + RTT] -= 4
        to[3, reference] = -1
        for row, column, scale in ((4, RTT, 5), (5, RTT, 5), (6, JITTER, 1), (7, JITTER, 1)):
            to[row, now + column] += scale
        to[4, low + RTT], to[6, low + JITTER] = -5, -1
        to[8, now + LOSS] += 2
        for row, column, scale in ((1, RATE, 4), (5, RTT, 5), (7, JITTER, 1), (8, LOSS, 2)):
            to[row, newest + column] -= scale
        to[9, now + LOSS], offset[step, 9] = 0.5, 0.5 * 6.5
        offset[step, MEASURED] = net.CLIP
        for kind in range(1, KINDS):
            start, end = np.log(kind - RAMP_START), np.log(kind - RAMP_END)
            slope = 2 * net.CLIP / (end - start)
            to[MEASURED + kind, now + LINK] = slope
            offset[step, MEASURED + kind] = -net.CLIP - slope * start
    return weights.reshape(reference + 1, -1).astype(np.float32), offset.ravel().astype(np.float32)


def heads(
    window: int, smoothing: float, kernel: Any, bias: Any
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights (hidden + w * 7 + 7 + 1, 4 + SCORES) and offsets from [hidden, logarithms].

    The log forecasts, then a score for each class. With u the log share of the reference and the
    boundaries g > b, the largest of 2 u, u + g and g + b is the first for u >= g, the last
    for u < b, and the middle one between: an arg-max in place of comparisons.

    Args:
        window: steps of an input.
        smoothing: weight of the newest step in the base of throughput.
        kernel: (hidden, 4) of the network's last layer, whose answers are log residuals.
        bias: (4,) of it.
    """
    size = window * WIDTH
    reference = size + WIDTH
    weights = np.zeros((reference + 1, len(net.FORECASTS)))
    weights[RATE:size:WIDTH, 0] = net.smoothing_weights(window, smoothing)
    for head, column in enumerate(COLUMNS[1:], 1):
        weights[size - WIDTH + column, head] = 1
    weights = np.vstack([kernel, weights])
    share, share_bias = weights[:, 0].copy(), float(bias[0])
    share[-1] -= 1
    good, bad = np.log(net.class_boundaries())
    scores = np.stack([2 * share, share, 0 * share], axis=1)
    offset = np.array([*bias, 2 * share_bias, share_bias + good, good + bad])
    return np.hstack([weights, scores]).astype(np.float32), offset.astype(np.float32)


def logarithms(features: Any) -> Any:
    """Raw windows (n, w, 7) to the logarithms that everything is made of, (n, w * 7 + 7 + 1)."""
    tf = quiet.tensorflow()
    window = features.shape[1]
    table = net.reference_table()[:, [0, 0, 1, 2]]  # tier 0 counts as 1
    flat = tf.reshape(features, (-1, window * WIDTH))
    newest = np.array([[LINK, TIER]]) + (window - 1) * WIDTH
    codes = tf.clip_by_value(tf.gather(flat, newest, axis=1), 0.0, float(KINDS - 1))
    reference = tf.gather_nd(table, tf.cast(codes, tf.int64))  # (n, 1)
    every = tf.concat([flat, tf.reduce_min(features, axis=1), reference], axis=1)
    return tf.math.log(tf.maximum(every, floors(window)))


def context(logs: Any, window: int, smoothing: float) -> Any:
    """What the network sees, (n, w, CONTEXT), from ``logarithms``; equals ``net.prepare``'s."""
    tf = quiet.tensorflow()
    weights, offset = projection(window, smoothing)
    steps = tf.reshape(tf.matmul(logs, weights) + offset, (-1, window, net.CONTEXT))
    cut = tf.clip_by_value(steps, -net.CLIP, net.CLIP)
    return tf.matmul(cut, kinds_from_steps(MEASURED, KINDS, net.CLIP))


def decision(network: Any, smoothing: float) -> Callable[[Any], dict[str, Any]]:
    """Raw windows to the outputs of the graph, by name; answers as ``net.decision`` does."""
    tf, keras = quiet.tensorflow(), quiet.keras()
    window, last = int(network.input_shape[1]), network.layers[-1]
    hidden = keras.Model(network.inputs, last.input)
    weights, offset = heads(window, smoothing, *last.get_weights())

    def answer(features: Any) -> dict[str, Any]:
        logs = logarithms(features)
        state = hidden(context(logs, window, smoothing), training=False)
        both = tf.matmul(tf.concat([state, logs], axis=1), weights) + offset
        forecast, scores = tf.split(both, [len(net.FORECASTS), SCORES], axis=1)
        forecast = tf.exp(forecast)
        return {
            "next_throughput_mbps": tf.gather(forecast, 0, axis=1),
            "forecast": forecast,
            "bandwidth_class": tf.argmax(scores, axis=1, output_type=tf.int64),
        }

    return answer
