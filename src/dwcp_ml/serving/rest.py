"""The REST side: KServe's V1 and V2 routes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from dwcp_ml.serving import v1, v2
from dwcp_ml.serving.answers import Answer, refused, to_json
from dwcp_ml.serving.desk import INLINE_BYTES, Desk
from dwcp_ml.serving.refusals import MethodError, Refusal, UnknownError
from dwcp_ml.serving.request import BigBodies, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from dwcp_ml.serving.model import ServedModel

BIG_BYTES = 64 * 1024
BIG_BODIES = 8  # received at once
PROMETHEUS = b"text/plain; version=0.0.4; charset=utf-8"


class Rest:
    """Routes by hand: a router and its middleware would cost more than the model."""

    def __init__(self, desk: Desk) -> None:
        """Answer with the desk's models."""
        self._desk = desk
        self.max_body_bytes = desk.options.max_body_bytes
        self.big_bodies = BigBodies(BIG_BYTES, BIG_BODIES)

    @property
    def draining(self) -> bool:
        """Whether clients should go elsewhere."""
        return self._desk.draining

    def respond(self, request: Request) -> Answer | Coroutine[Any, Any, Answer]:
        """Answer now, or return what to await for the answer to a big request."""
        target = _target(request.path)
        model: ServedModel | None = None
        try:
            if target is None:
                if request.refusal:
                    raise request.refusal
                return self._read_only(request.method, request.path)
            name, version, call = target
            if request.method != "POST":
                raise MethodError("this route takes POST")
            model = self._desk.repository.get(name, version)
            if request.refusal:
                raise request.refusal
        except Refusal as refusal:
            if target is not None:
                self._desk.refused(model, refusal, request.started)
            return refused(refusal, model.headers if model else b"")
        if call == "infer":
            work = partial(
                v2.infer, model, request.body, request.json_length, counted=not request.probe
            )
        else:
            work = partial(v1.predict, model, request.body, counted=not request.probe)
        if len(request.body) > INLINE_BYTES:
            return self._big(model, work, request.started)
        try:
            return self._desk.answer(model, work, request.started)
        except Refusal as refusal:
            return refused(refusal, model.headers)

    async def _big(self, model: ServedModel, work: Callable[[], Answer], started: float) -> Answer:
        try:
            return await self._desk.answer_big(model, work, started)
        except Refusal as refusal:
            return refused(refusal, model.headers)

    def _read_only(self, method: str, path: str) -> Answer:
        if method not in ("GET", "HEAD"):
            raise UnknownError(f"no route takes {method} at this path")
        repository = self._desk.repository
        match path.strip("/").split("/"):
            case [""]:
                return to_json({"status": "alive"})
            case ["metrics"]:
                return Answer(self._desk.metrics.render(), content_type=PROMETHEUS)
            case ["v2"]:
                return to_json(v2.server_described())
            case ["v2", "health", "live"]:
                return to_json({"live": True})
            case ["v2", "health", "ready"]:
                return to_json({"ready": self._desk.ready}, 200 if self._desk.ready else 503)
            case ["v1" | "v2", "models"]:
                return to_json({"models": list(repository.slots)})
            case ["v1", "models", name]:
                return to_json(v1.status(repository.get(name)))
            case ["v2", "models", name]:
                return to_json(v2.described(repository.get(name)))
            case ["v2", "models", name, "versions", version]:
                return to_json(v2.described(repository.get(name, version)))
            case ["v2", "models", name, "ready"]:
                return to_json({"name": repository.get(name).name, "ready": True})
            case ["v2", "models", name, "versions", version, "ready"]:
                return to_json({"name": repository.get(name, version).name, "ready": True})
        raise UnknownError("there is no such route")


def _target(path: str) -> tuple[str, str | None, str] | None:
    """Name, version and call of an inference route; None for any other path."""
    if path.startswith("/v2/models/") and path.endswith("/infer"):
        parts, call = path[11:-6].split("/"), "infer"
    elif path.startswith("/v1/models/") and path.endswith(":predict"):
        parts, call = path[11:-8].split("/"), "predict"
    else:
        return None
    if len(parts) == 1:
        return parts[0], None, call
    if len(parts) == 3 and parts[1] == "versions":
        return parts[0], parts[2], call
    return None
