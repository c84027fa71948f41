"""Versions are given to approved models only, whole or not at all, and never change."""

import json
import os
import re
import shutil
import signal
import sys

import pytest
from rich.console import Console
from toy_model import (
    CREATED,
    NAME,
    Toy,
    make_artifact,
    make_workspace,
    toy_params,
    write_quality,
)

from dwcp_ml import models
from dwcp_ml.errors import GateFailedError, RegistryError, StorageError
from dwcp_ml.evaluation.evaluate import evaluate
from dwcp_ml.files import sha256, write_json
from dwcp_ml.registry import (
    entries,
    entry_table,
    lineage,
    lineage_lines,
    register,
    show,
    verify,
)

OTHER = "toy_other"
CHANGES = ("os.rename", "os.symlink", "os.chmod", "os.mkdir", "os.remove")  # audit events
FILES = {"model.onnx", "metadata.json", "card.md"}


class OtherToy(Toy):
    """The same model under another name."""

    name = OTHER


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    root = make_workspace(tmp_path_factory.mktemp("workspace"))
    judge(root)
    models.available()[OTHER] = OtherToy()
    yield root
    for name in (NAME, OTHER):
        models.available().pop(name, None)


@pytest.fixture
def workspace(evaluated, tmp_path):
    shutil.copytree(evaluated, tmp_path, dirs_exist_ok=True)
    return tmp_path


def judge(root, **section):
    folders = root / "artifacts", root / "data" / "splits", root / "reports"
    return evaluate(NAME, *folders, toy_params(**section))


def registered(root, names=(NAME,), **facts):
    facts = {"created": CREATED, "git_commit": "abc123"} | facts
    folders = root / "reports", root / "artifacts", root / "models"
    return [(r.name, str(r.version), r.new) for r in register(*folders, names, **facts)]


def retrain(root, rounds):
    make_artifact(root, rounds=rounds)
    judge(root, rounds=rounds)


def add_other(root):
    """A second model beside the toy, with a report and an artifact of its own."""
    shutil.copytree(root / "artifacts" / NAME, root / "artifacts" / OTHER)
    path = root / "artifacts" / OTHER / "metadata.json"
    write_json(path, json.loads(path.read_text()) | {"name": OTHER})
    report = json.loads((root / "reports" / f"{NAME}_report.json").read_text())
    write_json(root / "reports" / f"{OTHER}_report.json", report | {"model_name": OTHER})


def target(link):
    return os.fspath(link.readlink())


def snapshot(folder):
    return {
        p.relative_to(folder).as_posix(): (
            target(p) if p.is_symlink() else sha256(p),
            p.lstat().st_mtime_ns,
        )
        for p in folder.rglob("*")
        if p.is_symlink() or p.is_file()
    }


def test_an_approved_model_becomes_v1_0_with_metadata_card_and_a_relative_link(workspace):
    assert registered(workspace) == [(NAME, "v1.0", True)]
    folder = workspace / "models" / NAME
    assert target(folder / "latest") == "v1.0"
    assert {p.name for p in (folder / "latest").iterdir()} == FILES
    about = show(workspace / "models", NAME)
    assert (about["version"], about["created"], about["git_commit"]) == ("v1.0", CREATED, "abc123")
    assert about["metrics"]["test"]["mape_pct"]["value"] > 0
    assert set(about["baselines"]) == {"persistence", "mean"}
    assert (
        about["ceiling"]["test"]["mape_pct"]["value"]
        < about["metrics"]["test"]["mape_pct"]["value"]
    )
    assert all(gate["passed"] for gate in about["gates"])
    assert [e.version for e in verify(workspace / "models")] == [(1, 0)]


def test_the_same_file_again_changes_nothing(workspace):
    registered(workspace)
    before = snapshot(workspace / "models")
    assert registered(workspace, created="2030-01-01T00:00:00+00:00") == [(NAME, "v1.0", False)]
    assert snapshot(workspace / "models") == before


def test_a_new_file_raises_the_minor_version_and_moves_latest(workspace):
    registered(workspace)
    first = snapshot(workspace / "models" / NAME / "v1.0")
    retrain(workspace, 5)
    assert registered(workspace) == [(NAME, "v1.1", True)]
    assert target(workspace / "models" / NAME / "latest") == "v1.1"
    assert snapshot(workspace / "models" / NAME / "v1.0") == first


def test_other_inputs_raise_the_major_version(workspace):
    import onnx

    registered(workspace)
    model = onnx.load(workspace / "artifacts" / NAME / "model.onnx")
    model.graph.output[0].name = "mbps"
    model.graph.node[0].output[0] = model.graph.node[1].input[0] = "mbps"
    onnx.save(model, workspace / "artifacts" / NAME / "model.onnx")
    path = workspace / "reports" / f"{NAME}_report.json"
    digest = sha256(workspace / "artifacts" / NAME / "model.onnx")
    write_json(path, json.loads(path.read_text()) | {"onnx_sha256": digest})
    assert registered(workspace) == [(NAME, "v2.0", True)]


def test_files_of_a_version_are_read_only(workspace):
    registered(workspace)
    for file in (workspace / "models" / NAME / "v1.0").iterdir():
        assert file.stat().st_mode & 0o222 == 0


def test_one_failed_gate_of_one_model_keeps_all_out_and_is_named(workspace):
    add_other(workspace)
    path = workspace / "reports" / f"{OTHER}_report.json"
    report = json.loads(path.read_text())
    report["gates"][0] |= {"passed": False, "why": "25 is above 20"}
    write_json(path, report)
    with pytest.raises(
        GateFailedError, match="toy_other mape on test:all: 25 is above 20"
    ) as error:
        registered(workspace, (NAME, OTHER))
    assert error.value.exit_code == 3
    assert not (workspace / "models").exists()


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda w: (w / "reports" / f"{NAME}_report.json").unlink(), "toy has no report"),
        (lambda w: make_artifact(w, rounds=9), "the report of toy is about another model.onnx"),
        (lambda w: write_quality(w / "reports", success=False), "the data contract failed"),
    ],
)
def test_what_was_not_judged_is_not_registered(spoil, why, workspace):
    spoil(workspace)
    with pytest.raises(GateFailedError, match=re.escape(why)):
        registered(workspace)
    assert not (workspace / "models").exists()


def test_no_gate_and_no_model_are_no_approval(workspace):
    with pytest.raises(GateFailedError, match="no model was named"):
        registered(workspace, ())
    path = workspace / "reports" / f"{NAME}_report.json"
    write_json(path, json.loads(path.read_text()) | {"gates": []})
    with pytest.raises(GateFailedError, match="no gate of toy was evaluated"):
        registered(workspace)


def test_the_card_tells_purpose_data_figures_slices_limits_and_gates(workspace):
    registered(workspace)
    card = (workspace / "models" / NAME / "v1.0" / "card.md").read_text()
    assert card.startswith("# Toy predictor v1.0\n\nLeast squares on the last three throughputs")
    for word in ("## Inputs", "## Outputs", "## Data", "## Figures", "## Slices", "## Limits",
                 "## Gates", "## Lineage", "persistence", "ceiling", "link_type=3",
                 "simulated telemetry", "abc123", "(batch, 3)"):  # fmt: skip
        assert word in card


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda v: append(v / "model.onnx"), "model.onnx has the sha256"),
        (lambda v: (v / "card.md").unlink(), "card.md missing"),
        (lambda v: edit(v, version="v9.9"), "metadata.json says it is toy v9.9"),
        (lambda v: edit(v, created=None), "metadata.json does not say when it was created"),
        (lambda v: edit(v, golden=[]), "holds no golden pair"),
        (lambda v: golden(v, 1e6), "golden pair 1 answers another 'next_mbps'"),
        (lambda v: (v.parent / "latest").unlink(), "'latest' is missing"),
        (lambda v: relink(v, "v7.0"), "'latest' points at v7.0, which does not exist"),
        (lambda v: v.rename(v.with_name("broken")), "holds no version"),
    ],
)
def test_verify_names_the_version_and_what_is_wrong_with_it(damage, why, workspace):
    registered(workspace)
    damage(workspace / "models" / NAME / "v1.0")
    with pytest.raises(RegistryError, match=re.escape(why)) as error:
        verify(workspace / "models")
    assert f"{NAME}" in str(error.value)
    assert error.value.exit_code == 15


def append(file):
    file.chmod(0o644)
    file.write_bytes(file.read_bytes() + b" ")


def edit(folder, **changes):
    path = folder / "metadata.json"
    path.chmod(0o644)
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def golden(version, shift):
    pairs = json.loads((version / "metadata.json").read_text())["golden"]
    pairs[0]["response"]["next_mbps"][0] += shift
    edit(version, golden=pairs)


def relink(version, target):
    (version.parent / "latest").unlink()
    (version.parent / "latest").symlink_to(target)


def test_list_and_show_name_what_is_there_and_the_nearest_of_what_is_not(workspace):
    with pytest.raises(RegistryError, match="there is no model registry"):
        entries(workspace / "models")
    registered(workspace)
    retrain(workspace, 5)
    registered(workspace)
    found = entries(workspace / "models")
    assert [(str(e.version), e.latest) for e in found] == [("v1.0", False), ("v1.1", True)]
    console = Console(width=120, record=True, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    console.print(entry_table(found))
    assert "v1.1" in console.export_text()
    assert show(workspace / "models", NAME, "v1.0")["version"] == "v1.0"
    with pytest.raises(RegistryError, match="did you mean 'toy'"):
        show(workspace / "models", "toyy")
    with pytest.raises(RegistryError, match=re.escape("registered: v1.0, v1.1")):
        show(workspace / "models", NAME, "v3.0")


def test_lineage_names_what_changed_between_two_versions(workspace):
    registered(workspace)
    assert lineage(workspace / "models", NAME)["against"] is None
    retrain(workspace, 5)
    registered(workspace, git_commit="def456")
    found = lineage(workspace / "models", NAME)
    assert found["against"] == "v1.0"
    assert set(found["changed"]) == {"params", "code"}
    assert found["changed"]["code"] == ["abc123", "def456"]
    chain = found["chain"]
    assert chain["onnx"] == sha256(workspace / "models" / NAME / "v1.1" / "model.onnx")
    assert len(chain["data"]) == len(chain["params"]) == 64
    text = "\n".join(lineage_lines(found))
    assert "changed since v1.0:" in text
    assert "abc123 -> def456" in text
    assert "the first version" in "\n".join(
        lineage_lines(lineage(workspace / "models", NAME, "v1.0"))
    )


def test_what_a_version_does_not_know_counts_as_changed(workspace):
    registered(workspace)
    edit(workspace / "models" / NAME / "v1.0", git_commit=None)
    retrain(workspace, 5)
    registered(workspace)
    changed = lineage(workspace / "models", NAME)["changed"]
    assert changed["code"] == [None, "abc123"]


def test_a_folder_that_cannot_be_written_is_named(workspace):
    (workspace / "models").write_text("a file in the way")
    with pytest.raises(StorageError, match="cannot write"):
        registered(workspace)


def killed_at(step, root, names):
    """Register in a forked process that kills itself at its n-th step on disk; True if it was."""
    child = os.fork()
    if child == 0:
        steps = 0

        def count(event, details):
            nonlocal steps
            writes = event == "open" and details[2] & (os.O_WRONLY | os.O_RDWR)
            if (writes or event in CHANGES) and str(root / "models") in str(details[0]):
                steps += 1
                if steps == step:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        try:
            registered(root, names)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_killed_at_any_step_register_leaves_whole_versions_only(workspace):
    add_other(workspace)
    names, root = (NAME, OTHER), workspace / "models"
    registered(workspace, names)
    retrain(workspace, 5)
    shutil.rmtree(workspace / "artifacts" / OTHER)
    add_other(workspace)
    pristine = workspace / "pristine"
    shutil.copytree(root, pristine, symlinks=True)
    step = 0
    while killed_at(step := step + 1, workspace, names):
        for entry in entries(root):  # complete: metadata reads, and so does all the rest
            assert {p.name for p in (root / entry.name / str(entry.version)).iterdir()} == FILES
        verify(root)  # every version whole, every link valid
        again = registered(workspace, names)
        assert [version for _, version, _ in again] == ["v1.1", "v1.1"]
        assert all(target(root / name / "latest") == "v1.1" for name in names)
        verify(root)
        assert not list(root.glob("*/.*.part"))
        shutil.rmtree(root)
        shutil.copytree(pristine, root, symlinks=True)
    assert step > 20
