"""The image of Dockerfile.serve, if DWCP_SERVE_IMAGE names one that was built."""

from __future__ import annotations

import json
import os
import subprocess
import time
from contextlib import contextmanager

import httpx
import pytest
from running_server import until
from small_registry import LINEAR, LINEAR_ROW

IMAGE = os.environ.get("DWCP_SERVE_IMAGE")
PORT = 8080
URL = f"http://127.0.0.1:{PORT}"
pytestmark = pytest.mark.skipif(not IMAGE, reason="DWCP_SERVE_IMAGE names no image")


def docker(*words):
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=True).stdout


@contextmanager
def container(models):
    """The image as a pod runs it: no root, no capability, no writable file."""
    limits = ["--network", "host", "--read-only", "--cap-drop", "ALL"]
    mount = ["--security-opt", "no-new-privileges", "--volume", f"{models}:/mnt/models:ro"]
    name = docker("run", "--detach", *limits, *mount, IMAGE).strip()
    try:
        yield name
    finally:
        docker("rm", "--force", name)


def ready():
    try:
        return httpx.get(f"{URL}/v2/health/ready").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("what", [".", f"{LINEAR}/v1.0"])
def test_the_image_serves_a_registry_or_one_version(registry, what):
    began = time.monotonic()
    with container(registry / what) as name:
        until(ready)
        assert time.monotonic() - began < 15  # 3 s is the aim on a machine that does nothing else
        rows = {"instances": [LINEAR_ROW]}
        answer = httpx.post(f"{URL}/v1/models/{LINEAR}:predict", json=rows)
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
