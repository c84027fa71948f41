"""Stages in processes that may die: one process imports everything once, each run is a fork of it.

Run as a script it reads orders, one JSON object a line, and answers each with another.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import small

CHANGES = ("os.rename", "os.symlink", "os.mkdir", "os.remove", "os.rmdir", "os.chmod")
MIB = 2**20


class Forks:
    """The other side: runs stages in forks of a process that has imported everything."""

    def __init__(self, **environment: str) -> None:
        environment = {"OMP_NUM_THREADS": "1", "GX_ANALYTICS_ENABLED": "false"} | environment
        self._server = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
        )

    def run(self, stage: str, at: Path, **order: Any) -> dict[str, Any]:
        """Run a stage; see ``_child`` and ``_serve`` for what can be ordered.

        Returns:
            "signal" that ended it or None, "error" (class and text) or None, "steps" that it took
            on disk, "seconds".
        """
        self._server.stdin.write(json.dumps({"stage": stage, "at": str(at), **order}) + "\n")
        self._server.stdin.flush()
        return json.loads(self._server.stdout.readline())

    def close(self) -> None:
        """End the process."""
        self._server.communicate(timeout=30)


def _count_steps(at: str, act: Callable[[int], None]) -> None:
    """Call ``act`` with 1, 2, ... before every change on disk that Python makes below ``at``."""
    steps = 0

    def count(event: str, details: tuple) -> None:
        nonlocal steps
        writes = event == "open" and details[2] & (os.O_WRONLY | os.O_RDWR)
        if (writes or event in CHANGES) and str(details[0]).startswith(at):
            steps += 1
            act(steps)

    sys.addaudithook(count)


def _child(order: dict[str, Any], answer: int) -> None:
    """Run the stage: ``kill_step`` dies before that change, ``memory_mib`` and ``file_kib`` limit
    the address space beyond what is held at the start, and the size of a file."""
    taken = 0

    def act(step: int) -> None:
        nonlocal taken
        taken = step
        if step == order.get("kill_step"):
            os.kill(os.getpid(), signal.SIGKILL)

    _count_steps(order["at"], act)
    if "memory_mib" in order:
        held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        most = held + order["memory_mib"] * MIB
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    if "file_kib" in order:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["file_kib"] * 1024,) * 2)
    said = None
    try:
        small.BY_NAME[order["stage"]].run(Path(order["at"]))
    except BaseException as error:
        said = f"{type(error).__name__}: {error}"
    os.write(answer, json.dumps({"error": said, "steps": taken}).encode())
    os._exit(0)


def _serve(order: dict[str, Any]) -> dict[str, Any]:
    """Fork, run and wait; ``kill_after_s`` kills the fork after that time."""
    answer, said = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        _child(order, said)
    os.close(said)
    timer = threading.Timer(order.get("kill_after_s", 600), os.kill, (child, signal.SIGKILL))
    timer.start()
    with os.fdopen(answer, "rb") as stream:
        text = stream.read()
    _, status = os.waitpid(child, 0)
    seconds = time.monotonic() - began
    timer.cancel()
    timer.join()
    return {
        "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
        "seconds": seconds,
        **(json.loads(text) if text else {"error": None, "steps": None}),
    }


def _import_everything() -> None:
    """What the stages import inside functions, but for TensorFlow, whose threads a fork loses."""
    import great_expectations  # noqa: F401
    import matplotlib.figure  # noqa: F401
    import onnx  # noqa: F401
    import onnxruntime  # noqa: F401
    import pandas  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import scipy.signal  # noqa: F401
    import sklearn.ensemble  # noqa: F401
    import skops.io  # noqa: F401

    import dwcp_ml.evaluation.report
    import dwcp_ml.models.export
    import dwcp_ml.registry
    import dwcp_ml.telemetry.contract
    import dwcp_ml.telemetry.ingest
    import dwcp_ml.telemetry.simulator  # noqa: F401


if __name__ == "__main__":
    _import_everything()
    for line in sys.stdin:
        print(json.dumps(_serve(json.loads(line))), flush=True)
