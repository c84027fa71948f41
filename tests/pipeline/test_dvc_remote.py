"""Telemetry goes to an S3 remote and comes back the same, through a real S3 server process."""

import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from dwcp_ml.files import sha256
from dwcp_ml.params import SimulateParams
from dwcp_ml.telemetry.simulator import simulate

KEYS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local-secret"}


def s3_server() -> str | None:
    places = [
        os.environ.get("VERSITYGW"),
        shutil.which("versitygw"),
        Path.home() / "go/bin/versitygw",
    ]
    return next((str(p) for p in places if p and Path(p).is_file()), None)


@pytest.fixture
def endpoint(tmp_path):
    program = s3_server()
    if program is None:
        pytest.skip("no S3 server: go install github.com/versity/versitygw/cmd/versitygw@latest")
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "s3" / "telemetry").mkdir(parents=True)  # a folder is a bucket
    environment = os.environ | {
        "ROOT_ACCESS_KEY": KEYS["AWS_ACCESS_KEY_ID"],
        "ROOT_SECRET_KEY": KEYS["AWS_SECRET_ACCESS_KEY"],
    }
    command = [program, "--port", f"127.0.0.1:{port}", "--quiet", "posix", str(tmp_path / "s3")]
    server = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(100):
            with closing(socket.socket()) as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=10)


def test_pushed_telemetry_is_pulled_back_byte_for_byte(tmp_path, endpoint):
    repo = tmp_path / "repo"
    repo.mkdir()
    dvc = Path(sys.executable).with_name("dvc")
    environment = os.environ | KEYS | {"DVC_NO_ANALYTICS": "1", "AWS_DEFAULT_REGION": "us-east-1"}

    def run(*command):
        done = subprocess.run(
            list(map(str, command)), cwd=repo, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr

    run("git", "init", "-q")
    run(dvc, "init", "-q")
    run(dvc, "remote", "add", "-d", "store", "s3://telemetry/dvc")
    run(dvc, "remote", "modify", "store", "endpointurl", endpoint)
    simulate(SimulateParams(nodes=4, steps=200), repo / "data" / "raw")
    before = sha256(repo / "data" / "raw")
    run(dvc, "add", "-q", "data/raw")
    run(dvc, "push", "-q")

    shutil.rmtree(repo / "data" / "raw")
    shutil.rmtree(repo / ".dvc" / "cache")
    run(dvc, "pull", "-q")
    assert sha256(repo / "data" / "raw") == before
