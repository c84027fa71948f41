"""The pipeline on this machine through kfp.local: in subprocesses, or in the images with Docker."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dwcp_ml.errors import PipelineRunError
from dwcp_ml.kubeflow.failure import REASON
from dwcp_ml.kubeflow.outputs import missing_outputs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kfp.dsl.graph_component import GraphComponent

Runner = Literal["subprocess", "docker"]
REASONS = "reasons.txt"
PLACES = ("data_uri", "registry_uri")
FORWARDED = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_ENDPOINT_URL",
    "AWS_DEFAULT_REGION",
)


@dataclass(frozen=True)
class LocalRun:
    """A run that ended well; ``folder`` holds one folder a task."""

    folder: Path

    def output(self, task: str, name: str) -> Path:
        """Where the artifact of a task lies."""
        return self.folder / task / name


def run(
    pipeline: GraphComponent, arguments: Mapping[str, Any], out: Path, runner: Runner
) -> LocalRun:
    """Run a pipeline and check that every output is there.

    KFP's Docker runner takes a container that ends early for a success, so its word is not enough.

    Args:
        pipeline: built for a local run.
        arguments: of the pipeline.
        out: receives a folder with everything that the run wrote.
        runner: where the tasks run.

    Raises:
        PipelineRunError: a task failed, or left an output unwritten.
    """
    from kfp import local

    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    before = set(out.iterdir())
    reasons = out / REASONS
    reasons.write_text("")
    arguments = {key: _absolute(key, value) for key, value in arguments.items()}
    os.environ[REASON] = str(reasons)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # limits and names have no effect here, KFP says
            local.init(_runner(runner, arguments), pipeline_root=str(out), raise_on_error=True)
            pipeline(**arguments)
    except Exception as error:  # KFP raises RuntimeError, Docker errors of its own
        told = reasons.read_text(encoding="utf-8").strip().splitlines()
        why = "; ".join(told) or " ".join(str(error).split())
        raise PipelineRunError(f"the pipeline failed: {why}") from error
    finally:
        del os.environ[REASON]
    (folder,) = (path for path in set(out.iterdir()) - before if path.is_dir())
    if missing := missing_outputs(pipeline.pipeline_spec, folder):
        raise PipelineRunError(f"the run left these outputs unwritten: {', '.join(missing)}")
    return LocalRun(folder)


def _runner(kind: Runner, arguments: Mapping[str, Any]) -> Any:
    """Docker containers see the folders that the arguments name, and write as the caller."""
    from kfp import local

    if kind == "subprocess":
        return local.SubprocessRunner(use_venv=False)
    from docker.types import Mount

    if (registry := _folder(arguments.get("registry_uri", ""))) is not None:
        registry.mkdir(parents=True, exist_ok=True)
    folders = {_folder(arguments.get(name, "")) for name in PLACES}
    return local.DockerRunner(
        environment={name: os.environ[name] for name in (*FORWARDED, REASON) if name in os.environ},
        mounts=[Mount(str(f), str(f), type="bind") for f in folders if f and f.is_dir()],
        network_mode="host",
        user=f"{os.getuid()}:{os.getgid()}",
    )


def _folder(uri: str) -> Path | None:
    path = uri.removeprefix("dvc+").removeprefix("git+").partition("#")[0].removeprefix("file://")
    return Path(path) if path.startswith("/") else None


def _absolute(key: str, value: Any) -> Any:
    """Tasks run in another folder than the command that starts them."""
    plain = key in PLACES and value and ":" not in value and not value.startswith(("dvc+", "git+"))
    return str(Path(value).resolve()) if plain else value
