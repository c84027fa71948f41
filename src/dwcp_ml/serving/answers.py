"""JSON bodies in and out, common to both REST protocols."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from dwcp_ml.serving.refusals import Refusal

JSON = b"application/json"
BINARY = b"application/octet-stream"


class Answer(NamedTuple):
    """A REST answer; ``headers`` are whole lines, besides those of type and length."""

    body: bytes
    status: int = 200
    content_type: bytes = JSON
    headers: bytes = b""


def to_json(value: object, status: int = 200, headers: bytes = b"") -> Answer:
    """A JSON answer; arrays must be contiguous."""
    return Answer(orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY), status, JSON, headers)


def refused(refusal: Refusal, headers: bytes = b"") -> Answer:
    """The one sentence of a refusal."""
    return to_json({"error": str(refusal)}, refusal.status, headers)


def parsed(body: bytes | memoryview) -> dict[str, Any]:
    """A request's JSON object.

    Raises:
        Refusal: no JSON, bad UTF-8, nested too deeply, or no object.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refusal(f"the body is not JSON: {error}") from error
    if type(value) is not dict:
        raise Refusal("the body must be a JSON object")
    return value
