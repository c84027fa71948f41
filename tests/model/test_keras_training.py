"""How a network is trained: ends when it diverges, and costs no more than a bare fit."""

import numpy as np
import pytest

from dwcp_ml.errors import TrainingError
from dwcp_ml.export import quiet
from dwcp_ml.models.keras_training import Schedule, train_network
from dwcp_ml.models.log import History

ROWS = np.linspace(-1, 1, 64, dtype=np.float32).reshape(-1, 1)


def line():
    keras = quiet.keras(1)
    return keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])


def trained(schedule):
    log, network, data = History(), line(), (ROWS, 3 * ROWS)
    train_network(network, data, data, "mean_squared_error", schedule, log)
    return network, log.epochs


def test_a_loss_that_is_not_finite_ends_the_training_with_one_sentence():
    network, data, log = line(), (np.full((64, 1), 1e30, np.float32), ROWS), History()
    with pytest.raises(TrainingError, match="epoch 1 ended with loss"):
        train_network(network, data, data, "mean_squared_error", Schedule(50, 16, 1.0, 50), log)
    assert log.epochs == []


def test_the_weights_of_the_best_epoch_are_kept():
    network, noted = trained(Schedule(30, 16, 0.1, 30))
    best = min(one["val_loss"] for one in noted)
    error = float(np.mean((np.asarray(network(ROWS)) - 3 * ROWS) ** 2))
    assert error == pytest.approx(best, rel=1e-3)


def test_no_epoch_waits_for_the_numbers_of_single_batches():
    """Keras reads every batch's loss back as soon as one callback has a hook for batches."""
    keras, given = quiet.keras(), []
    fit = keras.Model.fit

    def hooks(callback):
        own, base = type(callback), keras.callbacks.Callback
        names = ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")
        return [n for n in names if getattr(own, n) is not getattr(base, n)]

    def noted(network, *arrays, **how):
        given.extend(how["callbacks"])
        return fit(network, *arrays, **how)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(keras.Model, "fit", noted)
        trained(Schedule(1, 16, 0.1, 1))
    assert given
    assert [hooks(callback) for callback in given] == [[]] * len(given)
