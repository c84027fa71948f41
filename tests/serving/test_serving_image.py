"""The images of Dockerfile.serve, if DWCP_SERVE_IMAGE and DWCP_SAMPLES_IMAGE name them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from contextlib import contextmanager

import httpx
import pyarrow.parquet as pq
import pytest
from running_server import until
from small_registry import LINEAR, LINEAR_ROW

IMAGE, SAMPLES = os.environ.get("DWCP_SERVE_IMAGE"), os.environ.get("DWCP_SAMPLES_IMAGE")
pytestmark = pytest.mark.skipif(not IMAGE, reason="DWCP_SERVE_IMAGE names no image")


def docker(*words):
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=True).stdout


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextmanager
def container(models, *more, image=IMAGE, volumes=()):
    """An image as a pod runs it: no root, no capability, no writable file; its name and URL."""
    port, grpc_port = free_port(), free_port()
    ports = ["--port", str(port), "--grpc-port", str(grpc_port)]  # the host's may be taken
    limits = ["--network", "host", "--read-only", "--cap-drop", "ALL"]
    mount = ["--security-opt", "no-new-privileges", "--volume", f"{models}:/mnt/models:ro"]
    mount += [word for volume in volumes for word in ("--volume", volume)]
    name = docker("run", "--detach", *limits, *mount, image, "/mnt/models", *ports, *more).strip()
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


def test_the_plain_image_refuses_to_keep_samples_and_says_why(registry):
    words = ["run", "--rm", "--network", "none", "--volume", f"{registry}:/mnt/models:ro", IMAGE]
    done = subprocess.run(
        ["docker", *words, "/mnt/models", "--samples", "s3://kept"], capture_output=True, text=True
    )
    assert done.returncode
    assert "serve-samples" in done.stderr + done.stdout


@pytest.mark.skipif(not SAMPLES, reason="DWCP_SAMPLES_IMAGE names no image")
def test_the_image_with_samples_keeps_them(registry, tmp_path):
    assert json.loads(docker("inspect", SAMPLES))[0]["Size"] < 600e6
    kept = tmp_path / "kept"
    kept.mkdir(mode=0o777)
    kept.chmod(0o777)
    options = ("--samples", "/kept", "--sample-every", "1", "--sample-flush-s", "0.2")
    with container(registry, *options, image=SAMPLES, volumes=[f"{kept}:/kept"]) as (_, url):
        until(lambda: ready(url))
        rows = {"instances": [LINEAR_ROW] * 3}
        assert httpx.post(f"{url}/v1/models/{LINEAR}:predict", json=rows).status_code == 200
        (file,) = until(lambda: list(kept.rglob("*.parquet")))
    assert pq.read_table(file).num_rows == 3
