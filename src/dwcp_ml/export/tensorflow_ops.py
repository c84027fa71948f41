"""Steps of pre-processing in TensorFlow that become few, fast ONNX nodes."""

from __future__ import annotations

from typing import Any

from dwcp_ml.export import quiet


def trailing_median(values: Any, window: int, least: int) -> Any:
    """Median of what precedes the window, for a number of steps known only at run time.

    With fewer than ``least`` steps before the window, the median of the first ``least`` steps:
    a short history borrows from the window. The median is the middle of the sorted values, or
    the mean of the middle two. A partial selection (TopK, unsorted) finds them, which takes a
    third of the time of sorting 900 values.

    Args:
        values: (batch, steps) float32, steps >= least.
        window: newest steps to leave out.
        least: fewest steps that a median is taken of, >= 2.

    Returns:
        (batch,) float32.
    """
    tf = quiet.tensorflow()
    count = tf.maximum(tf.shape(values)[1] - window, least)
    history = tf.gather(values, tf.range(count), axis=1)  # fewer nodes than a dynamic slice
    lower = -tf.math.top_k(-history, count // 2 + 1, sorted=False).values
    middle = tf.math.top_k(lower, 2).values  # (batch, 2): the largest of the lower half
    below = tf.gather(middle, 1 - count % 2, axis=1)  # the same value twice if count is odd
    return 0.5 * (middle[:, 0] + below)
