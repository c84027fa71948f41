"""Full disks, read-only folders, too little memory: one sentence, and everything as it was."""

import os
import resource
import subprocess
import sys
from contextlib import contextmanager

import pytest
import small

from dwcp_ml.errors import OutOfMemoryError
from dwcp_ml.files import sha256

DISK_MIB = 64
ROOM_KIB = 16  # left free on the full disk; every stage needs more
MEMORY_MIB = {"ingest": 8, "validate": 8, "split": 8, "train": 4, "evaluate": 2}


@contextmanager
def disk(folder):
    """A small file system of its own."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "dwcp-test", folder]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root, where it is allowed to, can mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder):
    """Leave ``ROOM_KIB`` free."""
    free = os.statvfs(folder)
    with (folder / "filler").open("wb") as filler:
        os.posix_fallocate(filler.fileno(), 0, free.f_bavail * free.f_frsize - ROOM_KIB * 1024)


def everything(at):
    """Every file but the one that fills the disk, with digests."""
    return {
        p.relative_to(at): sha256(p)
        for p in at.rglob("*")
        if p.is_file() and p.name not in ("filler", ".lock")
    }


@pytest.mark.parametrize("stage", small.STAGES, ids=lambda stage: stage.name)
def test_full_disk_ends_a_stage_with_one_sentence_and_leaves_all_as_it_was(
    forks, place, tmp_path, stage
):
    with disk(tmp_path / "disk"):
        at = place(stage, "disk/place")
        fill(tmp_path / "disk")
        before = everything(at)
        said = forks.run(stage.name, at)["error"]
        assert said.startswith("StorageError: no space left to write"), said
        assert everything(at) == before
        assert small.litter(at) == []


@pytest.mark.parametrize("stage", small.STAGES, ids=lambda stage: stage.name)
def test_read_only_folder_ends_a_stage_with_one_sentence(forks, place, tmp_path, stage):
    with disk(tmp_path / "disk"):
        at = place(stage, "disk/place")
        before = everything(at)
        subprocess.run(["mount", "-o", "remount,ro", tmp_path / "disk"], check=True)
        said = forks.run(stage.name, at)["error"]
        assert said.startswith("StorageError: cannot write"), said
        assert "Read-only file system" in said
        assert everything(at) == before


@pytest.mark.parametrize("name", ["simulate", "ingest", "split", "train", "export"])
def test_file_that_may_not_grow_ends_a_stage_as_a_full_disk_does(forks, place, name):
    stage = small.BY_NAME[name]
    at = place(stage)
    before = everything(at)
    said = forks.run(name, at, file_kib=4)["error"]
    assert said.startswith("StorageError: no space left to write"), said
    assert everything(at) == before
    assert small.litter(at) == []


@pytest.mark.parametrize("name", MEMORY_MIB)
def test_too_little_memory_ends_a_stage_and_leaves_nothing_half_written(forks, place, name):
    stage = small.BY_NAME[name]
    at = place(stage)
    before = everything(at)
    said = forks.run(name, at, memory_mib=MEMORY_MIB[name])["error"]
    assert said is not None
    assert "Memory" in said.split(":")[0], said
    assert everything(at) == before
    assert small.litter(at) == []


def test_command_without_memory_ends_with_one_sentence_and_its_own_code(tmp_path):
    small.write_params(tmp_path, simulate={"nodes": 4, "nodes_per_part": 4, "steps": 4_000_000})
    most = 2 * 2**30

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (most, most))

    done = subprocess.run(
        [sys.executable, "-m", "dwcp_ml.cli", "simulate"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        preexec_fn=limit,
    )
    assert done.returncode == OutOfMemoryError.exit_code, done.stderr
    assert "error: there is not enough memory" in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["columns.yaml", "params.yaml"]
