"""Requests that are not answered: each with its HTTP status, gRPC code and one clear sentence."""

from __future__ import annotations


class Refusal(Exception):  # noqa: N818 - not an error of the server
    """Base of all; ``status`` is HTTP's, ``grpc_code`` the name of gRPC's."""

    status = 400
    grpc_code = "INVALID_ARGUMENT"
    reason = "malformed"


class WrongTensorError(Refusal):
    """Name, data type or shape are not the model's."""

    reason = "tensor"


class NotFiniteError(Refusal):
    """A value is NaN or infinite; every threshold would read it as "normal"."""

    reason = "not_finite"


class RowsError(Refusal):
    """No row, which ends ONNX Runtime's process, or more rows than the limit."""

    reason = "rows"


class UnknownError(Refusal):
    """No such model, version or route."""

    status, grpc_code, reason = 404, "NOT_FOUND", "unknown"


class MethodError(Refusal):
    """The route exists for another HTTP method."""

    status, grpc_code, reason = 405, "UNIMPLEMENTED", "method"


class BodyTooLargeError(Refusal):
    """The body is above the limit; it was not parsed."""

    status, grpc_code, reason = 413, "RESOURCE_EXHAUSTED", "too_large"

    @classmethod
    def above(cls, limit: int) -> BodyTooLargeError:
        """Says the limit."""
        return cls(f"the body is above the limit of {limit} bytes")


class RequestTimeoutError(Refusal):
    """The request took too long to arrive."""

    status, reason = 408, "timeout"


class EncodingError(Refusal):
    """The body is compressed."""

    status, reason = 415, "encoding"


class NoAnswerError(Refusal):
    """The graph has no finite answer for these values, which lie far outside its training."""

    status, grpc_code, reason = 422, "OUT_OF_RANGE", "no_answer"


class NotReadyError(Refusal):
    """The model failed to load or still loads."""

    status, grpc_code, reason = 503, "UNAVAILABLE", "not_ready"
