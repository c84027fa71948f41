"""Clients of others work unchanged: KServe's SDK and Triton's, over REST and gRPC."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import numpy as np
import pytest
from small_registry import LINEAR, LINEAR_ROW

ROWS = np.array([LINEAR_ROW, [5, 1, 0]], np.float32)
SCORES, HIGHS = [8.0, 6.0], [0, 0]


@pytest.fixture(scope="module")
def kserve():
    return pytest.importorskip("kserve")


def _request(kserve, *, binary, output_binary=None):
    tensor = kserve.InferInput("features", list(ROWS.shape), "FP32")
    tensor.set_data_from_numpy(ROWS, binary_data=binary)
    outputs = None
    if output_binary is not None:
        outputs = [
            kserve.protocol.infer_type.RequestedOutput(name, {"binary_data": output_binary})
            for name in ("score", "is_high")
        ]
    return kserve.InferRequest(LINEAR, [tensor], request_id="9", request_outputs=outputs)


def _assert_answered(answer):
    assert answer.id == "9"
    assert answer.model_name == LINEAR
    values = {output.name: output.as_numpy() for output in answer.outputs}
    np.testing.assert_array_equal(values["score"], SCORES)
    np.testing.assert_array_equal(values["is_high"], HIGHS)
    assert values["is_high"].dtype == np.int64


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("output_binary", [None, False, True])
def test_kserve_rest_v2(server, kserve, binary, output_binary):
    async def ask():
        client = kserve.InferenceRESTClient(kserve.RESTConfig(protocol="v2"))
        try:
            assert await client.is_server_live(server.url)
            assert await client.is_server_ready(server.url)
            assert await client.is_model_ready(server.url, LINEAR)
            request = _request(kserve, binary=binary, output_binary=output_binary)
            return await client.infer(server.url, request, model_name=LINEAR)
        finally:
            await client.close()

    _assert_answered(asyncio.run(ask()))


def test_kserve_rest_v1(server, kserve):
    async def ask():
        client = kserve.InferenceRESTClient(kserve.RESTConfig(protocol="v1"))
        try:
            assert await client.is_server_live(server.url)
            assert await client.is_model_ready(server.url, LINEAR)
            return await client.infer(server.url, {"instances": ROWS.tolist()}, model_name=LINEAR)
        finally:
            await client.close()

    assert asyncio.run(ask())["predictions"][1] == {"score": 6.0, "is_high": 0}


@pytest.mark.parametrize("binary", [False, True])
def test_kserve_grpc(server, kserve, binary):
    async def ask():
        async with kserve.InferenceGRPCClient(server.grpc) as client:
            assert await client.is_server_live()
            assert await client.is_server_ready()
            assert await client.is_model_ready(LINEAR)
            return await client.infer(_request(kserve, binary=binary))

    _assert_answered(asyncio.run(ask()))


# In a process of its own: Triton's protocol buffers carry the same names as KServe's.
TRITON = """
import sys
import numpy as np
import tritonclient.KIND as triton
client = triton.InferenceServerClient(sys.argv[1])
assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("linear")
assert client.is_model_ready("linear", "v1.0")
client.get_server_metadata()
about = client.get_model_metadata("linear")
assert "features" in str(about)
rows = np.array([[1.5, 2.5, 1.0], [5, 1, 0]], np.float32)
for binary in BINARIES:
    tensor = triton.InferInput("features", [2, 3], "FP32")
    tensor.set_data_from_numpy(rows, **binary)
    outputs = [triton.InferRequestedOutput(name, **binary) for name in ("is_high", "score")]
    for wanted in (None, outputs):
        answer = client.infer("linear", [tensor], outputs=wanted, request_id="9")
        np.testing.assert_array_equal(answer.as_numpy("score"), [8, 6])
        np.testing.assert_array_equal(answer.as_numpy("is_high"), [0, 0])
try:
    wrong = triton.InferInput("features", [2, 4], "FP32")
    wrong.set_data_from_numpy(np.zeros((2, 4), np.float32))
    client.infer("linear", [wrong])
    raise SystemExit("a wrong shape was answered")
except Exception as error:
    assert "expected [batch, 3]" in str(error), error
print("answered")
"""


@pytest.mark.parametrize(
    ("kind", "binaries"),
    [("http", "[{'binary_data': True}, {'binary_data': False}]"), ("grpc", "[{}]")],
)
def test_triton(server, kind, binaries):
    pytest.importorskip("tritonclient")
    script = TRITON.replace("KIND", kind).replace("BINARIES", binaries)
    where = server.grpc if kind == "grpc" else server.url.removeprefix("http://")
    ended = subprocess.run([sys.executable, "-c", script, where], capture_output=True, text=True)
    assert ended.stdout == "answered\n", ended.stderr
