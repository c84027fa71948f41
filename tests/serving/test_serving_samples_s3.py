"""Samples on S3: whole objects of every server, and no answer that waits for the store."""

import socket
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from running_server import running, until
from small_registry import LINEAR, LINEAR_ROW

from dwcp_ml.errors import StorageError
from dwcp_ml.serving.sample_places import Folder, sample_place

sys.path.append(str(Path(__file__).parents[1] / "pipeline" / "kubeflow"))
from s3_server import MISSING, program, s3_server

INFER = f"/v2/models/{LINEAR}/infer"
BODY = {"inputs": [{"name": "features", "shape": [1, 3], "datatype": "FP32", "data": LINEAR_ROW}]}
EVERY = ("--sample-every", "1", "--sample-flush-s", "0.1", "--drain-s", "0.1")
real_store = pytest.mark.skipif(program() is None, reason=MISSING)


def use(monkeypatch, environment):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


@real_store
def test_what_two_servers_were_asked_lies_on_s3_by_model_and_version(
    registry, tmp_path, monkeypatch
):
    with s3_server(tmp_path / "store", "kept") as environment:
        use(monkeypatch, environment)
        for _ in range(2):
            with running(registry, "--samples", "s3://kept/deep/samples", *EVERY) as one:
                answer = one.post(INFER, json=BODY).json()
                until(lambda: 'dwcp_samples_total{end="written"} 1.0' in one.get("/metrics").text)
                assert one.terminate() == 0
    found = sorted((tmp_path / "store/kept").rglob("*.parquet"))
    assert len(found) == 2
    for file in found:
        assert file.parent == tmp_path / "store/kept/deep/samples" / LINEAR / "v1.0"
        assert socket.gethostname() in file.name
        table = pq.read_table(file)
        assert table["score"].to_pylist() == pytest.approx(answer["outputs"][0]["data"])


@real_store
def test_what_waits_when_a_server_is_told_to_end_is_written_first(registry, tmp_path, monkeypatch):
    with s3_server(tmp_path / "store", "kept") as environment:
        use(monkeypatch, environment)
        long = ("--sample-every", "1", "--drain-s", "0.1")
        with running(registry, "--samples", "s3://kept", *long) as one:
            for _ in range(3):
                one.post(INFER, json=BODY)
            assert one.terminate() == 0
    (file,) = (tmp_path / "store/kept").rglob("*.parquet")
    assert pq.read_table(file).num_rows == 3


@real_store
def test_a_bucket_that_is_not_there_loses_samples_and_no_answer(registry, tmp_path, monkeypatch):
    with s3_server(tmp_path / "store", "kept") as environment:
        use(monkeypatch, environment)
        with running(registry, "--samples", "s3://absent/samples", *EVERY) as one:
            assert one.post(INFER, json=BODY).status_code == 200
            (line,) = until(lambda: one.logged("samples dropped"))
            assert "absent" in line["why"]
            assert one.post(INFER, json=BODY).status_code == 200
    assert not (tmp_path / "store/absent").exists()


def test_a_store_that_is_down_stops_no_server(registry, monkeypatch):
    use(monkeypatch, {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"})
    use(monkeypatch, {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_REGION": "us-east-1"})
    with running(registry, "--samples", "s3://kept", *EVERY) as one:
        assert one.post(INFER, json=BODY).status_code == 200
        until(lambda: one.logged("samples dropped"))
        assert 'end="dropped"} 1.0' in one.get("/metrics").text
        assert one.post(INFER, json=BODY).status_code == 200


def test_an_address_without_a_bucket_is_refused_at_the_start(tmp_path):
    with pytest.raises(StorageError, match="write s3://BUCKET/PREFIX"):
        sample_place("s3:///samples", 1).check()
    assert sample_place(str(tmp_path), 1) == Folder(tmp_path, 1)
