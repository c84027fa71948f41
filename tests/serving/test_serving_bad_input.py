"""A bad request gets a 4xx and one clear sentence, and the server lives on."""

from __future__ import annotations

import json
import socket
import struct
from contextlib import ExitStack

import numpy as np
import pytest
from small_registry import LINEAR, LINEAR_ROW, RECURRENT, SERIES

INFER, PREDICT = f"/v2/models/{LINEAR}/infer", f"/v1/models/{LINEAR}:predict"


def v2(shape=(1, 3), data=tuple(LINEAR_ROW), name="features", datatype="FP32", **more):
    tensor = {"name": name, "datatype": datatype, "shape": list(shape), "data": list(data), **more}
    return json.dumps({"inputs": [tensor]}).encode()


V1_BODIES = {
    "nothing": (b"", "not JSON"),
    "no object": (b"[1]", "JSON object"),
    "no rows": (b"{}", "instances"),
    "empty batch": (b'{"instances": []}', "shape [0]"),
    "empty row": (b'{"instances": [[]]}', "shape [1, 0]"),
    "ragged": (b'{"instances": [[1, 2, 3], [1, 2]]}', "ragged"),
    "ragged depth": (b'{"instances": [[1, 2, [3]]]}', "list of numbers"),
    "short row": (b'{"instances": [[1, 2]]}', "expected [batch, 3]"),
    "NaN": (b'{"instances": [[1, 2, NaN]]}', "not JSON"),
    "Infinity": (b'{"instances": [[1, 2, Infinity]]}', "not JSON"),
    "1e400": (b'{"instances": [[1, 2, 1e400]]}', ""),
    "beyond float32": (b'{"instances": [[1, 2, 1e39]]}', "beyond FP32"),
    "long integer": (b'{"instances": [[1, 2, ' + b"9" * 400 + b"]]}", ""),
    "string": (b'{"instances": [[1, 2, "3"]]}', "list of numbers"),
    "null": (b'{"instances": [[1, 2, null]]}', "list of numbers"),
    "truth": (b'{"instances": [[1, 2, true]]}', "list of numbers"),
    "object": (b'{"instances": [[1, 2, {}]]}', "list of numbers"),
    "scalar": (b'{"instances": 3}', "list of numbers"),
    "other name": (b'{"instances": [{"feature": [1, 2, 3]}]}', "features"),
    "other column": (b'{"inputs": {"feature": [[1, 2, 3]]}}', "did you mean 'features'"),
    "no columns": (b'{"inputs": {}}', "features"),
    "deep": (b'{"instances": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not JSON"),
    "less deep": (b'{"instances": ' + b"[" * 900 + b"]" * 900 + b"}", "nested too deeply"),
    "bad UTF-8": (b'{"instances": [[1, 2, "\xff\xfe"]]}', "not JSON"),
    "lone surrogate": (b'{"instances": [[1, 2, "\\ud800"]]}', ""),
    "too many rows": (json.dumps({"instances": [LINEAR_ROW] * 1025}).encode(), "1 to 1024"),
    "outside the table": (b'{"instances": [[1, 2, 77]]}', "cannot be computed"),
    "no finite answer": (b'{"instances": [[3e38, 3e38, 2]]}', "no finite answer"),
}
V2_BODIES = {
    "no inputs": (b"{}", "inputs"),
    "inputs no list": (b'{"inputs": {}}', "inputs"),
    "input no object": (b'{"inputs": [1]}', "object"),
    "unknown name": (v2(name="feature"), "did you mean 'features'"),
    "name no string": (v2(name=[1]), "no input"),
    "FP64": (v2(datatype="FP64"), "datatype FP32"),
    "BYTES": (v2(datatype="BYTES", data=["a"]), "datatype FP32"),
    "shape against data": (v2(shape=[2, 3]), "shape [2, 3]"),
    "negative shape": (v2(shape=[-1, 3]), "shape"),
    "shape of truth": (v2(shape=[True, 3]), "shape"),
    "huge shape": (v2(shape=[2**31 - 1] * 8), "shape"),
    "no row": (v2(shape=[0, 3], data=[]), "0 rows"),
    "transposed": (v2(shape=[3, 1]), "expected [batch, 3]"),
    "twice": (json.dumps({"inputs": json.loads(v2())["inputs"] * 2}).encode(), "twice"),
    "id no string": (json.dumps({"id": 3, **json.loads(v2())}).encode(), "id"),
    "parameters": (v2(parameters=[]), "parameters"),
    "binary without bytes": (v2(parameters={"binary_data_size": 12}), "beyond the body"),
    "unknown output": (
        json.dumps({**json.loads(v2()), "outputs": [{"name": "scor"}]}).encode(),
        "did you mean 'score'",
    ),
}


def assert_refused(answer, sentence, status=(400, 422)):
    assert answer.status_code in status, answer.text
    said = answer.json()["error"]
    assert sentence in said
    assert len(said) < 300
    assert "Traceback" not in said
    assert "/" not in said.replace("infer", "")


@pytest.mark.parametrize("case", V1_BODIES)
def test_v1_refuses(server, case):
    body, sentence = V1_BODIES[case]
    assert_refused(server.post(PREDICT, content=body), sentence)


@pytest.mark.parametrize("case", V2_BODIES)
def test_v2_refuses(server, case):
    body, sentence = V2_BODIES[case]
    assert_refused(server.post(INFER, content=body), sentence)


def test_an_empty_batch_does_not_reach_the_operator_that_would_end_the_process(server):
    body = v2(shape=[0, 4, 2], data=[])
    assert_refused(server.post(f"/v2/models/{RECURRENT}/infer", content=body), "0 rows")


def test_a_series_that_is_too_short_is_refused(server):
    body = json.dumps({"instances": [[[1.0], [2.0]]]})
    assert_refused(server.post(f"/v1/models/{SERIES}:predict", content=body), "expected 3 at least")


@pytest.mark.parametrize("bad", [b"", b"x", b"-1", b"9" * 30, b"100000"])
def test_a_wrong_inference_header_is_refused(server, bad):
    head = {"Inference-Header-Content-Length": bad.decode()}
    assert_refused(server.post(INFER, content=v2(), headers=head), "")


@pytest.mark.parametrize("kept", [0, 1, 11])
def test_a_truncated_binary_tensor_is_refused(server, kept):
    raw = np.array(LINEAR_ROW, np.float32).tobytes()[:kept]
    tensor = {"name": "features", "datatype": "FP32", "shape": [1, 3]}
    for said in (12, kept):
        sized = {**tensor, "parameters": {"binary_data_size": said}}
        head = json.dumps({"inputs": [sized]}).encode()
        length = {"Inference-Header-Content-Length": str(len(head))}
        assert_refused(server.post(INFER, content=head + raw, headers=length), "")


def test_not_a_number_in_bytes_is_refused(server):
    raw = struct.pack("<3f", 1, float("nan"), 0)
    tensor = {"name": "features", "datatype": "FP32", "shape": [1, 3]}
    head = json.dumps({"inputs": [{**tensor, "parameters": {"binary_data_size": 12}}]}).encode()
    length = {"Inference-Header-Content-Length": str(len(head))}
    assert_refused(server.post(INFER, content=head + raw, headers=length), "NaN")


@pytest.mark.parametrize(
    ("path", "status"),
    [("/v2/models/linea/infer", 404), ("/v1/models/x:predict", 404), ("/v2/models//infer", 404),
     ("/v2/models/linear/infer/", 404), ("/v2/models/%ff/infer", 404), ("/nowhere", 404)],
)  # fmt: skip
def test_unknown_models_and_routes_are_named(server, path, status):
    assert server.post(path, content=v2()).status_code == status


def test_the_wrong_method_is_refused(server):
    assert server.get(INFER).status_code == 405


def test_a_body_above_the_limit_is_refused_before_it_is_read(server):
    with socket.create_connection(("127.0.0.1", server.port)) as plug:
        plug.sendall(
            f"POST {INFER} HTTP/1.1\r\nhost: x\r\ncontent-length: 36700160\r\n\r\n".encode()
        )
        plug.settimeout(5)
        assert b"413" in plug.recv(4096)


def test_35_mb_are_refused_said_or_in_chunks(server):
    body = b" " * 35 * 2**20
    assert server.post(INFER, content=body).status_code == 413
    chunks = (body[i : i + 2**20] for i in range(0, len(body), 2**20))
    assert server.post(INFER, content=chunks).status_code == 413


def test_a_compressed_body_is_refused(server):
    answer = server.post(INFER, content=v2(), headers={"content-encoding": "gzip"})
    assert answer.status_code == 415


def test_clients_that_never_finish_are_let_go(server):
    begun = [b"", b"POST ", f"POST {INFER} HTTP/1.1\r\ncontent-length: 9\r\n\r\n{{".encode()]
    with ExitStack() as stack:
        plugs = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port))) for _ in begun
        ]
        for plug, said in zip(plugs, begun, strict=True):
            plug.sendall(said)
        for plug, answers in zip(plugs, (b"", b"408", b"408"), strict=True):
            plug.settimeout(15)
            assert answers in b"".join(iter(lambda plug=plug: plug.recv(4096), b""))


def test_an_endless_head_is_refused(server):
    with socket.create_connection(("127.0.0.1", server.port)) as plug:
        plug.settimeout(10)
        plug.sendall(b"GET / HTTP/1.1\r\n")
        said = b""
        try:
            for _ in range(100):
                plug.sendall(b"x-more: " + b"y" * 4000 + b"\r\n")
            said = plug.recv(4096)
        except ConnectionError:
            return
        assert b"431" in said


@pytest.mark.parametrize(
    "junk", [b"\x00" * 100, b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00", b"GET \xff HTTP/1.1\r\n\r\n"]
)
def test_what_is_no_http_ends_only_its_own_connection(server, junk):
    with socket.create_connection(("127.0.0.1", server.port)) as plug:
        plug.settimeout(10)
        plug.sendall(junk)
        assert b" 200 " not in plug.recv(4096)
    assert server.get("/v2/health/ready").status_code == 200
