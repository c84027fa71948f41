"""Telemetry by URI, from real folders, a real S3 server, a DVC remote and a DVC project in git."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from s3_server import MISSING, program, s3_server

from dwcp_ml.errors import DataSourceError
from dwcp_ml.files import sha256
from dwcp_ml.kubeflow.sources import bring, content_of
from dwcp_ml.params import SimulateParams
from dwcp_ml.telemetry.simulator import simulate

FLEET = {"nodes": 4, "steps": 200}


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw") / "raw"
    simulate(SimulateParams(**FLEET), folder)
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory, raw):
    """(a git repository with data/raw under DVC at tag v1, its remote, md5 of the data)."""
    import shutil

    root = tmp_path_factory.mktemp("project")
    repo, remote = root / "repo", root / "remote"
    repo.mkdir()
    dvc = Path(sys.executable).with_name("dvc")
    identity = {f"GIT_{who}_{what}": "t@example.org" for who in ("AUTHOR", "COMMITTER")
                for what in ("NAME", "EMAIL")}  # fmt: skip
    environment = os.environ | {"DVC_NO_ANALYTICS": "1"} | identity
    shutil.copytree(raw, repo / "data" / "raw")
    for command in (
        ["git", "init", "-q"], [dvc, "init", "-q"], [dvc, "remote", "add", "-d", "store", remote],
        [dvc, "add", "-q", "data/raw"], [dvc, "push", "-q"], ["git", "add", "-A"],
        ["git", "commit", "-qm", "data"], ["git", "tag", "v1"],
    ):  # fmt: skip
        done = subprocess.run(
            list(map(str, command)), cwd=repo, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    (output,) = yaml.safe_load((repo / "data" / "raw.dvc").read_text())["outs"]
    return repo, remote, output["md5"].removesuffix(".dir")


@pytest.fixture
def store(tmp_path, monkeypatch):
    if program() is None:
        pytest.skip(MISSING)
    with s3_server(tmp_path / "s3", "telemetry") as environment:
        for key, value in environment.items():
            monkeypatch.setenv(key, value)
        yield tmp_path / "s3" / "telemetry"


def brought(uri, revision, out):
    content = content_of(uri, revision, FLEET)
    bring(uri, revision, content, FLEET, out)
    return content


def test_simulator_makes_what_the_stage_makes(raw, tmp_path):
    brought("simulator:", "", tmp_path / "raw")
    assert sha256(tmp_path / "raw") == sha256(raw)
    assert content_of("simulator:", "", FLEET) != content_of("simulator:", "", {"nodes": 5})


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_folder_is_known_by_its_content(raw, tmp_path, scheme):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(raw, copy)
    before = content_of(f"{scheme}{copy}", "", {})
    assert before == content_of(str(raw), "", {})
    bring(f"{scheme}{copy}", "", before, {}, tmp_path / "out")
    assert sha256(tmp_path / "out") == sha256(raw)
    (copy / "labeled_incidents.json").write_text("[]")
    assert content_of(str(copy), "", {}) != before


def test_folder_on_s3_comes_whole_and_is_known_by_its_content(raw, tmp_path, store):
    import boto3

    client = boto3.client("s3")
    for file in (p for p in raw.rglob("*") if p.is_file()):
        client.upload_file(str(file), "telemetry", f"fleet/raw/{file.relative_to(raw)}")
    content = brought("s3://telemetry/fleet/raw", "", tmp_path / "out")
    assert sha256(tmp_path / "out") == sha256(raw)
    client.put_object(Bucket="telemetry", Key="fleet/raw/labeled_incidents.json", Body=b"[]")
    assert content_of("s3://telemetry/fleet/raw", "", {}) != content
    with pytest.raises(DataSourceError, match="was changed while it was read"):
        bring("s3://telemetry/fleet/raw", "", content, {}, tmp_path / "again")
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("uri", ["s3://telemetry/nothing", "s3://nowhere/raw", "s3://"])
def test_missing_prefix_or_bucket_is_one_sentence(store, uri, tmp_path):
    with pytest.raises(DataSourceError) as told:
        content_of(uri, "", {})
    assert "\n" not in str(told.value)


def test_s3_that_cannot_be_reached_is_one_sentence(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "x")
    with pytest.raises(DataSourceError, match="cannot be reached"):
        content_of("s3://telemetry/raw", "", {})


def test_revision_of_a_dvc_remote_is_pulled_by_its_digest(project, raw, tmp_path):
    _, remote, md5 = project
    content = brought(f"dvc+{remote}", md5, tmp_path / "out")
    assert content == f"md5:{md5}"
    assert sha256(tmp_path / "out") == sha256(raw)


def test_dvc_remote_on_s3_is_pulled_with_the_environments_keys(project, raw, tmp_path, store):
    import boto3

    _, remote, md5 = project
    client = boto3.client("s3")
    for file in (p for p in remote.rglob("*") if p.is_file()):
        client.upload_file(str(file), "telemetry", f"dvc/{file.relative_to(remote)}")
    brought("dvc+s3://telemetry/dvc", md5, tmp_path / "out")
    assert sha256(tmp_path / "out") == sha256(raw)


def test_tag_of_a_project_in_git_is_followed_to_the_data(project, raw, tmp_path):
    repo, _, md5 = project
    assert brought(f"git+file://{repo}", "v1", tmp_path / "out") == f"md5:{md5}"
    assert sha256(tmp_path / "out") == sha256(raw)
    brought(f"git+{repo}#data/raw", "v1", tmp_path / "named")
    assert sha256(tmp_path / "named") == sha256(raw)


@pytest.mark.parametrize(
    ("where", "revision", "says"),
    [
        ("git", "v2", "unknown Git revision 'v2'"),
        ("git", "", "needs a revision"),
        ("git-path", "v1", "cannot be had"),
        ("git-nowhere", "v1", "cannot be had"),
        ("dvc", "f" * 32, "cannot be had"),
        ("dvc", "v1", "cannot be had"),
    ],
)
def test_unknown_revision_or_project_is_one_sentence(project, tmp_path, where, revision, says):
    repo, remote, _ = project
    uri = {
        "git": f"git+{repo}",
        "git-path": f"git+{repo}#data/other",
        "git-nowhere": f"git+{tmp_path}/nowhere",
        "dvc": f"dvc+{remote}",
    }[where]
    with pytest.raises(DataSourceError, match=says) as told:
        brought(uri, revision, tmp_path / "out")
    assert "\n" not in str(told.value)
    assert not (tmp_path / "out").exists()


def test_folder_without_manifest_is_no_telemetry(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"")
    with pytest.raises(DataSourceError, match=r"telemetry\.json is missing"):
        content_of(str(tmp_path), "", {})


def test_keys_come_from_the_mounted_secret(tmp_path, monkeypatch):
    from dwcp_ml.registry.objects import use_secret

    (tmp_path / "accesskey").write_text("me\n")
    (tmp_path / "secretkey").write_text("hush")
    monkeypatch.setenv("DWCP_S3_SECRET", str(tmp_path))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "mine")
    use_secret()
    assert os.environ["AWS_ACCESS_KEY_ID"] == "me"
    kept = os.environ["AWS_SECRET_ACCESS_KEY"]
    assert kept == "mine", "what is set already stays"
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
