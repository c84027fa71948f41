"""Context of the consensus window: what else the cluster's leader reports in the same steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dwcp_ml.export.quiet import tensorflow

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

CONTEXT = (
    "proposals_pending",
    "proposals_committed",
    "consensus_queue_depth",
    "consensus_latency_p50_ms",
    "consensus_latency_p95_ms",
    "consensus_latency_p99_ms",
    "leader_changes",
    "quorum_size",
    "active_nodes",
    "rtt_ms",
    "packet_loss",
)
LEAST_SCALE = 0.02  # of a column that hardly ever moves: rounding must not show
LIMIT = 10.0  # scales beyond which a column says no more


def context(features: Any, window: int) -> Any:
    """Change of each context column against its own history, (n, window - 2, 11).

    The logarithm of one plus the column, less its mean over the steps before the window (over the
    oldest ``window`` steps, where fewer precede it), without the window's first and last step,
    which the running median of the latency takes.

    Args:
        features: (n, steps, 12), the latency first.
        window: newest steps, which are judged.
    """
    tf = tensorflow()
    columns = tf.math.log(1.0 + tf.nn.relu(features[:, :, 1:]))
    columns -= columns[:, :1]  # small numbers, so that the order of a long sum hardly matters
    count = tf.maximum(tf.shape(columns)[1] - window, window)
    usual = tf.reduce_mean(tf.gather(columns, tf.range(count), axis=1), axis=1, keepdims=True)
    return (columns[:, -window:] - usual)[:, 1:-1]


def scales(changes: NDArray[np.float32]) -> list[float]:
    """Standard deviation of each column over training windows (n, steps, 11), (11,)."""
    import numpy as np

    found = np.maximum(changes.std(axis=(0, 1), dtype=np.float64), LEAST_SCALE)
    return [float(np.float32(value)) for value in found]


def scaled(changes: Any, scale: Sequence[float]) -> Any:
    """Changes in units of ``scale``, cut at ``LIMIT``."""
    import numpy as np

    tf = tensorflow()
    return tf.clip_by_value(changes / np.asarray(scale, np.float32), -LIMIT, LIMIT)
