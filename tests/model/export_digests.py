"""Digests of graphs and native files; run as a script they come from a process of their own."""

import hashlib
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest

from dwcp_ml.export import quiet
from dwcp_ml.export.canonical import canonical_bytes
from dwcp_ml.export.keras_graph import from_tensorflow
from dwcp_ml.export.native import save_sklearn
from dwcp_ml.export.tensorflow_ops import trailing_median
from dwcp_ml.export.trees import from_isolation_forest


def digests(layers_before: int) -> list[str]:
    """Convert a recurrent network and a forest, and save a forest and a boosted classifier.

    ``layers_before`` is the number of layers that were made before: another past gives other
    automatic names and other addresses.
    """
    keras, tf = quiet.keras(42), quiet.tensorflow()
    for _ in range(layers_before):
        keras.layers.Dense(3)(keras.Input((2,)))
    layers = [
        keras.Input((20, 1)),
        keras.layers.LSTM(16, return_sequences=True),
        keras.layers.LSTM(8),
        keras.layers.RepeatVector(20),
        keras.layers.LSTM(8, return_sequences=True),
        keras.layers.Dense(1),
    ]
    network = keras.Sequential(layers)
    weights = network.get_weights()
    network.set_weights([np.linspace(-1, 1, w.size).reshape(w.shape) for w in weights])

    def decide(features: object) -> dict[str, object]:
        latency = tf.squeeze(features, 2)
        relative = latency[:, -20:] / tf.expand_dims(trailing_median(latency, 20, 20), 1)
        window = tf.ensure_shape(relative, (None, 20))
        rebuilt = tf.squeeze(network(tf.expand_dims(window, 2), training=False), 2)
        return {"error": tf.reduce_mean((window - rebuilt) ** 2, 1)}

    rows = np.random.default_rng(0).normal(size=(500, 6)).astype(np.float32)
    forest = IsolationForest(n_estimators=20, random_state=42).fit(rows)
    graphs = [
        from_tensorflow(decide, {"features": (None, "steps", 1)}),
        from_isolation_forest(forest, 0.6),
    ]
    boosted = HistGradientBoostingClassifier(max_iter=5, random_state=42).fit(rows, rows[:, 0] > 1)
    contents = [canonical_bytes(graph) for graph in graphs]
    with tempfile.TemporaryDirectory() as folder:
        for estimator in (forest, boosted):
            save_sklearn(estimator, Path(folder) / "estimator.skops")
            contents.append((Path(folder) / "estimator.skops").read_bytes())
    return [hashlib.sha256(content).hexdigest() for content in contents]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(digests(int(sys.argv[1]))))
