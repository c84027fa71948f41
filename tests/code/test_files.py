"""Whole files or none, also when the writer dies."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dwcp_ml.errors import StorageError
from dwcp_ml.files import sha256, whole_file, whole_folder, write_json

KILLED = """
import os, signal
from pathlib import Path
from dwcp_ml.files import whole_folder
with whole_folder(Path({path!r})) as draft:
    (draft / "half").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
HELD = """
import sys
from pathlib import Path
from dwcp_ml.files import {writer}
with {writer}(Path({path!r})) as draft:
    (draft if {writer!r} == "whole_file" else draft / "content").write_text("content")
    print("writing", flush=True)
    sys.stdin.readline()
"""


def test_folder_is_replaced_as_a_whole(tmp_path):
    target = tmp_path / "out"
    for name in ("first", "second"):
        with whole_folder(target) as draft:
            (draft / name).write_text(name)
    assert [p.name for p in target.iterdir()] == ["second"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_folder_stays_as_it_was_when_the_body_fails(tmp_path):
    target = tmp_path / "out"
    with whole_folder(target) as draft:
        (draft / "good").write_text("good")
    with pytest.raises(RuntimeError), whole_folder(target) as draft:
        (draft / "bad").write_text("bad")
        raise RuntimeError
    assert [p.name for p in target.iterdir()] == ["good"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_killed_writer_leaves_the_old_folder_and_the_next_run_sweeps_its_draft(tmp_path):
    target = tmp_path / "out"
    with whole_folder(target) as draft:
        (draft / "good").write_text("good")
    done = subprocess.run([sys.executable, "-c", KILLED.format(path=str(target))])
    assert done.returncode == -signal.SIGKILL
    assert [p.name for p in target.iterdir()] == ["good"]
    assert (tmp_path / ".out.part").exists()
    with whole_folder(target) as draft:
        (draft / "new").write_text("new")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]


def test_folder_moved_aside_by_a_killed_writer_comes_back(tmp_path):
    aside = tmp_path / ".out.old"
    aside.mkdir()
    (aside / "good").write_text("good")
    with pytest.raises(RuntimeError), whole_folder(tmp_path / "out"):
        raise RuntimeError
    assert (tmp_path / "out" / "good").read_text() == "good"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("writer", [whole_file, whole_folder])
def test_second_writer_is_refused_by_name_and_the_first_one_ends_undisturbed(tmp_path, writer):
    held = [sys.executable, "-c", HELD.format(path=str(tmp_path / "out"), writer=writer.__name__)]
    with subprocess.Popen(held, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout.readline() == b"writing\n"
        sentence = rf"another run \(process {first.pid}\) is writing"
        with pytest.raises(StorageError, match=sentence), writer(tmp_path / "out"):
            pass
        first.communicate(b"go on\n")
    assert first.returncode == 0
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    with writer(tmp_path / "out") as draft:  # its lock went with it
        draft.write_text("") if writer is whole_file else None


def test_file_appears_only_when_complete(tmp_path):
    target = tmp_path / "a.json"
    with pytest.raises(ValueError, match="JSON"):
        write_json(target, {"x": float("nan")})
    assert list(tmp_path.iterdir()) == []
    write_json(target, {"x": 1})
    assert target.read_text() == '{\n  "x": 1\n}\n'


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_is_one_clear_sentence(tmp_path):
    with pytest.raises(StorageError, match="no space left"), whole_file(tmp_path / "a"):
        with Path("/dev/full").open("w") as full:
            full.write("x")


def test_file_where_a_folder_should_be_is_one_clear_sentence(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(StorageError, match="in the way"):
        write_json(tmp_path / "taken" / "report.json", {})


def test_folders_made_for_an_output_that_failed_go_again(tmp_path):
    (tmp_path / "kept").mkdir()
    for target in (tmp_path / "a" / "b" / "out", tmp_path / "kept" / "c" / "out"):
        with pytest.raises(RuntimeError), whole_folder(target):
            raise RuntimeError
    assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*")] == ["kept"]


def test_digest_of_a_folder_follows_names_and_contents(tmp_path):
    (tmp_path / "a").write_text("1")
    first = sha256(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    second = sha256(tmp_path)
    (tmp_path / "b").write_text("2")
    assert len({first, second, sha256(tmp_path)}) == 3
