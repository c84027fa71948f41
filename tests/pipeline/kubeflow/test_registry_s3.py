"""The registry on a real S3 server: the local one's rules, immutable versions, a latest object."""

import json
import shutil

import pytest
from s3_server import MISSING, program, s3_server
from toy_model import CREATED, NAME, make_artifact, make_workspace, toy_params

from dwcp_ml import models
from dwcp_ml.errors import GateFailedError, RegistryError, StorageError
from dwcp_ml.evaluation.evaluate import evaluate
from dwcp_ml.files import sha256, write_json
from dwcp_ml.registry.objects import TakenError, objects
from dwcp_ml.registry.remote import bring_version, champions, register_at, version_uri

URI = "s3://models/dwcp"
FILES = {"model.onnx", "metadata.json", "card.md"}


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """Workspaces of two different models under one name."""
    found = {}
    for rounds in (1, 2):
        root = make_workspace(tmp_path_factory.mktemp(f"rounds-{rounds}"))
        make_artifact(root, rounds=rounds)
        folders = root / "artifacts", root / "data" / "splits", root / "reports"
        evaluate(NAME, *folders, toy_params(rounds=rounds))
        found[rounds] = root
    yield found
    models.available().pop(NAME, None)


@pytest.fixture
def store(tmp_path, monkeypatch):
    if program() is None:
        pytest.skip(MISSING)
    with s3_server(tmp_path / "s3", "models") as environment:
        for key, value in environment.items():
            monkeypatch.setenv(key, value)
        yield objects(URI)


def registered(root, uri=URI, created=CREATED):
    made = register_at(uri, root / "reports", root / "artifacts", [NAME], created=created)
    return [(str(entry.version), entry.new) for entry in made]


def test_first_version_lies_in_the_registrys_layout_with_a_latest_object(evaluated, store):
    assert champions(URI, [NAME]) == {}
    assert registered(evaluated[1]) == [("v1.0", True)]
    assert set(store.names()) == {f"{NAME}/v1.0/{file}" for file in FILES} | {f"{NAME}/latest"}
    assert store.read(f"{NAME}/latest") == b"v1.0\n"
    assert champions(URI, [NAME]) == {NAME: "v1.0"}


def test_same_digest_again_changes_nothing(evaluated, store):
    registered(evaluated[1])
    before = store.names()
    assert registered(evaluated[1], created="2030-01-01T00:00:00+00:00") == [("v1.0", False)]
    assert store.names() == before


def test_another_model_becomes_the_next_version_and_the_first_stays(evaluated, store):
    registered(evaluated[1])
    first = {name: tag for name, tag in store.names().items() if "/v1.0/" in name}
    assert registered(evaluated[2]) == [("v1.1", True)]
    assert first.items() <= store.names().items()
    assert champions(URI, [NAME]) == {NAME: "v1.1"}
    assert registered(evaluated[1]) == [("v1.0", False)]
    assert champions(URI, [NAME]) == {NAME: "v1.1"}, "the newest version stays the latest"


def test_version_on_s3_holds_the_files_that_a_local_registry_would(evaluated, store, tmp_path):
    registered(evaluated[1])
    local = tmp_path / "local"
    registered(evaluated[1], uri=str(local))
    brought = bring_version(URI, NAME, "v1.0", tmp_path / "brought")
    assert sha256(brought) == sha256(local / NAME / "v1.0")
    assert bring_version(str(local), NAME, "v1.0", tmp_path) == local / NAME / "v1.0"


def test_run_that_was_cut_off_is_finished_by_the_next_one(evaluated, store):
    onnx = (evaluated[1] / "artifacts" / NAME / "model.onnx").read_bytes()
    store.write(f"{NAME}/v1.0/model.onnx", onnx)
    store.write(f"{NAME}/v1.0/card.md", b"of an earlier minute")
    assert champions(URI, [NAME]) == {}
    assert registered(evaluated[1]) == [("v1.0", True)]
    assert store.read(f"{NAME}/v1.0/card.md") != b"of an earlier minute"
    assert store.read(f"{NAME}/latest") == b"v1.0\n"


def test_number_that_another_model_has_claimed_is_not_taken(evaluated, store):
    store.write(f"{NAME}/v1.0/model.onnx", b"somebody else's")
    with pytest.raises(RegistryError, match="registered by somebody else"):
        registered(evaluated[1])
    assert store.read(f"{NAME}/v1.0/model.onnx") == b"somebody else's"
    assert f"{NAME}/latest" not in store.names()


def test_two_runs_with_the_same_model_at_once_both_succeed(evaluated, store, tmp_path):
    """The other run's objects appear between this run's reading and its writing."""
    from dwcp_ml.registry import remote

    other = tmp_path / "other"
    registered(evaluated[1], uri=str(other), created="2031-01-01T00:00:00+00:00")
    mirror = remote._mirror

    def interrupted(target, name, root):
        mirror(target, name, root)
        for file in ("model.onnx", "card.md", "metadata.json"):
            store.write(f"{NAME}/v1.0/{file}", (other / NAME / "v1.0" / file).read_bytes())

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(remote, "_mirror", interrupted)
        assert registered(evaluated[1]) == [("v1.0", True)]
    about = json.loads(store.read(f"{NAME}/v1.0/metadata.json"))
    assert about["created"].startswith("2031"), "what the other run wrote was not overwritten"


def test_latest_that_a_killed_run_left_behind_is_moved(evaluated, store):
    registered(evaluated[1])
    registered(evaluated[2])
    store.write(f"{NAME}/latest", b"v1.0\n")
    registered(evaluated[2])
    assert store.read(f"{NAME}/latest") == b"v1.1\n"


def test_failed_gate_leaves_the_store_as_it_was(evaluated, store, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(evaluated[1], root)
    path = root / "reports" / f"{NAME}_report.json"
    report = json.loads(path.read_text())
    report["gates"][0]["passed"] = False
    write_json(path, report)
    with pytest.raises(GateFailedError):
        registered(root)
    assert store.names() == {}


def test_written_once_means_once(store):
    store.write("x", b"1", new=True)
    with pytest.raises(TakenError):
        store.write("x", b"2", new=True)
    assert store.read("x") == b"1"


@pytest.mark.usefixtures("store")
def test_damage_and_absence_are_told_in_one_sentence(evaluated, tmp_path):
    with pytest.raises(StorageError, match="nobucket"):
        champions("s3://nobucket/x", [NAME])
    with pytest.raises(RegistryError, match=r"misses .*metadata\.json"):
        bring_version(URI, NAME, "v9.9", tmp_path)
    objects(URI).write(f"{NAME}/latest", b"newest")
    with pytest.raises(RegistryError, match="names no version"):
        champions(URI, [NAME])


def test_uri_of_a_version_is_where_a_server_reads_it(evaluated, store, tmp_path):
    (entry,) = register_at(
        URI, evaluated[1] / "reports", evaluated[1] / "artifacts", [NAME], created=CREATED
    )
    assert version_uri(f"{URI}/", entry) == f"{URI}/{NAME}/v1.0/"
    assert version_uri(str(tmp_path), entry) == f"{tmp_path}/{NAME}/v1.0"
