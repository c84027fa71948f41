"""Native models on disk: they come back the same, and nothing else is loaded."""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest
from sklearn.linear_model import LogisticRegression

from dwcp_ml.errors import UnreadableFileError
from dwcp_ml.export import quiet
from dwcp_ml.export.native import load_keras, load_sklearn, save_keras, save_sklearn

ROWS = np.random.default_rng(0).normal(size=(500, 6)).astype(np.float32)
LABEL = (ROWS[:, 0] > 1).astype(int)


def own_loss(true, answer):
    return (true - answer) ** 2


@pytest.mark.parametrize(
    ("estimator", "answer"),
    [
        (IsolationForest(n_estimators=10, random_state=42), "score_samples"),
        (HistGradientBoostingClassifier(max_iter=10, random_state=42), "predict_proba"),
        (LogisticRegression(), "predict_proba"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_estimators_come_back_the_same_and_bytes_do_not_depend_on_addresses(
    estimator, answer, tmp_path
):
    fitted = estimator.fit(ROWS, LABEL)
    save_sklearn(fitted, tmp_path / "a.skops")
    again = load_sklearn(tmp_path / "a.skops")
    np.testing.assert_array_equal(getattr(again, answer)(ROWS), getattr(fitted, answer)(ROWS))
    twin = type(estimator)(**estimator.get_params()).fit(ROWS, LABEL)
    save_sklearn(twin, tmp_path / "b.skops")
    assert (tmp_path / "a.skops").read_bytes() == (tmp_path / "b.skops").read_bytes()


def test_a_type_that_is_not_listed_is_refused(tmp_path):
    import zipfile

    from skops.io import dump

    dump(zipfile.ZipFile, tmp_path / "strange.skops")
    with pytest.raises(UnreadableFileError, match="is not a model"):
        load_sklearn(tmp_path / "strange.skops")
    (tmp_path / "torn.skops").write_bytes(b"PK no zip")
    with pytest.raises(UnreadableFileError):
        load_sklearn(tmp_path / "torn.skops")


def test_trained_networks_come_back_the_same_with_the_same_bytes(tmp_path):
    files = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        keras = quiet.keras(42)
        layers = [keras.Input((10, 7)), keras.layers.LSTM(8), keras.layers.Dense(4)]
        network = keras.Sequential(layers)
        network.compile("adam", own_loss)
        rows = ROWS.ravel()[:420].reshape(6, 10, 7)
        network.fit(rows, rows[:, 0, :4], verbose=0)
        save_keras(network, folder)
        files.append([path.read_bytes() for path in sorted(folder.iterdir())])
        again = load_keras(folder)
        np.testing.assert_array_equal(again.predict(rows, verbose=0), network(rows).numpy())
    assert files[0] == files[1]
    assert b"optimizer" not in files[0][1]
    with pytest.raises(UnreadableFileError, match="no readable network"):
        load_keras(tmp_path)
