"""Did a local run write everything that its pipeline promises?"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WRITTEN = "executor_output.json"
# These live in the executor's output, not in a file of their own.
FIGURES = ("system.Metrics", "system.ClassificationMetrics")


def missing_outputs(spec: Any, folder: Path) -> list[str]:
    """TASK/OUTPUT of everything that is not there or empty.

    Args:
        spec: KFP's PipelineSpec; every task of it is one that runs.
        folder: of one local run, one folder a task.
    """
    return sorted(
        missing
        for name, component in spec.components.items()
        if component.executor_label
        for missing in _missing(folder / name.removeprefix("comp-"), component.output_definitions)
    )


def _missing(task: Path, wanted: Any) -> Iterator[str]:
    written = task / WRITTEN
    try:
        values = json.loads(written.read_text(encoding="utf-8")) if written.exists() else {}
    except ValueError:
        values = {}
    if (wanted.artifacts or wanted.parameters) and not values:
        yield f"{task.name}/{WRITTEN}"
        return
    for name in wanted.parameters:
        if name not in values.get("parameterValues", {}):
            yield f"{task.name}/{name}"
    for name, artifact in wanted.artifacts.items():
        kind = artifact.artifact_type.schema_title
        if kind not in FIGURES and not _holds_something(task / name):
            yield f"{task.name}/{name}"


def _holds_something(path: Path) -> bool:
    if path.is_dir():
        return any(file.is_file() and file.stat().st_size for file in path.rglob("*"))
    return path.is_file() and path.stat().st_size > 0
