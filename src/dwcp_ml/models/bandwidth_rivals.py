"""Simple predictors that the bandwidth network has to beat, tuned on train and validation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dwcp_ml.models import bandwidth_network as net

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from dwcp_ml.models.base import Array, Examples, Outputs, Predictor

RATE = net.FEATURES.index("throughput_mbps")
NEWEST = [net.FEATURES.index(name) for name in net.FORECASTS]
CHUNK = 16_384  # examples whose lags are in memory at once
MAX_ROWS = 60_000  # a rival with a few dozen weights needs no more


def classify(rate: Array, link: Array, tier: Array) -> NDArray[np.int64]:
    """Class of a throughput by link type and tier codes: 0 good, 1 degraded, 2 bad; all (n,)."""
    share = rate / net.reference_table()[link.astype(int), tier.astype(int) - 1]
    good, bad = net.class_boundaries()
    return np.asarray((share < good).astype(np.int64) + (share < bad))


def answer(examples: Examples, rate: Array, others: Array | None) -> Outputs:
    """Outputs as the graph gives them; ``others`` (n, 3) are RTT, loss and jitter or unknown."""
    rest = np.full((len(rate), 3), np.nan, np.float32) if others is None else others
    newest = examples.features[:, -1]
    return {
        "next_throughput_mbps": rate,
        "forecast": np.column_stack([rate, rest]),
        "bandwidth_class": classify(rate, newest[:, 4], newest[:, 5]),
    }


def fit_rivals(train: Examples, validation: Examples, seed: int) -> Mapping[str, Predictor]:
    """Persistence, EWMA, ridge and gradient boosting, by name."""
    alpha = _best_alpha(validation)
    ridge = _fit_ridge(train)
    boosted = _fit_boosting(train, seed)
    return {
        "persistence": lambda e: answer(e, e.features[:, -1, RATE], e.features[:, -1, NEWEST[1:]]),
        "ewma": lambda e: answer(e, ewma(e.features[:, :, RATE], alpha), None),
        "ridge": lambda e: answer(e, _regressed(e, ridge), None),
        "gradient_boosting": lambda e: answer(e, _regressed(e, boosted), None),
    }


def ewma(rates: Array, alpha: float) -> NDArray[np.float32]:
    """Exponentially weighted mean of log throughput over a window (n, w), newest last."""
    steps = rates.shape[1]
    weights = alpha * (1 - alpha) ** np.arange(steps - 1, -1, -1.0)
    weights[0] = (1 - alpha) ** (steps - 1)
    logs = np.log(np.maximum(rates, net.FLOORS[0]))
    return np.exp(logs @ weights).astype(np.float32)


def _best_alpha(validation: Examples) -> float:
    true = validation.targets["forecast"][:, 0]
    rates = validation.features[:, :, RATE]
    errors = {a: np.abs(ewma(rates, a) - true).sum() for a in np.arange(0.2, 1.0, 0.05)}
    return float(min(errors, key=lambda a: errors[a]))


def _lags(examples: Examples) -> NDArray[np.float64]:
    """Log measurements of the window relative to their newest, (n, 5 w + 7).

    With the time of day among the inputs, the sine and cosine of its phase as well.
    """
    x = examples.features.astype(np.float64)
    logs = np.log(np.maximum(x[:, :, [2, 0, 1, 3, 6]], 1e-5))
    anchor = logs[:, -1:, :]
    kinds = np.eye(4)[x[:, -1, 4].astype(int)]
    angle = x[:, -1, len(net.FEATURES) :] * (2 * np.pi / 24)
    day = [np.sin(angle), np.cos(angle)]
    lags = (logs - anchor).reshape(len(x), -1)
    return np.concatenate([lags, anchor[:, 0, 1:4], kinds, *day], axis=1)


def _regressed(examples: Examples, model: Any) -> NDArray[np.float32]:
    """Throughput by a regression of its log residual; lags of all examples would be large."""
    starts = range(0, len(examples), CHUNK)
    lags = (_lags(examples.take(slice(i, i + CHUNK))) for i in starts)
    residual = np.concatenate([model.predict(x) for x in lags])
    newest = np.maximum(examples.features[:, -1, RATE], net.FLOORS[0])
    return np.asarray(newest * np.exp(residual), np.float32)


def _target(examples: Examples) -> NDArray[np.float64]:
    newest = np.maximum(examples.features[:, -1, RATE], net.FLOORS[0])
    return np.asarray(
        np.log(np.maximum(examples.targets["forecast"][:, 0], net.FLOORS[0]) / newest)
    )


def _thin(examples: Examples) -> Examples:
    step = -(-len(examples) // MAX_ROWS)
    return examples.take(np.arange(0, len(examples), step))


def _fit_ridge(train: Examples) -> Any:
    from sklearn.linear_model import RidgeCV

    few = _thin(train)
    return RidgeCV(alphas=np.logspace(-2, 4, 7)).fit(_lags(few), _target(few))


def _fit_boosting(train: Examples, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor

    few = _thin(train)
    model = HistGradientBoostingRegressor(
        loss="absolute_error", max_iter=150, learning_rate=0.08, random_state=seed
    )
    return model.fit(_lags(few), _target(few))
