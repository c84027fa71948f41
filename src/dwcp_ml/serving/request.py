"""A REST request, and the limit on how many big ones are received at once."""

from __future__ import annotations

from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

from dwcp_ml.serving.refusals import BodyTooLargeError, EncodingError, Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

PROBE = b"x-dwcp-probe"  # sent by the prober of a rollout


class Request:
    """What the server needs of a request.

    Attributes:
        method: for example "POST".
        path: decoded, without the query.
        keep_alive: whether the connection outlives the answer.
        started: ``perf_counter`` when its head was complete.
        length: of the body; None where the head does not say.
        json_length: of the JSON part of the body; None where all of it is JSON.
        probe: whether it is a probe of ours, whose scores say nothing of users.
        body: all of it.
        refusal: set where the head or the length alone refuse it; the body is empty then.
    """

    __slots__ = (
        "body", "json_length", "keep_alive", "length", "method", "path", "probe", "refusal",
        "started",
    )  # fmt: skip

    def __init__(self, method: str, path: str, keep_alive: bool) -> None:
        """A request whose body is still to come."""
        self.method = method
        self.path = path
        self.keep_alive = keep_alive
        self.started = perf_counter()
        self.length: int | None = None
        self.json_length: int | None = None
        self.probe = False
        self.body = b""
        self.refusal: Refusal | None = None

    def take_headers(self, headers: Mapping[bytes, bytes], max_body_bytes: int) -> None:
        """Take lengths from the headers, names in lower case.

        Raises:
            BodyTooLargeError: the body says it is above the limit.
            EncodingError: the body is compressed.
            Refusal: a length is no number.
        """
        for name, value in headers.items():
            if name == b"content-length":
                self.length = int(value)  # the parser has checked it
                if self.length > max_body_bytes:
                    raise BodyTooLargeError.above(max_body_bytes)
            elif name == b"inference-header-content-length":
                if not value.isdigit() or len(value) > 12:
                    raise Refusal("Inference-Header-Content-Length is no number")
                self.json_length = int(value)
            elif name == PROBE:
                self.probe = True
            elif name == b"content-encoding" and value.lower() != b"identity":
                raise EncodingError("the body must not be compressed")


class Receiver(Protocol):
    """A connection that can be told to wait and to go on."""

    def pause_reading(self) -> None:
        """Receive no more for now."""

    def resume_reading(self) -> None:
        """Go on receiving."""


class BigBodies:
    """How many big bodies are received at once; the others wait unread in their sockets.

    Without it memory would grow with connections times the largest body.
    """

    def __init__(self, above: int, at_once: int) -> None:
        """Bodies of more than ``above`` bytes count."""
        self.above = above
        self._at_once = at_once
        self._inside: set[Receiver] = set()
        self._outside: deque[Receiver] = deque()

    def enter(self, receiver: Receiver) -> None:
        """Let it receive, or pause it until there is room."""
        if receiver in self._inside or receiver in self._outside:
            return
        if len(self._inside) < self._at_once:
            self._inside.add(receiver)
        else:
            self._outside.append(receiver)
            receiver.pause_reading()

    def leave(self, receiver: Receiver) -> None:
        """Its body is answered, or it went away."""
        if receiver in self._inside:
            self._inside.discard(receiver)
            if self._outside:
                following = self._outside.popleft()
                self._inside.add(following)
                following.resume_reading()
        elif receiver in self._outside:
            self._outside.remove(receiver)
