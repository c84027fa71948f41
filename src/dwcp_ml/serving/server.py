"""The process: one event loop for REST, gRPC, reloading and a drained end."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
from contextlib import suppress
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

import grpc  # type: ignore[import-untyped]
import numpy as np
import uvicorn
import uvloop

from dwcp_ml.errors import StorageError, UnreadableFileError
from dwcp_ml.serving.desk import Desk
from dwcp_ml.serving.grpc_service import InferenceService
from dwcp_ml.serving.http_protocol import HttpProtocol
from dwcp_ml.serving.logs import event, start_logging
from dwcp_ml.serving.rest import Rest
from dwcp_ml.serving.samples import check_samples

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from dwcp_ml.serving.options import ServeOptions

SWEEP_S = 1.0
GONE_S = 0.3
COLLECT = (100_000, 20, 20)  # one big JSON body makes as many lists, none of them garbage


def serve(options: ServeOptions) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Raises:
        UnreadableFileError: there is no folder of models, or no file the signer needs.
        StorageError: a port is taken, or the samples' folder cannot be written.
        ParamsError: samples are asked for without pyarrow.
    """
    if not options.models.is_dir():
        raise UnreadableFileError(
            f"there is no folder {options.models}; register models or name another registry"
        )
    if options.signer is not None and (missing := options.signer.missing()):
        raise UnreadableFileError(f"there is no file {missing}")
    if options.samples is not None:
        check_samples(options.samples)
    start_logging()
    np.seterr(all="ignore")  # values out of range are found by isfinite, warnings would be logged
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(options))


async def _serve(options: ServeOptions) -> None:
    desk = Desk(options)
    listener = _listener(options)
    rest = _RestServer(desk, options)
    rpc, rpc_port = _grpc_server(desk, options)
    await rpc.start()
    event("listening", port=listener.getsockname()[1], grpc_port=rpc_port)
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, desk.repository.refresh)
    gc.collect()
    gc.freeze()  # what stays for ever need not be looked at again
    gc.set_threshold(*COLLECT)
    if desk.samples is not None:
        desk.samples.start()
    chores = [asyncio.create_task(_reload(desk)), asyncio.create_task(_sweep(rest, options))]
    try:
        await rest.serve(sockets=[listener])
    finally:
        for chore in chores:
            chore.cancel()
        # gRPC cancels calls that arrive while it stops; a call that is refused is not lost.
        desk.gone = True
        await asyncio.sleep(GONE_S)
        await rpc.stop(options.grace_s)
        if desk.samples is not None:
            await loop.run_in_executor(None, desk.samples.stop)
        event("stopped")


class _RestServer(uvicorn.Server):
    """uvicorn, which after a signal goes on for a while and asks clients to go elsewhere."""

    def __init__(self, desk: Desk, options: ServeOptions) -> None:
        config = uvicorn.Config(
            Rest(desk),  # type: ignore[arg-type]
            http=HttpProtocol,  # type: ignore[arg-type]
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            proxy_headers=False,
            timeout_graceful_shutdown=round(options.grace_s),
            backlog=2048,
        )
        super().__init__(config)
        self._desk = desk
        self._drain_s = options.drain_s

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal starts draining, the second ends at once."""
        if self._desk.draining:
            self.should_exit = self.force_exit = True
            return
        self._desk.draining = True
        event("draining", signal=signal.Signals(sig).name, seconds=self._drain_s)
        asyncio.get_running_loop().call_soon_threadsafe(self._exit_later)

    def _exit_later(self) -> None:
        asyncio.get_running_loop().call_later(self._drain_s, setattr, self, "should_exit", True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take the connections that still wait to be accepted, then end as uvicorn does."""
        loop = asyncio.get_running_loop()
        accepted = [one for listener in sockets or [] for one in _accepted(listener)]
        for server in self.servers:
            server.close()
        for one in accepted:
            await loop.connect_accepted_socket(
                partial(HttpProtocol, self.config, self.server_state, {}), one
            )
        await super().shutdown(sockets)

    def close_late(self, seconds: float) -> None:
        """Close connections whose request is incomplete for so long."""
        now = perf_counter()
        for connection in list(self.server_state.connections):
            if isinstance(connection, HttpProtocol):
                connection.close_late(now, seconds)


async def _reload(desk: Desk) -> None:
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(desk.options.reload_s)
        with suppress(OSError):  # the folder may be mounted anew; the next look will tell
            await loop.run_in_executor(None, desk.repository.refresh)


async def _sweep(rest: _RestServer, options: ServeOptions) -> None:
    while True:
        await asyncio.sleep(SWEEP_S)
        rest.close_late(options.read_timeout_s)


def _accepted(listener: socket.socket) -> Iterator[socket.socket]:
    """Connections that the system has accepted; closing the listener would reset them."""
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            connection.setblocking(False)
            yield connection


def _listener(options: ServeOptions) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((options.host, options.port))
    except OSError as error:
        listener.close()
        where = f"{options.host}:{options.port}"
        raise StorageError(
            f"cannot listen on {where}: {error.strerror}; choose another --port"
        ) from error
    return listener


def _grpc_server(desk: Desk, options: ServeOptions) -> tuple[grpc.aio.Server, int | None]:
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", options.max_body_bytes),
            ("grpc.so_reuseport", 0),
        ]
    )
    server.add_generic_rpc_handlers((InferenceService(desk).handlers(),))
    if options.grpc_port is None:
        return server, None
    host = f"[{options.host}]" if ":" in options.host else options.host
    try:
        return server, server.add_insecure_port(f"{host}:{options.grpc_port}")
    except RuntimeError as error:
        raise StorageError(
            f"cannot listen on {host}:{options.grpc_port}; choose another --grpc-port"
        ) from error
