"""Pipelines by name, and their compiled form: equal sources give equal bytes."""

from __future__ import annotations

import sys
from importlib import import_module
from itertools import dropwhile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from dwcp_ml.errors import CompileError, nearest
from dwcp_ml.kubeflow.settings import Settings

if TYPE_CHECKING:
    from kfp.dsl.graph_component import GraphComponent

    from dwcp_ml.params import Params

FOLDER = "pipelines"
NAMES = ("train", "train_and_deploy")


def build(
    name: str, params: Params, settings: Settings, root: Path | None = None
) -> GraphComponent:
    """The pipeline ROOT/pipelines/NAME.py with the defaults of the parameters.

    Raises:
        CompileError: there is no such pipeline, or a component that it needs is missing.
    """
    root = (root or Path.cwd()).resolve()
    if name not in NAMES:
        raise CompileError(f"there is no pipeline '{name}'{nearest(name, NAMES)}")
    if not (root / FOLDER / f"{name}.py").is_file():
        raise CompileError(f"{root} holds no {FOLDER}/{name}.py; run this in the project's folder")
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    made: GraphComponent = import_module(f"{FOLDER}.{name}").build(params, settings)
    return made


def compiled(pipeline: GraphComponent) -> str:
    """The pipeline as YAML, without the comment above it, whose order of keys changes by chance."""
    from kfp.compiler import Compiler

    with TemporaryDirectory() as scratch:
        path = Path(scratch, "pipeline.yaml")
        Compiler().compile(pipeline, str(path))
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(dropwhile(lambda line: line.startswith("#"), lines))


def check(path: Path, text: str) -> None:
    """CompileError if the file that is kept is not what compiling gives."""
    kept = path.read_text(encoding="utf-8") if path.exists() else ""
    if kept != text:
        raise CompileError(f"{path} is out of date; run 'dwcp pipeline compile --keep'")
