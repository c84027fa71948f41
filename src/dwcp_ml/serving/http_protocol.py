"""HTTP/1.1 on one connection: limits before parsing, one write an answer, no task for a small one.

It stands in uvicorn's place for a protocol; uvicorn keeps listening, signals and the graceful end.
ASGI's events, task and header checks would cost twice the time of the rest of the server.
"""

from __future__ import annotations

import asyncio
from collections import deque
from http import HTTPStatus
from time import perf_counter
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import httptools

from dwcp_ml.serving.answers import Answer, refused
from dwcp_ml.serving.refusals import BodyTooLargeError, Refusal, RequestTimeoutError
from dwcp_ml.serving.request import PROBE, Request

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from uvicorn import Config
    from uvicorn.server import ServerState

    from dwcp_ml.serving.rest import Rest

MAX_HEAD_BYTES = 64 * 1024
KEEP_ALIVE_S = 75.0
# For a request that a client sends before it can know of the end.
LINGER_S, NEW_LINGER_S = 0.3, 2.0
STATUS = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
_WANTED = {b"content-length", b"content-encoding", b"inference-header-content-length", PROBE}


class HttpProtocol(asyncio.Protocol):
    """Parses requests, hands them to ``Rest`` in their order, writes the answers."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: object = None,
    ) -> None:
        """As uvicorn makes one for each connection; the application is ``Rest`` itself."""
        self._rest: Rest = config.app  # type: ignore[assignment]
        self._server = server_state
        self._parser: Any = httptools.HttpRequestParser(self)
        self._transport: Any = None
        self._waiting: deque[Request] = deque()
        self._busy = False  # an answer is being made in the thread for big requests
        self._closing = False
        self._answered = False  # anything, on this connection
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._request: Request | None = None  # being received; None once refused
        self._chunks: list[bytes] = []
        self._size = 0
        self._head_bytes = 0
        self._in_head = True
        self.receiving = False
        self.since = perf_counter()  # of the state it is in: connected, receiving or idle

    # --- connection

    def connection_made(self, transport: Any) -> None:
        """A client is there."""
        self._transport = transport
        self._server.connections.add(self)  # type: ignore[arg-type]

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone; what it had not finished sending is dropped."""
        self._server.connections.discard(self)  # type: ignore[arg-type]
        self._rest.big_bodies.leave(self)
        self._waiting.clear()
        # The parser refers to this object: without a cut, bodies would wait for the collector.
        self._parser = self._request = None
        self._chunks = []

    def eof_received(self) -> bool:
        """A client may close its side and still wait for its answer."""
        self._closing = True
        return self._busy

    def pause_writing(self) -> None:
        """The client does not read its answers: take no more of its requests."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """It does again."""
        self.resume_reading()

    def pause_reading(self) -> None:
        """Receive no more for now."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on receiving."""
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def shutdown(self) -> None:
        """End after what was begun, or is on its way; uvicorn calls this when the server ends."""
        self._closing = True
        linger_s = LINGER_S if self._answered else NEW_LINGER_S
        asyncio.get_running_loop().call_later(linger_s, self._close_if_idle)

    def _close_if_idle(self) -> None:
        if not self._busy and not self.receiving:
            self._transport.close()

    def close_late(self, now: float, read_timeout_s: float) -> None:
        """Close if a request takes too long to arrive, or none has come for long."""
        taken_s = now - self.since
        if self._busy or self._transport.is_closing():
            return
        if self.receiving and taken_s > read_timeout_s:
            late = RequestTimeoutError(f"the request did not arrive within {read_timeout_s:g} s")
            self._end(late)
        elif taken_s > (KEEP_ALIVE_S if self._answered else read_timeout_s):
            self._transport.close()

    # --- parsing

    def data_received(self, data: bytes) -> None:
        """Parse; the parser calls the methods below."""
        if self._in_head:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return  # answered as what it is without the upgrade
        except httptools.HttpParserError:
            if not self._transport.is_closing():
                self._end(Refusal("this is no HTTP/1.1 request"))
            return
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES:
            self._end(Refusal("the head of the request is too long"), 431)

    def on_message_begin(self) -> None:
        """A request begins."""
        self._url = b""
        self._headers = {}
        self._chunks = []
        self._size = 0
        self.receiving = True
        self.since = perf_counter()

    def on_url(self, url: bytes) -> None:
        """Part of its target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; only those that matter are kept."""
        name = name.lower()
        if name in _WANTED or (name == b"expect" and value.lower() == b"100-continue"):
            self._headers[name] = value

    def on_headers_complete(self) -> None:
        """Its head is complete: refuse what is too large before its body is read."""
        self._in_head = False
        keep_alive = self._parser.should_keep_alive() and not self._parser.should_upgrade()
        request = Request(self._parser.get_method().decode(), _path(self._url), keep_alive)
        try:
            request.take_headers(self._headers, self._rest.max_body_bytes)
        except Refusal as refusal:
            self._refuse(request, refusal)
            return
        self._request = request
        if b"expect" in self._headers:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if request.length is not None and request.length > self._rest.big_bodies.above:
            self._rest.big_bodies.enter(self)

    def on_body(self, body: bytes) -> None:
        """Part of its body."""
        request = self._request
        if request is None:
            return  # refused; the rest of it is read and dropped
        self._chunks.append(body)
        self._size += len(body)
        if self._size > self._rest.max_body_bytes:
            self._chunks = []
            self._refuse(request, BodyTooLargeError.above(self._rest.max_body_bytes))
        elif request.length is None and self._size > self._rest.big_bodies.above:
            self._rest.big_bodies.enter(self)

    def on_message_complete(self) -> None:
        """All of it is here."""
        self.receiving = False
        self.since = perf_counter()
        self._in_head = True
        self._head_bytes = 0
        request, self._request = self._request, None
        if request is None:
            return
        request.body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks = []
        self._hand_in(request)

    # --- answering

    def _refuse(self, request: Request, refusal: Refusal) -> None:
        self._request = None
        self._rest.big_bodies.leave(self)
        request.refusal = refusal
        self._hand_in(request)

    def _hand_in(self, request: Request) -> None:
        """Answer now, or after those that came before."""
        if self._busy:
            self._waiting.append(request)
            self._transport.pause_reading()
            return
        answer = self._rest.respond(request)
        if isinstance(answer, Answer):
            self._write(answer, request)
            if len(request.body) > self._rest.big_bodies.above:  # refused before it was parsed
                self._rest.big_bodies.leave(self)
            return
        self._busy = True
        task = asyncio.get_running_loop().create_task(self._later(answer, request))
        self._server.tasks.add(task)
        task.add_done_callback(self._server.tasks.discard)

    async def _later(self, answer: Coroutine[Any, Any, Answer], request: Request) -> None:
        try:
            self._write(await answer, request)
        finally:
            self._rest.big_bodies.leave(self)
            self._busy = False
        while self._waiting and not self._busy:
            self._hand_in(self._waiting.popleft())
        if not self._busy:
            self.resume_reading()
            if self._closing and not self.receiving:
                self._transport.close()

    def _write(self, answer: Answer, request: Request) -> None:
        if self._transport.is_closing():
            return
        self._server.total_requests += 1
        self._answered = True
        last = not request.keep_alive or self._closing or self._rest.draining
        parts = [
            STATUS[answer.status],
            b"content-type: %b\r\ncontent-length: %d\r\n" % (answer.content_type, len(answer.body)),
            answer.headers,
            b"connection: close\r\n\r\n" if last else b"\r\n",
        ]
        if request.method != "HEAD":
            parts.append(answer.body)
        self._transport.write(b"".join(parts))
        self.since = perf_counter()
        if last:
            self._transport.close()

    def _end(self, refusal: Refusal, status: int | None = None) -> None:
        """Answer what is no whole request, and close."""
        request = Request("", "", keep_alive=False)
        answer = refused(refusal)
        self._write(answer._replace(status=status or answer.status), request)


def _path(url: bytes) -> str:
    """Path of a request's target."""
    if not url.startswith(b"/"):
        url = httptools.parse_url(url).path or b"/"
    path = url.partition(b"?")[0].decode("ascii")
    return unquote(path) if "%" in path else path
