"""What `dwcp scale` says where something is missing; none of it needs a running Spark."""

import os
import socket
import stat
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from dwcp_ml.cli import main
from dwcp_ml.errors import DwcpError, MissingColumnError, ScaleError, StorageError
from dwcp_ml.scale import spark as sparks
from dwcp_ml.scale.places import Shared, published

ROOT = Path(__file__).parents[2]
SIMULATE = ["scale", "simulate", "--params", str(ROOT / "params.yaml"), "--nodes", "2",
            "--steps", "100", "--out"]  # fmt: skip


def refused(*words, code):
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exit_code == code, done.output
    return done.output


def program(folder, name, text):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_no_java_names_what_to_install(tmp_path, monkeypatch):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    said = refused(*SIMULATE, tmp_path / "raw", code=ScaleError.exit_code)
    assert "java is not on PATH" in said
    assert "openjdk-17-jre-headless" in said
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert "holds no bin/java" in refused(*SIMULATE, tmp_path / "raw", code=ScaleError.exit_code)


def test_an_old_java_is_refused_by_its_version(tmp_path, monkeypatch):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    program(tmp_path, "java", "echo 'openjdk version \"11.0.2\"' >&2")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    said = refused(*SIMULATE, tmp_path / "raw", code=ScaleError.exit_code)
    assert "needs Java 17 or newer" in said
    assert "version 11" in said


def test_no_pyspark_names_the_group(tmp_path, monkeypatch):
    monkeypatch.setattr(sparks, "find_spec", lambda name: None)
    said = refused(*SIMULATE, tmp_path / "raw", code=ScaleError.exit_code)
    assert "uv sync --group scale" in said


@pytest.fixture
def java(tmp_path, monkeypatch):
    pytest.importorskip("pyspark", reason="pyspark: uv sync --group scale")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    program(tmp_path, "java", "echo 'openjdk version \"17.0.1\"' >&2")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")


def test_a_master_that_does_not_listen_is_told_at_once(tmp_path, java):
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [*SIMULATE, tmp_path / "raw", "--master", f"spark://127.0.0.1:{port}"]
    said = refused(*words, code=ScaleError.exit_code)
    assert f"cannot be reached: 127.0.0.1:{port}" in said


def test_a_word_that_is_no_master_and_a_setting_that_is_none(tmp_path, java):
    said = refused(*SIMULATE, tmp_path / "raw", "--master", "http://a:7077", code=37)
    assert "spark://HOST:7077" in said
    assert "not spark.KEY=VALUE" in refused(*SIMULATE, tmp_path / "raw", "--conf", "memory", code=2)


def test_an_output_that_exists_stays_as_it_is(tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "mine").write_text("kept")
    with pytest.raises(StorageError, match="exists already"):
        with published(str(tmp_path / "raw"), replace=False):
            pass
    assert [p.name for p in (tmp_path / "raw").iterdir()] == ["mine"]


def test_a_failed_job_leaves_nothing_and_a_straggler_cannot_bring_it_back(tmp_path):
    (tmp_path / "made").write_text("rows")
    with pytest.raises(ZeroDivisionError):
        with published(str(tmp_path / "raw"), replace=False) as target:
            target.put(tmp_path / "made", "telemetry/part-00000.parquet")
            raise ZeroDivisionError
    assert [p.name for p in tmp_path.iterdir()] == ["made"]
    with pytest.raises(StorageError, match="a worker cannot write"):
        target.put(tmp_path / "made", "telemetry/part-00001.parquet")
    assert [p.name for p in tmp_path.iterdir()] == ["made"]


def test_a_second_attempt_replaces_the_first_and_drafts_of_a_lost_one_go(tmp_path):
    (tmp_path / "made").write_text("rows")
    with published(str(tmp_path / "out"), replace=False) as target:
        assert isinstance(target, Shared)
        for _ in range(2):
            target.put(tmp_path / "made", "part-00000.parquet")
        (target.root / ".part-00001.parquet.lost").write_text("half of")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "_SUCCESS",
        "part-00000.parquet",
    ]


def test_a_workers_failure_reads_as_it_would_without_spark():
    text = (
        "An exception was thrown from the Python worker\nTraceback ...\n"
        "dwcp_ml.errors.MissingColumnError: part-00000.parquet has no column 'rtt_ms'\n"
    )
    told = sparks._told(RuntimeError(text))
    assert isinstance(told, MissingColumnError)
    assert str(told) == "part-00000.parquet has no column 'rtt_ms'"
    other = sparks._told(RuntimeError("Job aborted\n  ValueError: bad\n"))
    assert (type(other), str(other)) == (ScaleError, "the job failed: ValueError: bad")
    assert not isinstance(sparks._told(RuntimeError("java.lang.OutOfMemoryError")), DwcpError)
