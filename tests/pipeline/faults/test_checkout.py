"""DVC around the stages: two runs at once, runs that are killed, a cache that is damaged.

Every test leaves the telemetry as it was, but for the last one.
"""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import small

from dwcp_ml.errors import StorageError, UnreadableFileError
from dwcp_ml.files import sha256

DEADLINE_S = 120


class Checkout:
    """What `dvc repro` needs, under DVC without git."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = f"{small.BIN}{os.pathsep}{os.environ['PATH']}"
        self.environment = os.environ | {"PATH": path, "OMP_NUM_THREADS": "1"}
        for name in ("dvc.yaml", ".dvcignore"):
            shutil.copy(small.ROOT / name, folder / name)
        for name in ("src", "schemas"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(small.ROOT / name, folder / name, ignore=ignored)
        self.dvc("init", "--no-scm", "-q")
        for option in ("core.analytics", "core.check_update"):
            self.dvc("config", option, "false")

    def start(self, *command: str) -> subprocess.Popen:
        """A command in a process group of its own."""
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *command: str, code: int | None = 0) -> str:
        """What a command prints."""
        process = self.start(*command)
        output, _ = process.communicate(timeout=DEADLINE_S)
        assert code in (None, process.returncode), output
        return output

    def dvc(self, *arguments: str) -> str:
        """What `dvc ARGUMENTS` prints."""
        return self.run("dvc", *arguments)


def wait_for(path: Path, pattern: str) -> None:
    """Until a file of that pattern lies below."""
    end = time.monotonic() + DEADLINE_S
    while not list(path.glob(pattern)):
        assert time.monotonic() < end
        time.sleep(0.02)


def flip(path: Path) -> None:
    """Another byte in the middle of a file, whose age stays as it was."""
    before = path.stat()
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    path.chmod(before.st_mode)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    made = Checkout(tmp_path_factory.mktemp("checkout"))
    small.write_params(made.folder)
    made.dvc("repro", "-q", "simulate")
    made.digest = sha256(made.folder / "data/raw")
    return made


def test_run_killed_with_its_stage_is_followed_by_a_clean_one(checkout):
    shutil.rmtree(checkout.folder / "data/raw")
    process = checkout.start("dvc", "repro", "-f", "simulate")
    wait_for(checkout.folder / "data", ".raw.part/telemetry/*.parquet")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (checkout.folder / "data/raw").exists()
    checkout.dvc("repro", "-q", "simulate")
    assert sha256(checkout.folder / "data/raw") == checkout.digest
    assert small.litter(checkout.folder / "data") == []


def test_second_run_in_a_checkout_is_refused_and_the_first_one_ends_undisturbed(checkout):
    first = checkout.start("dvc", "repro", "-f", "simulate")
    wait_for(checkout.folder / "data", ".raw.part")
    os.killpg(first.pid, signal.SIGSTOP)  # in the middle, for as long as the second one needs
    try:
        second = checkout.run("dvc", "repro", "-f", "simulate", code=None)
        plain = checkout.run("dwcp", "simulate", code=StorageError.exit_code)
    finally:
        os.killpg(first.pid, signal.SIGCONT)
    assert "busy" in second or "lock" in second, second
    assert "is writing data/raw; wait until it has ended" in plain
    output, _ = first.communicate(timeout=DEADLINE_S)
    assert first.returncode == 0, output
    assert sha256(checkout.folder / "data/raw") == checkout.digest


def test_file_changed_behind_dvc_is_noticed_and_made_anew(checkout):
    part = min((checkout.folder / "data/raw/telemetry").glob("*.parquet"))
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 0xFF
    part.write_bytes(content)
    assert "data/raw" in checkout.dvc("status", "simulate")
    assert "Running stage 'simulate'" in checkout.dvc("repro", "simulate")
    assert sha256(checkout.folder / "data/raw") == checkout.digest


def test_damaged_telemetry_from_the_cache_is_refused_by_the_stage_that_reads_it(checkout):
    largest = max(
        (p for p in (checkout.folder / ".dvc/cache").rglob("*") if p.is_file()),
        key=lambda p: p.stat().st_size,
    )
    flip(largest)
    shutil.rmtree(checkout.folder / "data/raw")
    restored = checkout.run("dvc", "checkout", "data/raw", code=None)
    if sha256(checkout.folder / "data/raw") == checkout.digest:
        pytest.fail("the damage was not restored")
    said = checkout.run("dwcp", "split", code=UnreadableFileError.exit_code)
    assert "is damaged" in said, restored + said
