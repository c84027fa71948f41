"""Requests a second of `dwcp serve`, beside a bare ASGI application and the stock KServe server.

    python benchmarks/serve.py models --seconds 5 --rounds 3

Every round measures all servers in turn with wrk, one server process on one core, and the ratios
are medians over the rounds, so that a busy machine slows all alike. Needs wrk.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

if TYPE_CHECKING:
    from collections.abc import Iterator

MODEL = "bandwidth_predictor"
V2, V1 = f"/v2/models/{MODEL}/infer", f"/v1/models/{MODEL}:predict"

BARE = """
import sys
import numpy as np, onnxruntime as ort, orjson, uvicorn
options = ort.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
options.add_session_config_entry("session.intra_op.allow_spinning", "0")
session = ort.InferenceSession(sys.argv[1] + "/model.onnx", options)
names = [output.name for output in session.get_outputs()]
async def app(scope, receive, send):
    body = b""
    if scope["method"] == "POST":
        tensor = orjson.loads((await receive())["body"])["inputs"][0]
        x = np.array(tensor["data"], np.float32).reshape(tensor["shape"])
        body = orjson.dumps(dict(zip(names, session.run(None, {"features": x}))),
                            option=orjson.OPT_SERIALIZE_NUMPY)
    await send({"type": "http.response.start", "status": 200, "headers": [
        (b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})
uvicorn.run(app, port=int(sys.argv[2]), log_level="error", loop="uvloop", http="httptools")
"""

STOCK = """
import sys
import kserve, numpy as np, onnxruntime as ort
class Stock(kserve.Model):
    def load(self):
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = ort.InferenceSession(sys.argv[1] + "/model.onnx", options)
        self.names = [output.name for output in self.session.get_outputs()]
        self.ready = True
    def predict(self, payload, headers=None, response_headers=None):
        if isinstance(payload, dict):
            x = np.array(payload["instances"], np.float32)
            outputs = [o.tolist() for o in self.session.run(None, {"features": x})]
            return {"predictions": [dict(zip(self.names, row)) for row in zip(*outputs)]}
        x = payload.inputs[0].as_numpy()
        outputs = []
        for name, array in zip(self.names, self.session.run(None, {"features": x})):
            kind = "INT64" if array.dtype.kind == "i" else "FP32"
            out = kserve.InferOutput(name, list(array.shape), kind)
            array = array.astype(np.int64) if kind == "INT64" else array
            out.set_data_from_numpy(array, binary_data=False)
            outputs.append(out)
        return kserve.InferResponse(payload.id or "1", self.name, outputs)
model = Stock("bandwidth_predictor")
model.load()
kserve.ModelServer(http_port=int(sys.argv[2]), grpc_port=int(sys.argv[3]), enable_docs_url=False,
                   access_log_format=None).start([model])
"""

GRPC_LOAD = """
import asyncio, sys, time
import grpc
from dwcp_ml.serving.kserve_protobuf import SERVICE, pb
body = open(sys.argv[2], "rb").read()
async def main():
    async with grpc.aio.insecure_channel("127.0.0.1:" + sys.argv[1]) as channel:
        call = channel.unary_unary(f"/{SERVICE}/ModelInfer", request_serializer=bytes,
                                   response_deserializer=bytes)
        await call(body)
        end, done = time.perf_counter() + float(sys.argv[3]), 0
        async def client():
            nonlocal done
            while time.perf_counter() < end:
                await call(body)
                done += 1
        started = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(8)))
        print(done / (time.perf_counter() - started))
asyncio.run(main())
"""


@dataclass(frozen=True)
class Peer:
    """A server under measurement."""

    command: list[str]
    port: int
    grpc_port: int


@dataclass(frozen=True)
class Load:
    """One kind of request."""

    path: str
    body: bytes
    headers: dict[str, str]


@dataclass(frozen=True)
class Result:
    """What wrk saw."""

    per_s: float
    p99_ms: float
    failed: int


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("models", type=Path, nargs="?", default=Path("models"))
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    given = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("wrk is not installed; it is in the packages of Debian and Homebrew")
    version = given.models / MODEL / "latest"
    loads = requests(version)
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        peers = {
            "bare": _python(BARE, version),
            "dwcp": _dwcp(given.models),
            "stock": _python(STOCK, version),
        }
        for peer in peers.values():
            stack.enter_context(_running(peer))
        figures = _measure(peers, loads, Path(folder), given.seconds, given.rounds)
    _show(figures)
    if given.out:
        given.out.write_text(json.dumps(figures, indent=2) + "\n")


def requests(version: Path) -> dict[str, Load]:
    """The kinds of request, made of the version's own golden pair."""
    import numpy as np

    row = json.loads((version / "metadata.json").read_text())["golden"][0]["request"]["features"]
    batch = np.repeat(np.array(row, np.float32), 64, axis=0)
    raw = batch.tobytes()
    tensor = {"name": "features", "datatype": "FP32"}
    small = {"inputs": [{**tensor, "shape": [1, 10, 7], "data": row}]}
    big = {"inputs": [{**tensor, "shape": [64, 10, 7], "data": batch.tolist()}]}
    sized = {**tensor, "shape": [64, 10, 7], "parameters": {"binary_data_size": len(raw)}}
    head = json.dumps({"inputs": [sized], "parameters": {"binary_data_output": True}}).encode()
    plain = {"content-type": "application/json"}
    binary = {
        "content-type": "application/octet-stream",
        "inference-header-content-length": str(len(head)),
    }
    return {
        "v2": Load(V2, json.dumps(small).encode(), plain),
        "v1": Load(V1, json.dumps({"instances": row}).encode(), plain),
        "v2_64_json": Load(V2, json.dumps(big).encode(), plain),
        "v2_64_binary": Load(V2, head + raw, binary),
    }


def _measure(
    peers: dict[str, Peer], loads: dict[str, Load], folder: Path, seconds: int, rounds: int
) -> dict[str, float]:
    plan = [
        ("bare v2", "bare", "v2", 8), ("dwcp v2", "dwcp", "v2", 8), ("stock v2", "stock", "v2", 8),
        ("dwcp v1", "dwcp", "v1", 8), ("stock v1", "stock", "v1", 8),
        ("dwcp v2 64 rows json", "dwcp", "v2_64_json", 8),
        ("dwcp v2 64 rows binary", "dwcp", "v2_64_binary", 8),
        ("stock v2 64 rows json", "stock", "v2_64_json", 8),
        ("dwcp v2 c1", "dwcp", "v2", 1), ("dwcp v2 c32", "dwcp", "v2", 32),
        ("dwcp v2 c500", "dwcp", "v2", 500),
        ("bare v2 c1", "bare", "v2", 1),
        ("bare v2 c32", "bare", "v2", 32),
    ]  # fmt: skip
    seen: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, peer, load, connections in plan:
            result = wrk(peers[peer].port, loads[load], connections, seconds, folder)
            seen.setdefault(f"{name} per s", []).append(result.per_s)
            seen.setdefault(f"{name} p99 ms", []).append(result.p99_ms)
            seen.setdefault(f"{name} failed", []).append(result.failed)
        for peer in ("dwcp", "stock"):
            per_s = grpc_load(peers[peer], loads["v2"], folder, seconds)
            seen.setdefault(f"{peer} grpc per s", []).append(per_s)
    figures = {name: statistics.median(values) for name, values in seen.items()}
    for over, under in (
        ("dwcp v2", "bare v2"), ("dwcp v2", "stock v2"), ("dwcp v1", "stock v1"),
        ("dwcp v1", "bare v2"), ("dwcp v2 64 rows binary", "dwcp v2 64 rows json"),
        ("dwcp v2 64 rows binary", "stock v2 64 rows json"), ("dwcp v2 c500", "dwcp v2"),
        ("dwcp grpc", "stock grpc"),
    ):  # fmt: skip
        pairs = zip(seen[f"{over} per s"], seen[f"{under} per s"], strict=True)
        figures[f"{over} / {under}"] = statistics.median(a / b for a, b in pairs)
    return figures


def wrk(port: int, load: Load, connections: int, seconds: int, folder: Path) -> Result:
    """Load one route with wrk."""
    body = "".join(f"\\{byte:03d}" for byte in load.body)
    headers = "".join(f"wrk.headers[{k!r}]={v!r}\n" for k, v in load.headers.items())
    script = folder / "load.lua"
    script.write_text(f'wrk.method="POST"\n{headers}wrk.body="{body}"\n')
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script)]
    text = subprocess.run(
        [*command, f"http://127.0.0.1:{port}{load.path}"],
        capture_output=True, text=True, check=True, preexec_fn=_on_last_core,
    ).stdout  # fmt: skip
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", text).groups()
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    broken = re.search(r"Socket errors: (.*)", text)
    lost = sum(map(int, re.findall(r"\d+", broken[1]))) if broken else 0
    return Result(
        float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]),
        float(value) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit],
        (int(failed[1]) if failed else 0) + lost,
    )


def grpc_load(peer: Peer, load: Load, folder: Path, seconds: int) -> float:
    """Calls a second of 8 gRPC clients with raw tensors, as KServe's client sends them."""
    import numpy as np

    from dwcp_ml.serving.kserve_protobuf import pb

    data = json.loads(load.body)["inputs"][0]["data"]
    request = pb.ModelInferRequest(model_name=MODEL, id="1")
    request.inputs.add(name="features", datatype="FP32", shape=[1, 10, 7])
    request.raw_input_contents.append(np.array(data, np.float32).tobytes())
    (folder / "request").write_bytes(request.SerializeToString())
    command = [sys.executable, "-c", GRPC_LOAD, str(peer.grpc_port), str(folder / "request")]
    return float(
        subprocess.run(
            [*command, str(seconds)],
            capture_output=True,
            check=True,
            preexec_fn=_on_last_core,
        ).stdout
    )


def _on_last_core() -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def _on_first_core() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def _python(source: str, version: Path) -> Peer:
    port, grpc_port = _free_port(), _free_port()
    return Peer(
        [sys.executable, "-c", source, str(version), str(port), str(grpc_port)], port, grpc_port
    )


def _dwcp(models: Path) -> Peer:
    port, grpc_port = _free_port(), _free_port()
    start = "from dwcp_ml.serve_commands import serve_command; serve_command()"
    ports = ["--port", str(port), "--grpc-port", str(grpc_port)]
    return Peer([sys.executable, "-c", start, str(models), *ports], port, grpc_port)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def _running(peer: Peer) -> Iterator[None]:
    process = subprocess.Popen(
        peer.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        preexec_fn=_on_first_core,
    )  # fmt: skip
    try:
        for _ in range(600):
            try:
                urlopen(f"http://127.0.0.1:{peer.port}/", timeout=1).close()
                break
            except (URLError, OSError):
                time.sleep(0.1)
        yield
    finally:
        process.kill()
        process.wait()


def _show(figures: dict[str, float]) -> None:
    for name, value in figures.items():
        print(f"{name:52} {value:10.2f}")


if __name__ == "__main__":
    main()
