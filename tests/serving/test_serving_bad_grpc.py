"""A bad call gets gRPC's code for it, and the server lives on."""

from __future__ import annotations

import struct

import grpc
import pytest
from small_registry import LINEAR, LINEAR_ROW

from dwcp_ml.serving.kserve_protobuf import SERVICE, pb


@pytest.fixture
def call(server):
    with grpc.insecure_channel(server.grpc) as channel:
        yield channel.unary_unary(f"/{SERVICE}/ModelInfer")


VALID = struct.pack("<3f", *LINEAR_ROW)


def infer_request(raw=VALID, shape=(1, 3), name=LINEAR, **more):
    request = pb.ModelInferRequest(model_name=name)
    tensor = {"name": "features", "datatype": "FP32", **more}
    request.inputs.add(shape=shape, **tensor)
    if raw is not None:
        request.raw_input_contents.append(raw)
    return request


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (infer_request(raw=b"\0" * 11), "INVALID_ARGUMENT"),
        (infer_request(raw=b""), "INVALID_ARGUMENT"),
        (infer_request(raw=None), "INVALID_ARGUMENT"),
        (infer_request(shape=(-1, 3)), "INVALID_ARGUMENT"),
        (infer_request(shape=(0, 3), raw=b""), "INVALID_ARGUMENT"),
        (infer_request(raw=struct.pack("<3f", 1, 2, float("inf"))), "INVALID_ARGUMENT"),
        (infer_request(raw=struct.pack("<3f", 1, 2, 50)), "OUT_OF_RANGE"),
        (infer_request(datatype="FP64"), "INVALID_ARGUMENT"),
        (infer_request(name="linea"), "NOT_FOUND"),
        (pb.ModelInferRequest(model_name=LINEAR), "INVALID_ARGUMENT"),
    ],
)
def test_grpc_refuses(call, request_, code):
    with pytest.raises(grpc.RpcError) as refusal:
        call(request_.SerializeToString())
    assert refusal.value.code() is grpc.StatusCode[code]


def test_grpc_refuses_what_is_no_message_and_what_is_too_large(call):
    with pytest.raises(grpc.RpcError) as refusal:
        call(b"\xff\xff\xff")
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    with pytest.raises(grpc.RpcError) as refusal:
        call(infer_request(raw=b"\0" * 5 * 2**20).SerializeToString())
    assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_loading_and_unloading_are_not_offered(server):
    request = pb.RepositoryModelUnloadRequest(model_name=LINEAR).SerializeToString()
    with grpc.insecure_channel(server.grpc) as channel:
        with pytest.raises(grpc.RpcError) as refusal:
            channel.unary_unary(f"/{SERVICE}/RepositoryModelUnload")(request)
    assert refusal.value.code() is grpc.StatusCode.UNIMPLEMENTED
