"""Samples of users' requests: true, bounded, never in the way of an answer."""

import os
import signal
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from running_server import running, until
from small_registry import LINEAR, LINEAR_ROW, RECURRENT

from dwcp_ml.serving.samples import WAITING, Sample, SampleLog, SampleOptions, as_table

INFER = f"/v2/models/{LINEAR}/infer"


def body(rows):
    flat = [value for row in rows for value in row]
    return {
        "inputs": [{"name": "features", "shape": [len(rows), 3], "datatype": "FP32", "data": flat}]
    }


def files(folder):
    return sorted(folder.rglob("*.parquet"))


def sample(rows=1, model="m", at=1.0):
    features = np.full((rows, 3), 7, np.float32)
    return Sample(model, "v1.0", "r", at, {"features": features}, {"y": np.ones(rows, np.float32)})


def test_what_users_asked_and_were_answered_is_on_disk_when_the_server_ends(registry, tmp_path):
    kept = tmp_path / "kept"
    with running(
        registry, "--samples", str(kept), "--sample-every", "1", "--drain-s", "0.1"
    ) as one:
        asked = [[1.5 + i, 2.5, float(i % 3)] for i in range(7)]
        answers = [one.post(INFER, json=body([row])).json() for row in asked]
        one.post(INFER, json=body(asked))
        one.post(INFER, json=body([LINEAR_ROW]), headers={"x-dwcp-probe": "1"})
        one.post(INFER, json={"inputs": []})
        assert one.terminate() == 0
    (file,) = files(kept)
    assert file.parent == kept / LINEAR / "v1.0"
    table = pq.read_table(file)
    assert table.num_rows == 14
    np.testing.assert_allclose(np.stack(table["features"].to_numpy()), [*asked, *asked], rtol=1e-6)
    scores = [answer["outputs"][0]["data"][0] for answer in answers]
    np.testing.assert_allclose(table["score"].to_numpy(), [*scores, *scores], rtol=1e-6)
    assert table.schema.metadata[b"features"] == b"3"
    assert set(table["version"].to_pylist()) == {"v1.0"}


def test_one_in_so_many_is_kept_and_counted(registry, tmp_path):
    kept = tmp_path / "kept"
    options = ("--samples", str(kept), "--sample-every", "10", "--sample-flush-s", "0.2")
    with running(registry, *options) as one:
        for _ in range(50):
            one.post(INFER, json=body([LINEAR_ROW]))
        until(lambda: 'dwcp_samples_total{end="written"} 5.0' in one.get("/metrics").text)
        assert sum(pq.read_table(f).num_rows for f in files(kept)) == 5


def test_a_full_disk_loses_samples_and_no_answer(registry, tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(kept)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here: root is needed")
    try:
        (kept / "filler").write_bytes(os.urandom(60 * 1024))
        options = ("--samples", str(kept), "--sample-every", "1", "--sample-flush-s", "0.1")
        with running(registry, *options) as one:
            for _ in range(200):
                assert one.post(INFER, json=body([LINEAR_ROW] * 500)).status_code == 200
            until(lambda: one.logged("samples dropped"))
            assert one.post(INFER, json=body([LINEAR_ROW])).status_code == 200
        assert not list(kept.rglob("*.part"))
    finally:
        subprocess.run(["umount", str(kept)], check=True)


def test_a_killed_server_leaves_whole_files_only(registry, tmp_path):
    kept = tmp_path / "kept"
    options = ("--samples", str(kept), "--sample-every", "1", "--sample-flush-s", "0.05")
    with running(registry, *options) as one:
        until(lambda: (one.post(INFER, json=body([LINEAR_ROW] * 50)), len(files(kept)) > 3)[1])
        one.process.send_signal(signal.SIGKILL)
        one.process.wait()
    assert all(pq.read_table(file).num_rows for file in files(kept))


def test_files_together_stay_below_their_bound(tmp_path):
    log = SampleLog(SampleOptions(str(tmp_path), max_bytes=20_000))
    for number in range(40):
        log.take(sample(100, at=1e9 + number))
        log.flush()
    kept = files(tmp_path)
    assert sum(file.stat().st_size for file in kept) <= 20_000
    assert kept[-1].name.startswith("1000000039.000")
    assert len(kept) > 2


def test_what_the_thread_cannot_take_is_dropped_and_counted(tmp_path):
    log = SampleLog(SampleOptions(str(tmp_path)))
    for _ in range(WAITING + 5):
        log.take(sample(2))
    assert log.dropped == 10
    log.flush()
    assert log.written == 2 * WAITING


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.sampled_from([(), (4,), (3, 2)]))
def test_every_row_comes_back_with_its_shape(rows, shape):
    rng = np.random.default_rng(0)
    inputs = [rng.normal(size=(n, *shape)).astype(np.float32) for n in rows]
    samples = [Sample("m", "v1.0", "r", 1.0, {"x": x}, {"y": np.arange(len(x))}) for x in inputs]
    table = as_table(samples)
    back = np.array(table["x"].to_pylist(), np.float32)
    told = table.schema.metadata[b"x"].decode()
    assert told == ",".join(map(str, shape))
    np.testing.assert_array_equal(back.reshape(sum(rows), *shape), np.concatenate(inputs))


def test_a_folder_that_cannot_be_written_is_refused_at_the_start(registry, tmp_path):
    (tmp_path / "file").write_text("")
    command = [sys.executable, "-c", "from dwcp_ml.cli import main; main()", "serve", str(registry)]
    found = subprocess.run(
        [*command, "--port", "0", "--samples", str(tmp_path / "file" / "x")],
        capture_output=True, text=True,
    )  # fmt: skip
    assert found.returncode == 17
    assert "samples cannot be written to" in found.stderr
    assert "Traceback" not in found.stderr


def test_windows_of_changing_length_keep_their_values(registry, tmp_path):
    kept = tmp_path / "kept"
    with running(
        registry, "--samples", str(kept), "--sample-every", "1", "--drain-s", "0.1"
    ) as one:
        meta = one.get(f"/v2/models/{RECURRENT}").json()["inputs"][0]
        shape = [1, *(7 if size == -1 else size for size in meta["shape"][1:])]
        data = np.linspace(0, 1, int(np.prod(shape))).tolist()
        asked = {
            "inputs": [{"name": meta["name"], "shape": shape, "datatype": "FP32", "data": data}]
        }
        assert one.post(f"/v2/models/{RECURRENT}/infer", json=asked).status_code == 200
        one.terminate()
    (file,) = files(kept)
    np.testing.assert_allclose(pq.read_table(file)[meta["name"]].to_pylist()[0], data, rtol=1e-6)
