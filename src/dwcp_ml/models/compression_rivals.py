"""Rules and learners that the compression network has to beat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dwcp_ml.models.compression_network import LEVELS
from dwcp_ml.telemetry.simulator.compression import gains
from dwcp_ml.telemetry.simulator.streams import stream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dwcp_ml.models.base import Array, Examples, Outputs, Predictor

USUAL_LEVEL = 6  # zlib's own default
NOISE = 0.03  # relative error of a timing measurement


def choose(level: Array) -> Outputs:
    """Outputs as the graph gives them, certain of ``level`` (n,)."""
    level = np.asarray(level, np.int64)
    return {
        "compression_level": level,
        "probabilities": np.eye(LEVELS, dtype=np.float32)[level],
    }


def fit_rivals(train: Examples, seed: int) -> Mapping[str, Predictor]:
    """Best fixed level, zlib's default, a depth-4 tree, a forest and, with truth, the oracle."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.tree import DecisionTreeClassifier

    fixed = best_fixed(train)
    x, y = train.features, train.targets["level"]
    tree = DecisionTreeClassifier(max_depth=4, random_state=seed).fit(x, y)
    forest = RandomForestClassifier(40, min_samples_leaf=20, max_samples=40_000, random_state=seed)
    forest.set_params(max_samples=min(40_000, len(x))).fit(x, y)
    rivals: dict[str, Predictor] = {
        "best_fixed": lambda e: choose(np.full(len(e), fixed)),
        "zlib_default": lambda e: choose(np.full(len(e), USUAL_LEVEL)),
        "tree_depth_4": lambda e: choose(tree.predict(e.features)),
        "random_forest": lambda e: choose(forest.predict(e.features)),
    }
    if train.truth:
        rivals["oracle_measured_again"] = lambda e: choose(_noisy_oracle(e, seed))
    return rivals


def best_fixed(train: Examples) -> int:
    """The one level with the highest mean gain, or the most frequent label without gains."""
    if "log_gain" in train.targets:
        return int(np.exp(train.targets["log_gain"]).mean(axis=0).argmax())
    return int(np.bincount(train.targets["level"], minlength=LEVELS).argmax())


def _noisy_oracle(examples: Examples, seed: int) -> Array:
    """The oracle's choice when every level's rate is timed with 3 % error."""
    t: Any = examples.truth
    clean = gains(t["machine"], t["payload"], t["cpu_share"], t["next_latent_mbps"])
    noise = stream(seed, "timing").standard_normal(clean.shape)
    return np.asarray((clean * np.exp(NOISE * noise)).argmax(axis=1))
