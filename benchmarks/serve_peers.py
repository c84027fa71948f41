"""The servers of benchmarks/serve.py: ours, a bare ASGI application, and two stock ones.

Each is one process on one core that runs the same ONNX file with one thread.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READY_S = 60
INSTALL_S = 600

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

# MLServer has no runtime for ONNX; its documented way to add one is a class like this.
MLSERVER = """
import os
import numpy as np, onnxruntime as ort
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse
class Onnx(MLModel):
    async def load(self):
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = ort.InferenceSession(os.environ["ONNX"], options)
        self.names = [output.name for output in self.session.get_outputs()]
        return True
    async def predict(self, payload):
        x = NumpyCodec.decode_input(payload.inputs[0])
        arrays = self.session.run(None, {"features": x})
        outputs = [NumpyCodec.encode_output(n, a) for n, a in zip(self.names, arrays)]
        return InferenceResponse(model_name=self.name, outputs=outputs)
"""
MLSERVER_PACKAGES = ["mlserver==1.7.1", f"onnxruntime=={version('onnxruntime')}"]


class PeerError(Exception):
    """A server cannot be made or does not come up."""


@dataclass(frozen=True)
class Peer:
    """A server under measurement."""

    command: list[str]
    port: int
    grpc_port: int
    environment: dict[str, str] = field(default_factory=dict)


def bare(version: Path) -> Peer:
    """A function around ``session.run`` under uvicorn: the bound."""
    return _python(BARE, version)


def stock(version: Path) -> Peer:
    """The kserve SDK's own server, access log off."""
    return _python(STOCK, version)


def dwcp(models: Path, *options: str) -> Peer:
    """Ours, with its own defaults where ``options`` say nothing else."""
    port, grpc_port = _free_port(), _free_port()
    start = "from dwcp_ml.serve_commands import serve_command; serve_command()"
    ports = ["--port", str(port), "--grpc-port", str(grpc_port)]
    return Peer([sys.executable, "-c", start, str(models), *ports, *options], port, grpc_port)


def mlserver(version: Path, venv: Path, folder: Path) -> Peer:
    """MLServer without worker processes and access log.

    Args:
        version: folder of the model.
        venv: environment of its own, made if need be: its packages conflict with ours.
        folder: receives its settings.

    Raises:
        PeerError: the environment cannot be made.
    """
    _install(venv, MLSERVER_PACKAGES)
    port, grpc_port = _free_port(), _free_port()
    (folder / "onnx_runtime.py").write_text(MLSERVER)
    settings = {
        "http_port": port, "grpc_port": grpc_port, "metrics_port": _free_port(), "debug": False,
        "parallel_workers": 0, "metrics_dir": str(folder), "environments_dir": str(folder),
    }  # fmt: skip
    (folder / "settings.json").write_text(json.dumps(settings))
    model = {"name": "bandwidth_predictor", "implementation": "onnx_runtime.Onnx"}
    (folder / "model-settings.json").write_text(json.dumps(model))
    onnx = str((version / "model.onnx").resolve())
    command = [str(venv / "bin" / "mlserver"), "start", str(folder)]
    return Peer(command, port, grpc_port, {"ONNX": onnx, "PYTHONPATH": str(folder)})


@contextmanager
def running(peer: Peer) -> Iterator[psutil.Process]:
    """Start it on the first core, wait until it is ready, and yield its process.

    Raises:
        PeerError: it is not, within a minute.
    """
    process = subprocess.Popen(
        peer.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, **peer.environment}, preexec_fn=_on_first_core,
    )  # fmt: skip
    try:
        end = time.monotonic() + READY_S
        while not _ready(peer):
            if process.poll() is not None or time.monotonic() > end:
                raise PeerError(f"{' '.join(peer.command)[-200:]} did not become ready")
            time.sleep(0.1)
        yield psutil.Process(process.pid)
    finally:
        process.kill()
        process.wait()


def _ready(peer: Peer) -> bool:
    try:
        urlopen(f"http://127.0.0.1:{peer.port}/v2/health/ready", timeout=1).close()
    except (URLError, OSError):
        return False
    return True


def _install(venv: Path, packages: list[str]) -> None:
    made = venv / "packages.txt"
    if made.is_file() and made.read_text() == "\n".join(packages):
        return
    pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", *packages]
    for command in ([sys.executable, "-m", "venv", "--clear", str(venv)], pip):
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_S)
        except subprocess.TimeoutExpired as error:
            raise PeerError(f"{packages[0]} took longer than {INSTALL_S} s to install") from error
        except subprocess.CalledProcessError as error:
            said = (error.stderr or error.stdout).strip().splitlines() or ["no reason given"]
            raise PeerError(f"{packages[0]} cannot be installed: {said[-1]}") from error
    made.write_text("\n".join(packages))


def _python(source: str, version: Path) -> Peer:
    port, grpc_port = _free_port(), _free_port()
    return Peer(
        [sys.executable, "-c", source, str(version), str(port), str(grpc_port)], port, grpc_port
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _on_first_core() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
