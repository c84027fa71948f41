"""A real S3 server in a process of its own, and what finds it."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

KEYS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local-secret"}
PLACES = (
    os.environ.get("VERSITYGW"),
    shutil.which("versitygw"),
    Path.home() / "go" / "bin" / "versitygw",
    Path.home() / ".cache" / "test-cluster" / "kfp" / "bin" / "versitygw",
)
MISSING = "no S3 server: go install github.com/versity/versitygw/cmd/versitygw@latest"


def program() -> str | None:
    return next((str(p) for p in PLACES if p and Path(p).is_file()), None)


@contextmanager
def s3_server(root: Path, bucket: str) -> Iterator[dict[str, str]]:
    """Serve ``root``, with one bucket; yields the environment of its clients."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (root / bucket).mkdir(parents=True)  # a folder is a bucket
    keys = {"ROOT_ACCESS_KEY": KEYS["AWS_ACCESS_KEY_ID"],
            "ROOT_SECRET_KEY": KEYS["AWS_SECRET_ACCESS_KEY"]}  # fmt: skip
    server = subprocess.Popen(
        [program(), "--port", f"127.0.0.1:{port}", "--quiet", "posix", str(root)],
        env=os.environ | keys,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(200):
            with closing(socket.socket()) as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield KEYS | {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
    finally:
        server.terminate()
        server.wait(timeout=10)
