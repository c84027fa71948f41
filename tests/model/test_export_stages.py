"""The generic training and export stages, on a small real model with real files."""

import json
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import IsolationForest

from dwcp_ml.errors import ExportError, MissingColumnError, TrainingError, UnreadableFileError
from dwcp_ml.export import quiet
from dwcp_ml.export.keras_graph import Serving
from dwcp_ml.export.native import load_sklearn, save_sklearn
from dwcp_ml.export.session import open_session, score
from dwcp_ml.export.trees import from_isolation_forest
from dwcp_ml.models.base import Examples, ModelParams, Tensor
from dwcp_ml.models.export import export_model
from dwcp_ml.models.log import History, TensorBoardLog
from dwcp_ml.models.train import train_model

FEATURES = ("uptime_pct", "failure_rate", "packet_loss", "link_type")
REVISIONS = {"git_commit": "abc", "dvc_revision": None}


class ForestParams(ModelParams):
    trees: int = 10


@dataclass(frozen=True)
class Forest:
    """An isolation forest on four columns; ``losses`` are what its fit reports."""

    losses: tuple = (0.5, 0.4)
    threshold: float = 0.6
    name = "forest"
    title = "Forest"
    params_type = ForestParams
    key_columns = ("failure_rate",)
    label_column = "is_anomaly"
    inputs = (Tensor("features", "float32", (None, 4), "see features", FEATURES),)
    outputs = (
        Tensor("anomaly_score", "float32", (None,), "1"),
        Tensor("is_anomaly", "int64", (None,), "bool"),
    )

    def span(self, params):
        return 1, 0

    def examples(self, part, params):
        frame = pd.read_parquet(part.telemetry)
        rows = frame[list(FEATURES)].to_numpy(np.float32)
        zeros = np.zeros(len(rows), np.int64)
        return Examples(rows, {"is_anomaly": zeros}, zeros, zeros)

    def fit(self, train, validation, params, log):
        for number, loss in enumerate(self.losses, 1):
            log.epoch(number, len(self.losses), {"loss": loss})
        forest = IsolationForest(n_estimators=params.trees, random_state=params.seed)
        return forest.fit(train.features)

    def save(self, fitted, folder):
        save_sklearn(fitted, folder / "forest.skops")

    def load(self, folder):
        return load_sklearn(folder / "forest.skops")

    def predict(self, fitted, features):
        anomaly = -fitted.score_samples(features)
        return {"anomaly_score": anomaly, "is_anomaly": (anomaly > 0.6).astype(np.int64)}

    def graph(self, fitted):
        return from_isolation_forest(fitted, self.threshold)

    def facts(self, fitted):
        return {"threshold": np.float32(0.6), "scaler": None, "trees": len(fitted.estimators_)}


def write_split(folder, rows=400, **about):
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("train", "validation", "test"):
        columns = {name: rng.normal(size=rows).astype(np.float32) for name in FEATURES}
        pd.DataFrame(columns).to_parquet(folder / f"{part}.parquet")
    known = {"source": "ingest", "step_s": 60, "absent_columns": [], "missing_labels": []}
    (folder / "split.json").write_text(json.dumps(known | about))
    (folder / "labeled_incidents.json").write_text("[]")
    return folder


@pytest.fixture
def splits(tmp_path):
    return write_split(tmp_path / "splits")


def run(model, splits, out):
    record = train_model(model, splits, ForestParams(), out, History(), "2025-01-01")
    return record, export_model(model, out, splits, ForestParams(), REVISIONS)


def test_two_runs_write_the_same_bytes_but_for_the_time(splits, tmp_path):
    for out in ("a", "b"):
        run(Forest(), splits, tmp_path / out)
    for file in ("native/forest.skops", "model.onnx", "metadata.json"):
        assert (tmp_path / "a/forest" / file).read_bytes() == (
            tmp_path / "b/forest" / file
        ).read_bytes(), file
    one, two = (json.loads((tmp_path / x / "forest/history.json").read_text()) for x in "ab")
    one.pop("training_time_seconds")
    two.pop("training_time_seconds")
    assert one == two
    assert one["rows"] == {"train": 400, "validation": 400}
    assert one["epochs"] == [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.4}]
    assert one["training_date"] == "2025-01-01"


def test_metadata_describes_the_file_beside_it(splits, tmp_path):
    _, record = run(Forest(), splits, tmp_path / "out")
    folder = tmp_path / "out/forest"
    assert json.loads((folder / "metadata.json").read_text()) == record
    content = (folder / "model.onnx").read_bytes()
    assert record["onnx_bytes"] == len(content)
    assert record["inputs"][0]["shape"] == ["batch", 4]
    assert record["inputs"][0]["codes"] == {"link_type": {"dc": 0, "metro": 1, "wan": 2, "edge": 3}}
    assert record["threshold"] == 0.6
    assert record["opset"] == {"ai.onnx": 17, "ai.onnx.ml": 3}
    assert record["data"]["source"] == "ingest"
    assert max(record["parity"]["worst_tolerated"].values()) <= 1
    session = open_session(content)
    assert len(record["golden"]) == 3
    for pair in record["golden"]:
        answer = score(session, np.array(pair["request"]["features"], np.float32))
        for name, expected in pair["response"].items():
            np.testing.assert_array_equal(answer[name], np.array(expected, answer[name].dtype))


def test_training_again_leaves_no_stale_graph(splits, tmp_path):
    run(Forest(), splits, tmp_path)
    train_model(Forest(), splits, ForestParams(), tmp_path, History())
    left = sorted(path.name for path in (tmp_path / "forest").iterdir())
    assert left == ["history.json", "native"]


@pytest.mark.parametrize(
    ("about", "column"),
    [
        ({"absent_columns": ["failure_rate"]}, "failure_rate"),
        ({"missing_labels": ["is_anomaly"]}, "is_anomaly"),
    ],
)
def test_a_missing_key_column_or_label_is_named_with_the_way_out(tmp_path, about, column):
    splits = write_split(tmp_path / "splits", **about)
    with pytest.raises(MissingColumnError, match=rf"{column}.*'models:' in params.yaml"):
        run(Forest(), splits, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("losses", "sentence"),
    [((0.5, float("nan")), "epoch 2 ended with loss = nan"), ((0.5, 0.6, 0.7), "did not fall")],
)
def test_training_that_goes_wrong_writes_nothing(splits, tmp_path, losses, sentence):
    with pytest.raises(TrainingError, match=sentence):
        run(Forest(losses=losses), splits, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_no_examples_are_refused(tmp_path):
    splits = write_split(tmp_path / "splits", rows=0)
    with pytest.raises(TrainingError, match="no example in the train part"):
        run(Forest(), splits, tmp_path / "out")


def test_a_graph_that_decides_another_way_is_not_written(splits, tmp_path):
    with pytest.raises(ExportError, match="'is_anomaly' differs"):
        run(Forest(threshold=0.4), splits, tmp_path)
    assert not (tmp_path / "forest/model.onnx").exists()


def test_export_without_training_and_training_without_split_say_what_to_run(splits, tmp_path):
    with pytest.raises(UnreadableFileError, match="run 'dwcp train forest'"):
        export_model(Forest(), tmp_path / "none", splits, ForestParams(), REVISIONS)
    with pytest.raises(UnreadableFileError, match="run 'dwcp split'"):
        train_model(Forest(), tmp_path / "none", ForestParams(), tmp_path, History())


def test_epochs_reach_listeners_and_tensorboard(tmp_path):
    seen = []
    listener = SimpleNamespace(epoch=lambda *values: seen.append(values))
    History(listener, TensorBoardLog(tmp_path)).epoch(1, 3, {"loss": 0.25})
    assert seen == [(1, 3, {"loss": 0.25})]
    assert b"loss" in next(tmp_path.glob("events*")).read_bytes()


class Served(Forest):
    """Offers a TensorFlow function as well, as the Keras models do."""

    def serving(self, fitted):
        keras = quiet.keras(42)
        network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        return Serving(lambda rows: {"answer": network(rows)}, {"features": (None, 4)}, network)


@pytest.mark.parametrize(("model", "written"), [(Forest(), False), (Served(), True)])
def test_a_saved_model_is_written_for_a_model_that_offers_one(splits, tmp_path, model, written):
    train_model(model, splits, ForestParams(), tmp_path, History())
    record = export_model(model, tmp_path, splits, ForestParams(), REVISIONS, saved_model=True)
    assert ("saved_model" in record["formats"]) is written
    assert (tmp_path / "forest/saved_model/saved_model.pb").exists() is written
