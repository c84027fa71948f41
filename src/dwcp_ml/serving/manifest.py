"""What metadata.json says about a version, as far as the server needs it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dwcp_ml.errors import RegistryError
from dwcp_ml.serving.tensors import DATATYPES, TensorSpec

if TYPE_CHECKING:
    from pathlib import Path

ONNX, METADATA = "model.onnx", "metadata.json"


@dataclass(frozen=True)
class Manifest:
    """A version's name, signature, digest and golden pairs.

    Attributes:
        name: of the model.
        version: for example "v1.0".
        digest: sha256 of model.onnx, hex.
        inputs: in the graph's order.
        outputs: in the graph's order.
        golden: recorded requests and answers, {"request": {name: rows}, "response": {...}}.
    """

    name: str
    version: str
    digest: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    golden: tuple[dict[str, dict[str, Any]], ...]


def read_manifest(folder: Path) -> Manifest:
    """Read a version's metadata.json.

    Raises:
        RegistryError: it is missing, no JSON, or lacks what the server needs.
    """
    try:
        said = json.loads((folder / METADATA).read_bytes())
    except OSError as error:
        raise RegistryError(f"{METADATA} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise RegistryError(f"{METADATA} is not JSON") from error
    try:
        manifest = Manifest(
            name=str(said["name"]),
            version=str(said["version"]),
            digest=str(said["onnx_sha256"]),
            inputs=tuple(map(_spec, said["inputs"])),
            outputs=tuple(map(_spec, said["outputs"])),
            golden=tuple(
                {k: dict(pair[k]) for k in ("request", "response")} for pair in said["golden"]
            ),
        )
    except KeyError as error:
        raise RegistryError(f"{METADATA} lacks {error}") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise RegistryError(
            f"{METADATA} holds values of another form than a registered version's"
        ) from error
    if not (manifest.inputs and manifest.outputs and manifest.golden):
        raise RegistryError(f"{METADATA} names no inputs, no outputs or no golden pairs")
    return manifest


def _spec(said: dict[str, Any]) -> TensorSpec:
    if said["dtype"] not in DATATYPES or not said["shape"] or isinstance(said["shape"][0], int):
        raise ValueError(said)
    shape = tuple(size if isinstance(size, int) else str(size) for size in said["shape"])
    smallest = said.get("least") or {}  # axis name -> size
    least = tuple(1 if isinstance(s, int) else int(smallest.get(s, 1)) for s in shape)
    features = tuple(map(str, said.get("features") or ()))
    return TensorSpec(str(said["name"]), said["dtype"], shape, least, features)
