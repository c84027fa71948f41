"""A small finished training, and a real MLflow server of its own environment on loopback."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "pipeline" / "faults"))
MLFLOW = ["tool", "run", "--python", sys.executable, "--from", "mlflow==3.17.2", "mlflow"]


def uv():
    """The program that makes environments, as the Makefile finds it."""
    return shutil.which("uv") or shutil.which(ROOT / ".tools" / "bin" / "uv")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def starting(tmp_path_factory):
    """URL of a server with an empty store that comes up, and whether it failed to."""
    if uv() is None:
        pytest.skip("needs uv for an MLflow server")
    fetched = subprocess.run([uv(), *MLFLOW, "--version"], capture_output=True, text=True)
    if fetched.returncode:
        pytest.skip("needs an MLflow server, which cannot be fetched")
    at, port = tmp_path_factory.mktemp("mlflow"), free_port()
    with (at / "log").open("w") as log:
        process = subprocess.Popen(
            [uv(), *MLFLOW, "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
             "--backend-store-uri", f"sqlite:///{at}/store.db",
             "--artifacts-destination", f"{at}/artifacts"],
            stdout=log, stderr=log, cwd=at, start_new_session=True,
            env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true",
                              "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        )  # fmt: skip
    yield (
        f"http://127.0.0.1:{port}",
        lambda: process.poll() is not None and (at / "log").read_text(),
    )
    os.killpg(process.pid, signal.SIGTERM)
    process.wait()


@pytest.fixture(scope="session")
def server(starting, finished):
    """URL of the server, which came up while the small training ran."""
    url, failed = starting
    while not answers(f"{url}/health"):
        assert not failed(), failed()
        time.sleep(0.2)
    return url


def answers(url):
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A folder in which every stage has run that a report needs; nothing is registered."""
    import small

    at = tmp_path_factory.mktemp("finished")
    small.write_params(at)
    for stage in small.STAGES:
        if stage.name not in ("ingest", "validate", "register"):
            stage.run(at)
    return at


@pytest.fixture
def desk(finished, tmp_path, monkeypatch):
    """A copy of the finished folder to work in, without a tracking server."""
    at = tmp_path / "desk"
    shutil.copytree(finished, at, ignore=shutil.ignore_patterns("raw", "native"))
    monkeypatch.chdir(at)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "DVC_EXP_NAME"):
        monkeypatch.delenv(name, raising=False)
    return at


@pytest.fixture
def dwcp(desk):
    """Runs a command at the desk; what it prints on both streams."""
    from dwcp_ml.cli import main

    def run(*arguments, code=0, **environment):
        done = CliRunner().invoke(main, [str(a) for a in arguments], env=environment)
        assert done.exit_code == code, done.output
        return done.output

    return run
