"""Several workers on this machine, each a process of its own that talks over loopback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING

from dwcp_ml.errors import WorkersError
from dwcp_ml.scale.workers import TENSORFLOW, Team

if TYPE_CHECKING:
    from collections.abc import Sequence

    Worker = tuple[subprocess.Popen[bytes], IO[bytes]]

GRACE_S = 30.0  # for the others to notice that one has ended
LOOK_S = 0.1


def run_workers(count: int, command: Sequence[str], threads: int) -> None:
    """Run ``command`` in ``count`` processes that are one team; the first one's output is shown.

    Args:
        count: number of workers.
        command: arguments of ``dwcp`` that a worker understands.
        threads: of TensorFlow in each.

    Raises:
        WorkersError: a worker failed; with its last words, and its exit code.
    """
    addresses = free_addresses(count)
    with ExitStack() as stack:
        workers = []
        for index in range(count):
            said = stack.enter_context(TemporaryFile())
            process = _start(Team(addresses, index), command, threads, said)
            stack.callback(_end, process)
            workers.append((process, said))
        failed = _first_failure(workers)
        if failed is not None:
            raise _told(failed, *workers[failed])


def _start(
    team: Team, command: Sequence[str], threads: int, said: IO[bytes]
) -> subprocess.Popen[bytes]:
    settings = {
        TENSORFLOW: team.config,
        "TF_NUM_INTRAOP_THREADS": str(threads),
        "TF_NUM_INTEROP_THREADS": str(threads),
        "PYTHONUNBUFFERED": "1",
    }
    arguments = [sys.executable, "-m", "dwcp_ml.cli", *command]
    out = None if team.chief else said  # a failed chief has said it already
    return subprocess.Popen(arguments, env=os.environ | settings, stdout=out, stderr=out)


def _first_failure(workers: Sequence[Worker]) -> int | None:
    """Wait for all; the worker that failed first, if any did."""
    failed, until = None, float("inf")
    while time.monotonic() < until:
        codes = [process.poll() for process, _ in workers]
        bad = [index for index, code in enumerate(codes) if code]
        if bad and failed is None:
            failed, until = bad[0], time.monotonic() + GRACE_S
        if None not in codes:
            break
        time.sleep(LOOK_S)
    return failed


def _told(index: int, process: subprocess.Popen[bytes], said: IO[bytes]) -> WorkersError:
    code = process.returncode
    how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
    said.seek(0)
    lines = said.read().decode(errors="replace").strip().splitlines()
    error = WorkersError(f"worker {index} {how}" + (f": {lines[-1]}" if lines else ""))
    error.exit_code = code if code > 0 else WorkersError.exit_code
    return error


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def free_addresses(count: int) -> tuple[str, ...]:
    """Addresses on loopback whose ports are free now."""
    with ExitStack() as stack:
        made = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in made:
            each.bind(("127.0.0.1", 0))
        return tuple(f"127.0.0.1:{each.getsockname()[1]}" for each in made)
