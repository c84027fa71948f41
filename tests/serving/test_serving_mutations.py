"""Ten thousand mutations of valid requests: never a 5xx, never a crash."""

from __future__ import annotations

import http.client
import json
import struct

import grpc
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_registry import LINEAR, LINEAR_ROW, RECURRENT, REQUESTS

from dwcp_ml.serving.kserve_protobuf import SERVICE, pb

BATCH = 25  # mutations an example
ROWS = np.array(REQUESTS[RECURRENT] * 2, np.float32)
SAID = {"name": "features", "datatype": "FP32", "shape": [2, 4, 2]}
V1 = json.dumps({"instances": [LINEAR_ROW, [5, 0.25, 2]]}).encode()
V2 = json.dumps(
    {"id": "1", "inputs": [{**SAID, "data": ROWS.tolist()}], "outputs": [{"name": "last"}]}
).encode()
HEAD = json.dumps({"inputs": [{**SAID, "parameters": {"binary_data_size": ROWS.nbytes}}]}).encode()
TOKENS = [
    b"null", b"true", b"NaN", b"-Infinity", b"1e400", b"1e39", b"-0", b"[]", b"{}", b"[[[[", b'""',
    b'"\\ud800"', b"\xff", b"\x00", b"-1", b"0", b"99999999999999999999", b'"BYTES"', b'"FP64"',
    b",", b"2147483647", b"3", b":", b'"shape"', b'"parameters"', b'"binary_data_size"',
]  # fmt: skip
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "drop", "insert", "replace", "repeat"]),
        st.floats(0, 1, exclude_max=True),
        st.integers(0, 255),
    ),
    min_size=1,
    max_size=4,
)
FEW = settings(
    max_examples=100, deadline=None, database=None, derandomize=True,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


def mutated(content: bytes, edits) -> bytes:
    """Apply edits; a position is a fraction of the content, so that every edit hits something."""
    for kind, where, what in edits:
        place = int(where * len(content))
        token = TOKENS[what % len(TOKENS)]
        match kind:
            case "flip":
                flipped = bytes([content[place] ^ (1 << what % 8)]) if content else b""
                content = content[:place] + flipped + content[place + 1 :]
            case "cut":
                content = content[:place]
            case "drop":
                content = content[:place] + content[place + 1 + what % 16 :]
            case "insert":
                content = content[:place] + token + content[place:]
            case "replace":
                content = content[:place] + token + content[place + len(token) :]
            case "repeat":
                content = content[:place] + content[place : place + what] * 3 + content[place:]
    return content


@pytest.fixture(scope="module")
def connection(server):
    link = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    yield link
    link.close()


def assert_no_5xx(connection, path, body, headers=None):
    connection.request("POST", path, body, headers or {})
    answer = connection.getresponse()
    said = answer.read()
    assert answer.status in (200, 400, 413, 422), (answer.status, said)
    if answer.status != 200:
        assert set(json.loads(said)) == {"error"}
    elif not headers:
        assert b"null" not in said.lower()


@FEW
@given(st.lists(EDITS, min_size=BATCH, max_size=BATCH))
def test_mutated_v1_bodies(connection, edits):
    for some in edits:
        assert_no_5xx(connection, f"/v1/models/{LINEAR}:predict", mutated(V1, some))


@FEW
@given(st.lists(EDITS, min_size=BATCH, max_size=BATCH))
def test_mutated_v2_bodies(connection, edits):
    for some in edits:
        assert_no_5xx(connection, f"/v2/models/{RECURRENT}/infer", mutated(V2, some))


@FEW
@given(st.lists(st.tuples(EDITS, EDITS, st.integers(-2, 2)), min_size=BATCH, max_size=BATCH))
def test_mutated_binary_tensors(connection, edits):
    for head_edits, tail_edits, off in edits:
        head = mutated(HEAD, head_edits) if off else HEAD
        body = head + mutated(ROWS.tobytes(), tail_edits)
        length = {"inference-header-content-length": str(max(0, len(head) + off))}
        assert_no_5xx(connection, f"/v2/models/{RECURRENT}/infer", body, length)


@FEW
@given(st.lists(EDITS, min_size=BATCH, max_size=BATCH))
def test_mutated_grpc_messages(server, edits):
    request = pb.ModelInferRequest(model_name=LINEAR, id="1")
    request.inputs.add(name="features", datatype="FP32", shape=[1, 3])
    request.raw_input_contents.append(struct.pack("<3f", *LINEAR_ROW))
    content = request.SerializeToString()
    refusals = {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.OUT_OF_RANGE,
    }
    with grpc.insecure_channel(server.grpc) as channel:
        call = channel.unary_unary(f"/{SERVICE}/ModelInfer")
        for some in edits:
            try:
                call(mutated(content, some), timeout=20)
            except grpc.RpcError as error:
                assert error.code() in refusals, error  # noqa: PT017


def test_the_server_is_as_well_as_before(server):
    answer = server.post(f"/v1/models/{LINEAR}:predict", json={"instances": [LINEAR_ROW]})
    assert answer.json() == {"predictions": [{"score": 8.0, "is_high": 0}]}
    assert 'code="500"' in server.get("/metrics").text
    failed = [
        line
        for line in server.get("/metrics").text.splitlines()
        if line.startswith("dwcp_requests_total") and 'code="500"' in line
    ]
    assert all(line.endswith(" 0.0") for line in failed)
