"""Where and with what the tasks of a pipeline run; fixed when the pipeline is compiled."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dwcp_ml.errors import CompileError

if TYPE_CHECKING:
    from collections.abc import Mapping

IMAGES = "build/images.json"  # target -> image with its digest, written by `make images`


@dataclass(frozen=True)
class Store:
    """The S3 store of data and registry.

    Attributes:
        endpoint: empty for AWS itself.
        region: empty for the account's own.
        secret: Secret with the keys accesskey and secretkey; empty where the pod's account may.
    """

    endpoint: str = "http://minio-service.kubeflow:9000"
    region: str = "minio"
    secret: str = "mlpipeline-minio-artifact"  # noqa: S105 (a name)


@dataclass(frozen=True)
class Toleration:
    """Of a taint: KEY[=VALUE]:EFFECT."""

    key: str
    value: str
    effect: str

    @classmethod
    def parse(cls, text: str) -> Toleration:
        """Read KEY[=VALUE]:EFFECT; an empty effect tolerates all of them."""
        taint, _, effect = text.partition(":")
        key, _, value = taint.partition("=")
        if not key or effect not in ("", "NoSchedule", "PreferNoSchedule", "NoExecute"):
            raise CompileError(f"'{text}' is no toleration; write KEY=VALUE:NoSchedule")
        return cls(key, value, effect)


@dataclass(frozen=True)
class Volume:
    """A claim with data, mounted into every step that reads data or registry."""

    claim: str
    path: str

    @classmethod
    def parse(cls, text: str) -> Volume:
        """Read CLAIM:/PATH."""
        claim, _, path = text.partition(":")
        if not claim or not path.startswith("/"):
            raise CompileError(f"'{text}' is no volume; write CLAIM:/PATH")
        return cls(claim, path)


@dataclass(frozen=True)
class Settings:
    """Images, store and placement of all tasks.

    Attributes:
        images: target of Dockerfile.train -> image.
        store: None for a local run.
        node_selector: labels of nodes that may run a task.
        tolerations: of taints of nodes.
        volume: with data.
        cache: whether equal tasks are run once.
        tracking_uri: MLflow server that receives trainings; empty for none.
    """

    images: Mapping[str, str] = field(default_factory=dict)
    store: Store | None = field(default_factory=Store)
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    volume: Volume | None = None
    cache: bool = True
    tracking_uri: str = ""

    def __post_init__(self) -> None:
        """CompileError for a password, which every reader of the pipeline would see."""
        if "@" in self.tracking_uri.partition("//")[2].partition("/")[0]:
            raise CompileError(
                "--tracking-uri holds a login, which everybody who sees the pipeline would read; "
                "let the server take requests from the pipeline's namespace without one"
            )

    def image(self, target: str) -> str:
        """The image of a target of Dockerfile.train, by default its local tag."""
        return self.images.get(target, f"dwcp-{target}")


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Amount(_Strict):
    """Kubernetes quantities."""

    request: str
    limit: str


class Metadata(_Strict):
    """metadata.yaml of a component."""

    name: str
    description: str
    tags: tuple[str, ...]
    dependencies: dict[str, list[dict[str, str]]]
    image: str
    cpu: Amount
    memory: Amount
    cache: bool
    retries: int = Field(ge=0, description="only where a failure may pass by itself")
    deadline_minutes: int = Field(gt=0, description="pulling the image included")
    s3: bool = Field(description="reads or writes data or registry")
    tracked: bool = Field(False, description="sends trainings to the tracking server")


def read_metadata(folder: Path) -> Metadata:
    """Read a component's metadata.yaml.

    Raises:
        CompileError: it is missing or wrong.
    """
    path = folder / "metadata.yaml"
    try:
        return Metadata.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise CompileError(f"{path}: {' '.join(str(error).split())}") from error


def read_images(path: Path) -> dict[str, str]:
    """Images by target, empty where none were built.

    Raises:
        CompileError: the file is not what `make images` writes.
    """
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {str(target): str(image) for target, image in found.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise CompileError(f"{path} is no list of images; run 'make images' again") from error
