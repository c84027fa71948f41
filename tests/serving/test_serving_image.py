"""The image of Dockerfile.serve, if DWCP_SERVE_IMAGE names one that was built."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from contextlib import contextmanager

import httpx
import pytest
from running_server import until
from small_registry import LINEAR, LINEAR_ROW

IMAGE = os.environ.get("DWCP_SERVE_IMAGE")
pytestmark = pytest.mark.skipif(not IMAGE, reason="DWCP_SERVE_IMAGE names no image")


def docker(*words):
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=True).stdout


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextmanager
def container(models):
    """The image as a pod runs it: no root, no capability, no writable file; its name and URL."""
    port, grpc_port = free_port(), free_port()
    ports = ["--port", str(port), "--grpc-port", str(grpc_port)]  # the host's may be taken
    limits = ["--network", "host", "--read-only", "--cap-drop", "ALL"]
    mount = ["--security-opt", "no-new-privileges", "--volume", f"{models}:/mnt/models:ro"]
    name = docker("run", "--detach", *limits, *mount, IMAGE, "/mnt/models", *ports).strip()
    try:
        yield name, f"http://127.0.0.1:{port}"
    finally:
        docker("rm", "--force", name)


def ready(url):
    try:
        return httpx.get(f"{url}/v2/health/ready").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("what", [".", f"{LINEAR}/v1.0"])
def test_the_image_serves_a_registry_or_one_version(registry, what):
    began = time.monotonic()
    with container(registry / what) as (name, url):
        until(lambda: ready(url))
        print(f"ready after {time.monotonic() - began:.1f} s, the container's start included")
        rows = {"instances": [LINEAR_ROW]}
        answer = httpx.post(f"{url}/v1/models/{LINEAR}:predict", json=rows)
        assert answer.json()["predictions"][0]["score"] == 8.0
        rss_kb = docker("top", name, "-o", "pid,rss").split()[-1]
        assert int(rss_kb) < 500_000
        docker("stop", name)
        assert docker("inspect", "--format", "{{.State.ExitCode}}", name).strip() == "0"


def test_the_image_is_small_and_not_root():
    about = json.loads(docker("inspect", IMAGE))[0]
    assert about["Size"] < 450e6
    assert about["Config"]["User"] == "65532:65532"
    found = ["run", "--rm", "--network", "none", "--entrypoint", "/app/.venv/bin/python", IMAGE]
    names = "'tensorflow', 'pandas', 'dvc'"
    find = f"import importlib.util as u; print([n for n in ({names}) if u.find_spec(n)])"
    assert docker(*found, "-c", find) == "[]\n"
