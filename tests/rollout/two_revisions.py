"""Two revisions of a model behind one gateway, in real HTTP, and a real Prometheus beside them."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import uvicorn
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from dwcp_ml.rollout.adapter import Hosts

HOSTS = Hosts("m.models.test", "latest-m.models.test", "prev-m.models.test")
BODY = {"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1.0]}]}
SCORES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass
class Revision:
    """What one side does, changed by the tests while it runs."""

    name: str
    fail: float = 0.0  # share of 500s
    refuse: bool = False  # 400 whatever is asked
    slow_s: float = 0.0
    offset: float = 0.0  # on every output
    constant: float | None = None
    scrapes: bool = True
    asked: list = field(default_factory=list)

    def __post_init__(self):
        self.rng = random.Random(self.name)  # noqa: S311
        self.restart()

    def restart(self):
        """Counters of a new process."""
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "dwcp_requests", "requests", ["model", "code"], registry=self.registry
        )
        self.rejected = Counter(
            "dwcp_rejected_inputs", "refused", ["model", "reason"], registry=self.registry
        )
        self.latency = Histogram(
            "dwcp_request_seconds", "s", ["model"], registry=self.registry,
            buckets=[0.00025 * 2**i for i in range(14)],
        )  # fmt: skip
        self.score = Histogram(
            "dwcp_model_score", "score", ["model"], registry=self.registry, buckets=SCORES
        )
        for code in (200, 400, 500):
            self.requests.labels("m", code)
        self.rejected.labels("m", "tensor")
        self.latency.labels("m")
        self.score.labels("m")

    def count(self, code: int, taken_s: float, score: float | None) -> None:
        self.requests.labels("m", code).inc()
        self.latency.labels("m").observe(taken_s)
        if code == 400:
            self.rejected.labels("m", "tensor").inc()
        if score is not None:
            self.score.labels("m").observe(score)

    def answer(self, body) -> tuple[int, dict]:
        bad = body["inputs"][0]["datatype"] != "FP32"
        if self.refuse or bad:
            self.count(400, 0.004, None)
            return 400, {"error": "no FP32"}
        if self.rng.random() < self.fail:
            self.count(500, 0.004, None)
            return 500, {"error": "broken"}
        x = body["inputs"][0]["data"][0]
        y = self.constant if self.constant is not None else 2 * x + self.offset
        taken_s = 0.004 * self.rng.lognormvariate(0, 0.3) + self.slow_s
        self.count(200, taken_s, self.rng.random() if self.constant is None else y)
        return 200, {"outputs": [{"name": "y", "shape": [1], "datatype": "FP32", "data": [y]}]}


class Gateway:
    """Routes by Host; the public one sends every 4th request to the canary."""

    def __init__(self):
        self.canary, self.stable = Revision("m-00002"), Revision("m-00001")
        self.public = 0
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def route(self, host: str) -> Revision:
        if host == HOSTS.public:
            self.public += 1
            return self.canary if self.public % 4 == 0 else self.stable
        return self.canary if host == HOSTS.canary else self.stable

    async def __call__(self, scope, receive, send):
        assert scope["type"] == "http"
        head = {name.decode(): value.decode() for name, value in scope["headers"]}
        if scope["path"].startswith("/metrics/"):
            side = self.canary if scope["path"].endswith("canary") else self.stable
            text = generate_latest(side.registry) if side.scrapes else b""
            await _say(send, 200 if side.scrapes else 503, text, [])
            return
        body = b""
        more = True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        side = self.route(head["host"])
        side.asked.append(head)
        if side.slow_s:
            import asyncio

            await asyncio.sleep(side.slow_s)
        code, said = side.answer(json.loads(body))
        extra = [(b"x-model-revision", side.name.encode())]
        await _say(send, code, json.dumps(said).encode(), extra)


async def _say(send, code, body, extra):
    await send({"type": "http.response.start", "status": code, "headers": extra})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def serving(app, port):
    """Serve an ASGI app in a thread."""
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", lifespan="off")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started)
    yield
    server.should_exit = True
    thread.join(10)


@contextmanager
def prometheus(folder: Path, gateway: Gateway, twice: bool = False):
    """Scrape both revisions ten times a second; ``twice`` adds a second job for the same pods."""
    binary = os.environ.get("PROMETHEUS") or shutil.which("prometheus")
    if binary is None:
        pytest.skip("needs the program prometheus (Debian's package of that name, or PROMETHEUS)")
    jobs = [_job(name, gateway, side) for side in ("canary", "stable") for name in ("a", "b")]
    wanted = jobs if twice else jobs[::2]
    config = {"global": {"scrape_interval": "100ms", "scrape_timeout": "100ms"}}
    folder.mkdir()
    (folder / "prometheus.yml").write_text(json.dumps({**config, "scrape_configs": wanted}))
    port = free_port()
    process = subprocess.Popen(
        [
            binary, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}", "--log.level=error",
        ]
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: _ready(url))
        yield url, process
    finally:
        process.kill()
        process.wait()


def _job(name, gateway, side):
    revision = getattr(gateway, side).name
    return {
        "job_name": f"{name}-{side}",
        "metrics_path": f"/metrics/{side}",
        "static_configs": [
            {
                "targets": [f"127.0.0.1:{gateway.port}"],
                "labels": {"namespace": "models", "revision": revision, "pod": f"{revision}-0"},
            }
        ],
    }


def _ready(url):
    try:
        if httpx.get(f"{url}/-/ready").status_code != 200:
            return False
        found = httpx.get(f"{url}/api/v1/query", params={"query": "count(up == 1)"}).json()
        return found["data"]["result"] and int(found["data"]["result"][0]["value"][1]) >= 2
    except httpx.TransportError:
        return False


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def until(condition, seconds=60.0):
    """Poll until the condition holds; its value."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError("it never came true")
