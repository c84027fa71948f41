"""KServe V2 over gRPC: inference, metadata and health; loading and unloading are not offered."""

from __future__ import annotations

from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

import grpc  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from dwcp_ml.serving.desk import INLINE_BYTES, Desk
from dwcp_ml.serving.kserve_protobuf import SERVICE, pb
from dwcp_ml.serving.refusals import NotReadyError, Refusal, WrongTensorError
from dwcp_ml.serving.tensors import checked, from_bytes, from_json, shape_of
from dwcp_ml.serving.v2 import described, server_described, wanted_outputs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from dwcp_ml.serving.model import ServedModel
    from dwcp_ml.serving.tensors import Array, TensorSpec

    Handler = Callable[[Any, grpc.aio.ServicerContext], Awaitable[Any]]

CONTENTS = {"FP32": "fp32_contents", "INT64": "int64_contents"}


class InferenceService:
    """The methods of inference.GRPCInferenceService."""

    def __init__(self, desk: Desk) -> None:
        """Answer with the desk's models."""
        self._desk = desk

    def handlers(self) -> grpc.GenericRpcHandler:
        """What a gRPC server is given."""
        methods: dict[str, tuple[Any, Handler]] = {
            "ServerLive": (pb.ServerLiveRequest, self._server_live),
            "ServerReady": (pb.ServerReadyRequest, self._server_ready),
            "ServerMetadata": (pb.ServerMetadataRequest, self._server_metadata),
            "ModelReady": (pb.ModelReadyRequest, self._model_ready),
            "ModelMetadata": (pb.ModelMetadataRequest, self._model_metadata),
            "ModelInfer": (pb.ModelInferRequest, self._model_infer),
        }
        table = {
            name: grpc.unary_unary_rpc_method_handler(
                partial(_refusing, handler),
                request_deserializer=partial(_parsed, kind),
                response_serializer=lambda message: message.SerializeToString(),
            )
            for name, (kind, handler) in methods.items()
        }
        return grpc.method_handlers_generic_handler(SERVICE, table)

    async def _server_live(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        return pb.ServerLiveResponse(live=True)

    async def _server_ready(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        return pb.ServerReadyResponse(ready=self._desk.ready)

    async def _server_metadata(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        return pb.ServerMetadataResponse(**server_described())

    async def _model_ready(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        self._desk.repository.get(request.name, request.version or None)
        return pb.ModelReadyResponse(ready=True)

    async def _model_metadata(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        model = self._desk.repository.get(request.name, request.version or None)
        return pb.ModelMetadataResponse(**described(model))

    async def _model_infer(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        started = perf_counter()
        if self._desk.gone:
            raise NotReadyError("this server is going away")
        try:
            model = self._desk.repository.get(request.model_name, request.model_version or None)
        except Refusal as refusal:
            raise self._desk.refused(None, refusal, started) from refusal
        context.set_trailing_metadata(
            (("x-model-version", model.version), ("x-model-revision", model.revision))
        )
        work = partial(_inferred, model, request)
        if request.ByteSize() <= INLINE_BYTES:
            return self._desk.answer(model, work, started)
        return await self._desk.answer_big(model, work, started)


async def _refusing(handler: Handler, request: Any, context: grpc.aio.ServicerContext) -> Any:
    """Turn a refusal into its gRPC code."""
    try:
        if request is None:
            raise Refusal("the message is not of this method's type")
        return await handler(request, context)
    except Refusal as refusal:
        code = getattr(grpc.StatusCode, refusal.grpc_code)
        await context.abort(code, str(refusal), context.trailing_metadata() or ())


def _parsed(kind: Any, content: bytes) -> Any:
    """The message, or None: gRPC itself would call a malformed one an internal error."""
    try:
        return kind.FromString(content)
    except DecodeError:
        return None


def _inferred(model: ServedModel, request: Any) -> Any:
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise WrongTensorError(
            f"{len(request.inputs)} inputs but {len(raw)} raw contents are given"
        )
    feeds: dict[str, Array] = {}
    for place, given in enumerate(request.inputs):
        spec = model.input(given.name)
        if given.datatype != spec.datatype:
            raise WrongTensorError(f"'{spec.name}' needs datatype {spec.datatype}")
        if spec.name in feeds:
            raise WrongTensorError(f"'{spec.name}' is given twice")
        shape = shape_of(list(given.shape), spec.name)
        array = from_bytes(raw[place], spec, shape) if raw else _typed(given, spec, shape)
        feeds[spec.name] = checked(array, spec, model.max_rows)
    places = wanted_outputs(model, [output.name for output in request.outputs])
    return _encoded(model, request.id, model.run(feeds), places, as_bytes=bool(raw))


def _typed(given: Any, spec: TensorSpec, shape: list[int]) -> Array:
    values = list(getattr(given.contents, CONTENTS[spec.datatype]))
    return from_json(values, spec, shape)


def _encoded(
    model: ServedModel, identity: str, outputs: list[Array], places: list[int], *, as_bytes: bool
) -> Any:
    """Answer in the form of the question: bytes for bytes, typed contents for typed contents."""
    answer = pb.ModelInferResponse(model_name=model.name, model_version=model.version, id=identity)
    for place in places:
        spec, array = model.manifest.outputs[place], outputs[place]
        tensor = answer.outputs.add(name=spec.name, datatype=spec.datatype, shape=array.shape)
        if as_bytes:
            answer.raw_output_contents.append(array.tobytes())
        else:
            getattr(tensor.contents, CONTENTS[spec.datatype]).extend(array.reshape(-1).tolist())
    return answer
