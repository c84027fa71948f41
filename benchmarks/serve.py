"""Requests a second of `dwcp serve`, beside a bare ASGI application and two stock servers.

    python benchmarks/serve.py models --seconds 5 --rounds 3

Every round measures all servers in turn with wrk, one server process on one core, and the ratios
are medians over the rounds. On a busy machine the scheduler favours one server over another:
there the ratios "by cpu", of the processor time that a request costs, hold longer.

The stock servers are kserve's own, and MLServer with a runtime of a few lines for ONNX, which it
lacks. MLServer's packages conflict with ours: it gets an environment of its own, made at the first
run where packages can be installed, and is left out where they cannot. Needs wrk.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import serve_peers as servers
from serve_loads import MODEL, Load, grpc_load, requests, wrk
from serve_peers import Peer, PeerError, running

PLAN = [
    ("bare v2", "bare", "v2", 8), ("dwcp v2", "dwcp", "v2", 8), ("stock v2", "stock", "v2", 8),
    ("mlserver v2", "mlserver", "v2", 8),
    ("dwcp v1", "dwcp", "v1", 8), ("stock v1", "stock", "v1", 8),
    ("dwcp v2 64 rows json", "dwcp", "v2_64_json", 8),
    ("dwcp v2 64 rows binary", "dwcp", "v2_64_binary", 8),
    ("stock v2 64 rows json", "stock", "v2_64_json", 8),
    ("dwcp v2 samples", "samples", "v2", 8),
    ("dwcp v2 c1", "dwcp", "v2", 1), ("dwcp v2 c32", "dwcp", "v2", 32),
    ("dwcp v2 c500", "dwcp", "v2", 500),
    ("bare v2 c1", "bare", "v2", 1),
    ("bare v2 c32", "bare", "v2", 32),
]  # fmt: skip
RATIOS = [
    ("dwcp v2 samples", "dwcp v2"),
    ("dwcp v2", "bare v2"), ("dwcp v2", "stock v2"), ("dwcp v2", "mlserver v2"),
    ("dwcp v1", "stock v1"), ("dwcp v1", "bare v2"),
    ("dwcp v2 64 rows binary", "dwcp v2 64 rows json"),
    ("dwcp v2 64 rows binary", "stock v2 64 rows json"), ("dwcp v2 c500", "dwcp v2"),
    ("dwcp grpc", "stock grpc"), ("dwcp grpc", "mlserver grpc"),
]  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("models", type=Path, nargs="?", default=Path("models"))
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--venv", type=Path, default=Path("build/mlserver"), help="of MLServer")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    given = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("wrk is not installed; it is in the packages of Debian and Homebrew")
    version = given.models / MODEL / "latest"
    loads = requests(version)
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        peers = {
            "bare": servers.bare(version),
            "dwcp": servers.dwcp(given.models),
            # One request in ten is kept, a file every two seconds: ten times what is usual.
            "samples": servers.dwcp(
                given.models,
                "--samples",
                f"{folder}/samples",
                "--sample-every",
                "10",
                "--sample-flush-s",
                "2",
            ),
            "stock": servers.stock(version),
        }
        processes = {name: stack.enter_context(running(peer)) for name, peer in peers.items()}
        try:
            mlserver = servers.mlserver(version, given.venv, Path(folder))
            processes["mlserver"] = stack.enter_context(running(mlserver))
            peers["mlserver"] = mlserver
        except PeerError as error:
            print(f"MLServer is left out: {error}", file=sys.stderr)
        _agree(peers, loads["v2"])
        figures = _measure(peers, processes, loads, Path(folder), given)
    for name, value in figures.items():
        print(f"{name:52} {value:10.2f}")
    if given.out:
        given.out.write_text(json.dumps(figures, indent=2) + "\n")


def _agree(peers: dict[str, Peer], load: Load) -> None:
    """End unless all give one answer: then they do the same work."""
    answers = {}
    for name, peer in peers.items():
        url = f"http://127.0.0.1:{peer.port}{load.path}"
        said = httpx.post(url, content=load.body, headers=load.headers).raise_for_status().json()
        outputs = said.get("outputs") or [{"name": k, "data": v} for k, v in said.items()]
        answers[name] = next(o["data"][0] for o in outputs if o["name"] == "next_throughput_mbps")
    if max(answers.values()) - min(answers.values()) > 1e-4 * abs(answers["bare"]):
        sys.exit(f"the servers give different answers: {answers}")


def _measure(
    peers: dict[str, Peer],
    processes: dict[str, psutil.Process],
    loads: dict[str, Load],
    folder: Path,
    given: argparse.Namespace,
) -> dict[str, float]:
    seen: dict[str, list[float]] = {}
    for _ in range(given.rounds):
        for name, peer, load, connections in PLAN:
            if peer not in peers:
                continue
            before_s = _cpu_s(processes[peer])
            result = wrk(peers[peer].port, loads[load], connections, given.seconds, folder)
            cpu_us = 1e6 * (_cpu_s(processes[peer]) - before_s) / max(result.requests, 1)
            seen.setdefault(f"{name} per s", []).append(result.per_s)
            seen.setdefault(f"{name} cpu us", []).append(cpu_us)
            seen.setdefault(f"{name} p99 ms", []).append(result.p99_ms)
            seen.setdefault(f"{name} failed", []).append(result.failed)
        for peer in ("dwcp", "stock", "mlserver"):
            if peer in peers:
                per_s = grpc_load(peers[peer].grpc_port, loads["v2"], folder, given.seconds)
                seen.setdefault(f"{peer} grpc per s", []).append(per_s)
    figures = {name: statistics.median(values) for name, values in seen.items()}
    for over, under in RATIOS:
        if f"{under} per s" in seen:
            pairs = zip(seen[f"{over} per s"], seen[f"{under} per s"], strict=True)
            figures[f"{over} / {under}"] = statistics.median(a / b for a, b in pairs)
        if f"{under} p99 ms" in seen and f"{over} p99 ms" in seen:
            pairs = zip(seen[f"{over} p99 ms"], seen[f"{under} p99 ms"], strict=True)
            figures[f"{over} / {under} by p99"] = statistics.median(a / b for a, b in pairs)
        if f"{under} cpu us" in seen:
            pairs = zip(seen[f"{under} cpu us"], seen[f"{over} cpu us"], strict=True)
            figures[f"{over} / {under} by cpu"] = statistics.median(a / b for a, b in pairs)
    return figures


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


if __name__ == "__main__":
    main()
