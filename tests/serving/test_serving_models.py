"""Which models are served: the ones that prove themselves, and always the newest of these."""

from __future__ import annotations

import json
import os
import shutil
from threading import Event, Thread

import httpx
import numpy as np
import pytest
from onnx import TensorProto, helper
from prometheus_client.parser import text_string_to_metric_families
from running_server import running, until
from small_registry import (
    LINEAR,
    LINEAR_ROW,
    RECURRENT,
    SERIES,
    linear,
    move_latest,
    register,
    small_registry,
)

ROWS = {"instances": [LINEAR_ROW]}
PREDICT = f"/v1/models/{LINEAR}:predict"
FAST = ("--reload-s", "0.1", "--drain-s", "0")


def _flip_a_bit(folder):
    content = bytearray((folder / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "model.onnx").write_bytes(content)


def _truncate(folder):
    os.truncate(folder / "model.onnx", 100)


def _change(folder, **changes):
    path = folder / "metadata.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


DAMAGES = {
    "bit-flipped model": (_flip_a_bit, "sha256"),
    "truncated model": (_truncate, "sha256"),
    "no model": (lambda f: (f / "model.onnx").unlink(), "cannot be read"),
    "no metadata": (lambda f: (f / "metadata.json").unlink(), "cannot be read"),
    "metadata no JSON": (lambda f: (f / "metadata.json").write_text("{"), "not JSON"),
    "metadata a list": (lambda f: (f / "metadata.json").write_text("[]"), "another form"),
    "metadata without golden": (lambda f: _change(f, golden=[]), "golden"),
    "metadata of another model": (lambda f: _change(f, name=SERIES), "is of 'series'"),
    "no version": (lambda f: shutil.rmtree(f), "points at no version"),
}


def _external():
    model = linear()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../../etc/passwd")
    return model


def _custom():
    model = linear()
    model.graph.node[-1].domain = "com.example"
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    return model


def _renamed():
    model = linear()
    model.graph.input[0].name = model.graph.node[0].input[0] = model.graph.node[2].input[0] = "x"
    return model


NO_GRAPH = {
    "inputs": [{"name": "features", "dtype": "float32", "shape": ["batch", 3]}],
    "outputs": [{"name": "score", "dtype": "float32", "shape": ["batch"]}],
    "golden": [{"request": {"features": [LINEAR_ROW]}, "response": {"score": [8.0]}}],
}
GRAPHS = {
    "external data": (_external, {}, "in another file"),
    "an operator of another maker": (_custom, {}, "com.example"),
    "a newer opset": (lambda: linear(opset=21), {}, "opset 21"),
    "another signature": (
        _renamed,
        {"inputs": [{"name": "features", "dtype": "float32", "shape": ["batch", 3]}]},
        "not those of metadata.json",
    ),
    "other answers": (
        linear,
        {"golden": [{"request": {"features": [LINEAR_ROW]},
                     "response": {"score": [9.0], "is_high": [0]}}]},
        "another 'score'",
    ),
    "an unanswerable golden request": (
        linear,
        {"golden": [{"request": {"features": []}, "response": {"score": [], "is_high": []}}]},
        "cannot be answered",
    ),
    "no graph": (lambda: b"\x08\x08no graph", NO_GRAPH, "no ONNX graph"),
}  # fmt: skip


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    """One server of a registry with every kind of bad model, and two good ones."""
    root = small_registry(tmp_path_factory.mktemp("damaged"))
    for case, (harm, _) in DAMAGES.items():
        harm(register(root, _slug(case), "v1.0", linear()))
    for case, (build, changes, _) in GRAPHS.items():
        register(root, _slug(case), "v1.0", build(), **changes)
    with running(root, *FAST) as server:
        until(lambda: server.get(f"/v2/models/{SERIES}").status_code == 200)
        yield server


def _slug(case):
    return case.replace(" ", "-")


@pytest.mark.parametrize("case", [*DAMAGES, *GRAPHS])
def test_a_bad_model_stays_not_ready_and_says_why(damaged, case):
    sentence = {**DAMAGES, **GRAPHS}[case][-1]
    name = _slug(case)
    answer = damaged.get(f"/v2/models/{name}")
    assert answer.status_code == 503
    assert sentence in answer.json()["error"]
    assert "/" not in answer.json()["error"]
    assert damaged.post(f"/v1/models/{name}:predict", json=ROWS).status_code == 503
    assert damaged.get(f"/v2/models/{name}/ready").status_code == 503
    (logged,) = [line for line in damaged.logged("model refused") if line["model"] == name]
    assert sentence in logged["why"]


def test_the_good_models_beside_bad_ones_serve(damaged):
    for name in (LINEAR, RECURRENT, SERIES):
        assert damaged.get(f"/v2/models/{name}/ready").status_code == 200
    assert damaged.post(PREDICT, json=ROWS).json()["predictions"][0]["score"] == 8.0
    assert damaged.get("/v2/health/live").status_code == 200
    assert damaged.get("/v2/health/ready").status_code == 503


def test_the_bare_folder_of_one_version_is_served(registry):
    with running(registry / LINEAR / "v1.0", *FAST, "--revision", "linear-00007") as server:
        answer = server.post(PREDICT, json=ROWS)
        assert answer.json()["predictions"][0]["score"] == 8.0
        assert answer.headers["x-model-revision"] == "linear-00007"
        assert server.get("/v1/models").json() == {"models": [LINEAR]}


def test_the_bare_folder_can_be_served_under_another_name(registry):
    with running(registry / LINEAR / "v1.0", *FAST, "--name", "speed") as server:
        assert server.post("/v1/models/speed:predict", json=ROWS).status_code == 200


def test_a_new_version_is_taken_up_without_a_failed_request(registry):
    with running(registry, *FAST) as server:
        stop, seen = Event(), []
        clients = [Thread(target=_ask, args=(server.url, stop, seen)) for _ in range(3)]
        for client in clients:
            client.start()
        try:
            for minor in range(1, 4):
                register(registry, LINEAR, f"v1.{minor}", linear(slope=2.0 + minor))
                until(lambda minor=minor: seen and seen[-1][1] == f"v1.{minor}")
            move_latest(registry / LINEAR, "v1.0")  # back
            until(lambda: seen[-1][1] == "v1.0")
        finally:
            stop.set()
            for client in clients:
                client.join()
        assert {status for status, _, _ in seen} == {200}
        expected = {f"v1.{minor}": 4.0 * (2 + minor) for minor in range(4)}
        assert all(expected[version] == score for _, version, score in seen)


def _ask(url, stop, seen):
    with httpx.Client() as client:
        while not stop.is_set():
            answer = client.post(url + PREDICT, json=ROWS)
            score = answer.json()["predictions"][0]["score"] if answer.is_success else None
            seen.append((answer.status_code, answer.headers.get("x-model-version"), score))


def test_a_bad_new_version_leaves_the_old_one_serving(registry):
    with running(registry, *FAST) as server:
        _flip_a_bit(register(registry, LINEAR, "v1.1", linear(slope=3.0)))
        until(lambda: server.logged("model refused"))
        assert server.logged("model refused")[0]["still_served"] == "v1.0"
        answer = server.post(PREDICT, json=ROWS)
        assert answer.headers["x-model-version"] == "v1.0"
        assert (
            f'dwcp_model_load_failures_total{{model="{LINEAR}"}} 1.0' in server.get("/metrics").text
        )


def test_models_come_and_go_with_their_folders(registry):
    with running(registry, *FAST) as server:
        register(registry, "another", "v1.0", linear())
        until(lambda: server.post("/v1/models/another:predict", json=ROWS).status_code == 200)
        shutil.rmtree(registry / "another")
        until(lambda: server.post("/v1/models/another:predict", json=ROWS).status_code == 404)
        assert server.get("/v2/health/ready").status_code == 200


def test_scores_and_requests_are_counted(registry):
    metadata = json.loads((registry / LINEAR / "v1.0" / "metadata.json").read_text())
    digest = metadata["onnx_sha256"]
    with running(registry, *FAST) as server:
        before = _samples(server.get("/metrics").text)
        for rows in (1, 5):
            server.post(PREDICT, json={"instances": [LINEAR_ROW] * rows})
        server.post(PREDICT, json={"instances": [[1.0]]})
        server.post(PREDICT, json=ROWS, headers={"x-dwcp-probe": "1"})
        server.post("/v1/models/unknown-to-us:predict", json=ROWS)
        after = _samples(server.get("/metrics").text)
    mine = {"model": LINEAR, "version": "v1.0", "revision": digest[:12]}
    other = {"model": "none", "version": "", "revision": ""}

    def value(name, samples=after, **labels):
        return samples[name, frozenset(labels.items())]

    assert value("dwcp_requests_total", before, code="500", **mine) == 0
    assert value("dwcp_requests_total", code="200", **mine) == 3
    assert value("dwcp_requests_total", code="400", **mine) == 1
    assert value("dwcp_rejected_inputs_total", reason="tensor", **mine) == 1
    assert value("dwcp_requests_total", code="404", **other) == 1
    assert value("dwcp_model_score_count", **mine) == 6, "a rollout's probe is no user"
    assert value("dwcp_model_score_sum", **mine) == 48
    assert value("dwcp_model_info", digest=digest, **mine) == 1
    assert value("dwcp_request_seconds_bucket", le="+Inf", **mine) == 4
    assert ("dwcp_request_seconds_bucket", frozenset({**mine, "le": "0.00025"}.items())) in after
    assert value("dwcp_requests_in_flight", **mine) == 0
    assert value("dwcp_model_ready", **mine) == 1
    assert "unknown-to-us" not in str(after)


def _samples(text):
    """(name, labels) -> value of each line of Prometheus' text."""
    families = text_string_to_metric_families(text)
    samples = [sample for family in families for sample in family.samples]
    return {(s.name, frozenset(s.labels.items())): s.value for s in samples}


def test_requests_are_logged_one_in_so_many(registry):
    with running(registry, *FAST, "--log-every", "50") as server:
        with httpx.Client() as client:
            for _ in range(120):
                client.post(server.url + PREDICT, json=ROWS)
        lines = until(lambda: len(server.logged("request")) >= 3 and server.logged("request"))
        assert len(lines) == 3
        assert lines[0] | {"ms": 0, "time": 0} == {
            "time": 0, "level": "info", "message": "request", "sampled_one_in": 50,
            "model": LINEAR, "version": "v1.0", "code": 200, "ms": 0,
        }  # fmt: skip


def test_an_empty_folder_is_alive_but_not_ready(tmp_path):
    with running(tmp_path, *FAST) as server:
        assert server.get("/v2/health/live").status_code == 200
        assert server.get("/v2/health/ready").status_code == 503


def test_the_answers_are_those_of_the_runtime(registry):
    import onnxruntime as ort

    rows = np.random.default_rng(0).normal(size=(64, 4, 2)).astype(np.float32)
    session = ort.InferenceSession((registry / RECURRENT / "v1.0" / "model.onnx").read_bytes())
    with running(registry, *FAST) as server:
        answer = server.post(f"/v1/models/{RECURRENT}:predict", json={"instances": rows.tolist()})
    got = np.array(answer.json()["predictions"], np.float32)
    np.testing.assert_allclose(got, session.run(None, {"features": rows})[0], rtol=1e-6)
