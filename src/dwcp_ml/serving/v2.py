"""KServe V2 (the Open Inference Protocol) over REST: JSON tensors and the binary extension."""

from __future__ import annotations

import secrets
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import orjson

from dwcp_ml.errors import nearest
from dwcp_ml.serving.answers import BINARY, Answer, parsed, to_json
from dwcp_ml.serving.refusals import Refusal, WrongTensorError
from dwcp_ml.serving.tensors import checked, from_bytes, from_json, shape_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dwcp_ml.serving.model import ServedModel
    from dwcp_ml.serving.tensors import Array

Wanted = list[tuple[int, bool]]  # position of an output, whether it is sent as bytes


def infer(
    model: ServedModel, body: bytes, json_length: int | None, *, counted: bool = True
) -> Answer:
    """Answer an ``infer`` request.

    Args:
        model: that is asked.
        body: JSON, followed by the tensors that say ``binary_data_size``.
        json_length: value of Inference-Header-Content-Length, None where there is no such header.
        counted: whether the scores enter the metrics.

    Raises:
        Refusal: the body is not such a request, or its values are refused.
    """
    if json_length is None:
        request, binary = parsed(body), memoryview(b"")
    else:
        if not 0 <= json_length <= len(body):
            raise Refusal("Inference-Header-Content-Length is beyond the body")
        whole = memoryview(body)
        request, binary = parsed(whole[:json_length]), whole[json_length:]
    wanted = _wanted(model, request)
    identity = request.get("id")
    if identity is not None and type(identity) is not str:
        raise Refusal("id must be a string")
    outputs = model.run(_feeds(model, request, binary), counted=counted)
    return _encoded(model, identity or secrets.token_hex(8), outputs, wanted)


def server_described() -> dict[str, Any]:
    """The server's metadata."""
    return {"name": "dwcp", "version": version("dwcp-ml"), "extensions": ["binary_tensor_data"]}


def described(model: ServedModel) -> dict[str, Any]:
    """The model's metadata."""
    return {
        "name": model.name,
        "versions": [model.version],
        "platform": "onnxruntime_onnx",
        "inputs": [spec.described() for spec in model.manifest.inputs],
        "outputs": [spec.described() for spec in model.manifest.outputs],
    }


def wanted_outputs(model: ServedModel, names: Sequence[object]) -> list[int]:
    """Positions of the outputs a request names, of all if it names none."""
    known = model.output_names
    if not names:
        return list(range(len(known)))
    for name in names:
        if name not in known:
            hint = nearest(name[:100], known) if isinstance(name, str) else ""
            raise WrongTensorError(
                f"no output of that name{hint or '; outputs are ' + ', '.join(known)}"
            )
    return [known.index(str(name)) for name in names]


def _feeds(model: ServedModel, request: dict[str, Any], binary: memoryview) -> dict[str, Array]:
    inputs = request.get("inputs")
    if type(inputs) is not list or not inputs:
        raise Refusal("inputs must be a list with each of the model's inputs")
    feeds: dict[str, Array] = {}
    for given in inputs:
        if type(given) is not dict:
            raise Refusal("each of inputs must be an object")
        spec = model.input(given.get("name"))
        if given.get("datatype") != spec.datatype:
            raise WrongTensorError(f"'{spec.name}' needs datatype {spec.datatype}")
        if spec.name in feeds:
            raise WrongTensorError(f"'{spec.name}' is given twice")
        shape = shape_of(given.get("shape"), spec.name)
        size = _parameters(given).get("binary_data_size")
        if size is None:
            array = from_json(given.get("data"), spec, shape)
        elif type(size) is not int or not 0 <= size <= len(binary):
            raise WrongTensorError(f"binary_data_size of '{spec.name}' is beyond the body")
        else:
            array, binary = from_bytes(binary[:size], spec, shape), binary[size:]
        feeds[spec.name] = checked(array, spec, model.max_rows)
    if binary:
        raise WrongTensorError(f"{len(binary)} bytes follow the last tensor")
    return feeds


def _parameters(given: dict[str, Any]) -> dict[str, Any]:
    parameters = given.get("parameters")
    if parameters is None:
        return {}
    if type(parameters) is not dict:
        raise Refusal("parameters must be an object")
    return parameters


def _wanted(model: ServedModel, request: dict[str, Any]) -> Wanted:
    usual = _parameters(request).get("binary_data_output") is True
    asked = request.get("outputs")
    if asked is None:
        return [(i, usual) for i in range(len(model.output_names))]
    if type(asked) is not list or any(type(output) is not dict for output in asked):
        raise Refusal("outputs must be a list of objects")
    places = wanted_outputs(model, [output.get("name") for output in asked])
    as_bytes = [_parameters(output).get("binary_data", usual) is True for output in asked]
    return list(zip(places, as_bytes or [usual] * len(places), strict=True))


def _encoded(model: ServedModel, identity: str, outputs: list[Array], wanted: Wanted) -> Answer:
    head: list[dict[str, Any]] = []
    tail: list[bytes] = []
    for place, as_bytes in wanted:
        spec, array = model.manifest.outputs[place], outputs[place]
        tensor: dict[str, Any] = {
            "name": spec.name,
            "datatype": spec.datatype,
            "shape": array.shape,
        }
        if as_bytes:
            tail.append(array.tobytes())
            tensor["parameters"] = {"binary_data_size": len(tail[-1])}
        else:
            tensor["data"] = array.reshape(-1)
        head.append(tensor)
    answer = {
        "model_name": model.name,
        "model_version": model.version,
        "id": identity,
        "outputs": head,
    }
    if not tail:
        return to_json(answer, headers=model.headers)
    start = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
    length = b"inference-header-content-length: %d\r\n" % len(start)
    return Answer(b"".join([start, *tail]), 200, BINARY, length + model.headers)
