"""The revision of the data is named only where dvc.lock knows the whole way to the ONNX file."""

import copy
import hashlib

import pytest
import small
import yaml

from dwcp_ml.tracking.revision import data_revision, revision_of

ONNX = "artifacts/toy/model.onnx"
RAW, SPLITS = "1f.dir", "2e.dir"
LOCK = {
    "stages": {
        "split": {
            "deps": [{"path": "data/raw", "md5": RAW}],
            "outs": [{"path": "data/splits", "md5": SPLITS}],
        },
        "export@toy": {
            "deps": [{"path": "data/splits", "md5": SPLITS}],
            "outs": [{"path": ONNX, "md5": hashlib.md5(b"graph").hexdigest()}],  # noqa: S324
        },
    }
}


@pytest.fixture
def revision(tmp_path):
    onnx = tmp_path / ONNX
    onnx.parent.mkdir(parents=True)
    onnx.write_bytes(b"graph")

    def of(lock):
        (tmp_path / "dvc.lock").write_text(lock if isinstance(lock, str) else yaml.safe_dump(lock))
        return revision_of(onnx, tmp_path / "dvc.lock")

    return of


def changed(stage, side, md5):
    lock = copy.deepcopy(LOCK)
    lock["stages"][stage][side][0]["md5"] = md5
    return lock


def test_it_is_the_md5_that_a_data_uri_takes(revision):
    assert revision(LOCK) == "md5:1f"


@pytest.mark.parametrize(
    "lock",
    [
        changed("export@toy", "outs", "other file"),
        changed("export@toy", "deps", "older splits"),
        changed("split", "outs", "newer splits"),
        {"stages": {"split": LOCK["stages"]["split"]}},
        {},
        "not: [yaml",
        "",
    ],
)
def test_a_broken_link_names_nothing(revision, lock):
    assert revision(lock) is None


def test_no_lock_names_nothing(tmp_path):
    assert revision_of(tmp_path / "model.onnx", tmp_path / "dvc.lock") is None


def test_models_of_one_run_have_one_revision(revision, tmp_path):
    assert revision(LOCK) == "md5:1f"
    lock, artifacts = tmp_path / "dvc.lock", tmp_path / "artifacts"
    assert data_revision(artifacts, ["toy"], lock) == "md5:1f"
    assert data_revision(artifacts, ["toy", "made by hand"], lock) is None


def test_a_version_names_the_revision_that_it_was_made_of(dwcp, desk):
    onnx = f"artifacts/{small.NAME}/model.onnx"
    lock = copy.deepcopy(LOCK)
    stage = lock["stages"][f"export@{small.NAME}"] = lock["stages"].pop("export@toy")
    md5 = hashlib.md5((desk / onnx).read_bytes()).hexdigest()  # noqa: S324
    stage["outs"] = [{"path": onnx, "md5": md5}]
    (desk / "dvc.lock").write_text(yaml.safe_dump(lock))
    dwcp("register")
    assert "data revision md5:1f" in dwcp("models", "lineage", small.NAME)
