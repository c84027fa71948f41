"""What is asked in KServe's protocols is answered in KServe's protocols."""

from __future__ import annotations

import json

import grpc
import numpy as np
import pytest
from small_registry import LINEAR, LINEAR_ROW, NAMES, REQUESTS, SERIES

from dwcp_ml.serving.kserve_protobuf import SERVICE, pb

INFER, PREDICT = f"/v2/models/{LINEAR}/infer", f"/v1/models/{LINEAR}:predict"


def tensor(rows, **more):
    array = np.array(rows, np.float32)
    return {"name": "features", "datatype": "FP32", "shape": list(array.shape), **more}


def values(answer):
    return {output["name"]: output["data"] for output in answer.json()["outputs"]}


def test_v1_answers_rows_by_rows(server):
    answer = server.post(PREDICT, json={"instances": [LINEAR_ROW, [5, 5, 0]]})
    assert answer.json() == {
        "predictions": [{"score": 8.0, "is_high": 0}, {"score": 10.0, "is_high": 0}]
    }


def test_v1_takes_rows_by_input_name_and_columns(server):
    by_name = server.post(PREDICT, json={"instances": [{"features": LINEAR_ROW}]})
    assert by_name.json()["predictions"] == [{"score": 8.0, "is_high": 0}]
    for columns in ({"features": [LINEAR_ROW]}, [LINEAR_ROW]):
        answer = server.post(PREDICT, json={"inputs": columns})
        assert answer.json() == {"outputs": {"score": [8.0], "is_high": [0]}}


def test_v1_answers_bare_values_where_a_model_has_one_output(server):
    answer = server.post(f"/v1/models/{SERIES}:predict", json={"instances": REQUESTS[SERIES]})
    assert answer.json() == {"predictions": [2.5]}


@pytest.mark.parametrize("data", [LINEAR_ROW, [LINEAR_ROW]])
def test_v2_takes_flat_and_nested_data(server, data):
    answer = server.post(INFER, json={"id": "a", "inputs": [tensor([LINEAR_ROW], data=data)]})
    assert answer.json()["id"] == "a"
    assert values(answer) == {"score": [8.0], "is_high": [0]}
    assert [o["datatype"] for o in answer.json()["outputs"]] == ["FP32", "INT64"]


def test_v2_answers_without_an_id_get_one(server):
    answer = server.post(INFER, json={"inputs": [tensor([LINEAR_ROW], data=LINEAR_ROW)]})
    assert answer.json()["id"]


def test_v2_answers_only_the_outputs_asked_for(server):
    asked = {"inputs": [tensor([LINEAR_ROW], data=LINEAR_ROW)], "outputs": [{"name": "is_high"}]}
    assert values(server.post(INFER, json=asked)) == {"is_high": [0]}


def test_v2_takes_and_gives_bytes(server):
    rows = np.array([LINEAR_ROW] * 7, np.float32)
    sized = tensor(rows, parameters={"binary_data_size": rows.nbytes})
    wanted = [{"name": "score", "parameters": {"binary_data": True}}, {"name": "is_high"}]
    head = json.dumps({"inputs": [sized], "outputs": wanted}).encode()
    answer = server.post(
        INFER,
        content=head + rows.tobytes(),
        headers={"Inference-Header-Content-Length": str(len(head))},
    )
    length = int(answer.headers["inference-header-content-length"])
    outputs = json.loads(answer.content[:length])["outputs"]
    assert outputs[0]["parameters"] == {"binary_data_size": 28}
    np.testing.assert_array_equal(np.frombuffer(answer.content[length:], np.float32), [8.0] * 7)
    assert outputs[1]["data"] == [0] * 7


def test_every_answer_says_which_version_gave_it(server):
    answer = server.post(PREDICT, json={"instances": [LINEAR_ROW]})
    assert answer.headers["x-model-version"] == "v1.0"
    assert len(answer.headers["x-model-revision"]) == 12


@pytest.mark.parametrize("version", ["v1.0", "1.0"])
def test_a_version_can_be_asked_for(server, version):
    asked = {"inputs": [tensor([LINEAR_ROW], data=LINEAR_ROW)]}
    path = f"/v2/models/{LINEAR}/versions/{version}"
    assert values(server.post(f"{path}/infer", json=asked))["score"] == [8.0]
    assert server.get(f"{path}/ready").json() == {"name": LINEAR, "ready": True}
    assert server.post(f"/v2/models/{LINEAR}/versions/2.0/infer", json=asked).status_code == 404


def test_metadata_and_health_of_server_and_models(server):
    assert server.get("/").json() == {"status": "alive"}
    assert server.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    assert server.get("/v2/health/live").json() == {"live": True}
    assert server.get("/v2/health/ready").json() == {"ready": True}
    assert server.get("/v1/models").json() == {"models": sorted(NAMES)}
    about = server.get(f"/v2/models/{SERIES}").json()
    assert about["versions"] == ["v1.0"]
    assert about["inputs"] == [{"name": "features", "datatype": "FP32", "shape": [-1, -1, 1]}]
    status = server.get(f"/v1/models/{LINEAR}").json()
    assert status["ready"]
    assert status["model_version_status"][0]["state"] == "AVAILABLE"


def test_grpc_answers_bytes_by_bytes_and_contents_by_contents(server):
    raw = pb.ModelInferRequest(model_name=LINEAR, id="7")
    raw.inputs.add(name="features", datatype="FP32", shape=[1, 3])
    typed = pb.ModelInferRequest()
    typed.CopyFrom(raw)
    raw.raw_input_contents.append(np.array(LINEAR_ROW, np.float32).tobytes())
    typed.inputs[0].contents.fp32_contents.extend(LINEAR_ROW)
    with grpc.insecure_channel(server.grpc) as channel:
        call = channel.unary_unary(
            f"/{SERVICE}/ModelInfer",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=pb.ModelInferResponse.FromString,
        )
        answer, about = call.with_call(raw)
        assert np.frombuffer(answer.raw_output_contents[0], np.float32) == [8.0]
        assert np.frombuffer(answer.raw_output_contents[1], np.int64) == [0]
        assert (answer.id, answer.model_version) == ("7", "v1.0")
        assert dict(about.trailing_metadata())["x-model-version"] == "v1.0"
        answer = call(typed)
        assert list(answer.outputs[0].contents.fp32_contents) == [8.0]
        assert list(answer.outputs[1].contents.int64_contents) == [0]


@pytest.mark.parametrize(
    "path",
    ["/docs", "/openapi.json", "/v2/repository/index", f"/v2/repository/models/{LINEAR}/unload"],
)
def test_there_are_no_admin_and_docs_routes(server, path):
    assert server.get(path).status_code == 404
    assert server.post(path, json={}).status_code == 404
    assert server.get(f"/v2/models/{LINEAR}").status_code == 200
