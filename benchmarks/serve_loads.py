"""The load of benchmarks/serve.py: requests of each kind, and what sends them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MODEL = "bandwidth_predictor"
V2, V1 = f"/v2/models/{MODEL}/infer", f"/v1/models/{MODEL}:predict"

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
class Load:
    """One kind of request."""

    path: str
    body: bytes
    headers: dict[str, str]


@dataclass(frozen=True)
class Result:
    """What wrk saw."""

    requests: int
    per_s: float
    p99_ms: float
    failed: int


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
        int(re.search(r"(\d+) requests in", text)[1]),
        float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]),
        float(value) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit],
        (int(failed[1]) if failed else 0) + lost,
    )


def grpc_load(port: int, load: Load, folder: Path, seconds: int) -> float:
    """Calls a second of 8 gRPC clients with raw tensors, as KServe's client sends them."""
    import numpy as np

    from dwcp_ml.serving.kserve_protobuf import pb

    data = json.loads(load.body)["inputs"][0]["data"]
    request = pb.ModelInferRequest(model_name=MODEL, id="1")
    request.inputs.add(name="features", datatype="FP32", shape=[1, 10, 7])
    request.raw_input_contents.append(np.array(data, np.float32).tobytes())
    (folder / "request").write_bytes(request.SerializeToString())
    command = [sys.executable, "-c", GRPC_LOAD, str(port), str(folder / "request")]
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
