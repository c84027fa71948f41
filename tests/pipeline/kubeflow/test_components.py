"""The component folders: thin, alike, and described."""

import ast
import sys
from pathlib import Path

import pytest
import yaml
from tiny import ROOT

from dwcp_ml.kubeflow.kit import load
from dwcp_ml.kubeflow.settings import read_metadata

FOLDERS = sorted(p.parent for p in (ROOT / "components").glob("*/component.py"))
ALLOWED = {"kfp", *sys.stdlib_module_names}
LONGEST_BODY = 5  # statements after the docstring

pytestmark = pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f.name)


@pytest.fixture(autouse=True)
def _project_on_path(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))


def tree(folder: Path) -> ast.Module:
    return ast.parse((folder / "component.py").read_text())


def body(folder: Path) -> ast.FunctionDef:
    (function,) = (node for node in tree(folder).body if isinstance(node, ast.FunctionDef))
    return function


def test_only_the_standard_library_and_kfp_are_imported_at_the_top(folder):
    for node in tree(folder).body:
        if isinstance(node, ast.Import):
            assert {a.name.partition(".")[0] for a in node.names} <= ALLOWED
        if isinstance(node, ast.ImportFrom):
            assert node.module.partition(".")[0] in ALLOWED


def test_body_is_a_few_lines_that_call_the_installed_stage(folder):
    function = body(folder)
    statements = function.body[1:]
    assert len(statements) <= LONGEST_BODY
    imported = [n.module for n in statements if isinstance(n, ast.ImportFrom)]
    assert imported == ["dwcp_ml.kubeflow"]


def test_folder_function_and_metadata_have_one_name(folder):
    assert body(folder).name == folder.name
    assert read_metadata(folder).name == folder.name


def test_readme_names_every_input_and_output(folder):
    component, _ = load(folder.name)
    spec = component.component_spec
    text = (folder / "README.md").read_text()
    for name in {**(spec.inputs or {}), **(spec.outputs or {})}:
        assert f"`{name}`" in text or name == "status", name


def test_every_input_is_described_for_the_user_interface(folder):
    component, _ = load(folder.name)
    for name, given in (component.component_spec.inputs or {}).items():
        assert given.description, name


def test_image_is_a_target_of_the_dockerfile(folder):
    dockerfile = ROOT / "Dockerfile.train"
    if not dockerfile.exists():
        pytest.skip("Dockerfile.train is not there")
    target = yaml.safe_load((folder / "metadata.yaml").read_text())["image"]
    assert f" AS {target}\n" in dockerfile.read_text()
