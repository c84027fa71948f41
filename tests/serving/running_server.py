"""`dwcp serve` as a real process on free ports of the loopback."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

import httpx

START = "from dwcp_ml.serve_commands import serve_command; serve_command()"


@dataclass
class Running:
    """A server and what it logged."""

    process: subprocess.Popen[str]
    port: int = 0
    grpc_port: int = 0
    log: list[dict] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def grpc(self) -> str:
        return f"127.0.0.1:{self.grpc_port}"

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, timeout=20)

    def post(self, path: str, **given) -> httpx.Response:
        return httpx.post(self.url + path, timeout=20, **given)

    def logged(self, message: str) -> list[dict]:
        return [line for line in self.log if line["message"] == message]

    def alive(self) -> bool:
        return self.process.poll() is None

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


def until(condition, seconds=20.0):
    """Poll until the condition holds; its value."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError("it never came true")


@contextmanager
def running(models: Path, *options: str, loaded: bool = True):
    """Start a server; wait until it has looked at every model."""
    command = [sys.executable, "-c", START, str(models), "--port", "0", "--grpc-port", "0"]
    process = subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True)
    server = Running(process)
    reader = Thread(target=_read, args=(server,), daemon=True)
    reader.start()
    try:
        said = until(lambda: server.logged("listening") or not server.alive())
        assert server.alive(), process.returncode
        server.port, server.grpc_port = said[0]["port"], said[0]["grpc_port"]
        if loaded:
            until(lambda: _answers(server))
        yield server
    finally:
        process.kill()
        process.wait()
        reader.join(5)


def _read(server: Running) -> None:
    for line in server.process.stderr:
        try:
            server.log.append(json.loads(line))
        except ValueError:
            server.log.append({"message": "not JSON", "line": line})


def _answers(server: Running) -> bool:
    try:
        return server.get("/v2/health/live").status_code == 200
    except httpx.TransportError:
        return False
