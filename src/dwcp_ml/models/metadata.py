"""metadata.json: what a client, an operator or an auditor must know about one ONNX file."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from dwcp_ml.export.session import score
from dwcp_ml.files import sha256
from dwcp_ml.models.train import read_split
from dwcp_ml.telemetry.schema import load_schema

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from onnx import ModelProto
    from onnxruntime import InferenceSession

    from dwcp_ml.export.parity import Parity
    from dwcp_ml.models.base import Model, ModelParams, Tensor

GOLDEN = 3  # request and response pairs
TOOLS = (
    "dwcp-ml",
    "numpy",
    "onnx",
    "onnxruntime",
    "scikit-learn",
    "tensorflow-cpu",
    "keras",
    "tf2onnx",
)


@dataclass(frozen=True)
class Export:
    """A graph that passed its checks, and the rows that it was checked on."""

    content: bytes
    graph: ModelProto
    tensors: tuple[tuple[Tensor, ...], tuple[Tensor, ...]]  # inputs, outputs
    session: InferenceSession
    features: NDArray[np.float32]
    parity: Parity
    formats: list[str]


def metadata(
    model: Model,
    fitted: object,
    section: ModelParams,
    splits: Path,
    export: Export,
    revisions: Mapping[str, str | None],
) -> dict[str, Any]:
    """Everything known at export; register adds version, date, metrics, gates and baselines."""
    facts = dict(model.facts(fitted))
    inputs, outputs = export.tensors
    parameters = section.model_dump(mode="json")
    record = {
        "name": model.name,
        "title": model.title,
        "inputs": [_tensor(tensor) for tensor in inputs],
        "outputs": [_tensor(tensor) for tensor in outputs],
        "scaler": facts.pop("scaler", None),
        "threshold": facts.pop("threshold", None),
        "facts": facts,
        "data": {"dvc_revision": revisions["dvc_revision"], **_data(splits)},
        "params": parameters,
        "params_sha256": _sha256(json.dumps(parameters, sort_keys=True).encode()),
        "git_commit": revisions["git_commit"],
        "seed": section.seed,
        "onnx_sha256": _sha256(export.content),
        "onnx_bytes": len(export.content),
        "opset": {o.domain or "ai.onnx": o.version for o in export.graph.opset_import},
        "formats": export.formats,
        "tools": {"python": platform.python_version(), **{name: version(name) for name in TOOLS}},
        "parity": export.parity.as_dict(),
        "golden": _golden(export, inputs[0].name),
    }
    plain: dict[str, Any] = _plain(record)
    return plain


def _tensor(tensor: Tensor) -> dict[str, Any]:
    """As declared, plus the numbers that stand for words."""
    schema = load_schema()
    words = [c.name for c in schema.columns if c.enum and c.name in tensor.features]
    codes: dict[str, Any] = {name: schema.code(name) for name in words}
    if tensor.name in {t.name for t in schema.targets}:
        codes |= {tensor.name: schema.target(tensor.name).codes or {}}
    return {
        "name": tensor.name,
        "dtype": tensor.dtype,
        "shape": ["batch" if size is None else size for size in tensor.shape],
        "unit": tensor.unit,
        "features": list(tensor.features),
        **({"least": dict(tensor.least)} if tensor.least else {}),
        "description": tensor.description,
        "codes": {name: known for name, known in codes.items() if known},
    }


def _data(splits: Path) -> dict[str, Any]:
    """What split.json says, and the digest of the files that training and threshold came from."""
    used = [splits / f"{part}.parquet" for part in ("train", "validation")]
    return {"sha256": {path.name: sha256(path) for path in used}, **read_split(splits)}


def _golden(export: Export, name: str) -> list[dict[str, Any]]:
    """First, middle and last of the compared rows with the graph's own answers."""
    rows = np.unique(np.linspace(0, len(export.features) - 1, GOLDEN).astype(np.int64))
    requests = export.features[rows]
    answers = score(export.session, requests, chunk=1)
    return [
        {
            "request": {name: requests[i : i + 1]},
            "response": {key: values[i : i + 1] for key, values in answers.items()},
        }
        for i in range(len(rows))
    ]


def _plain(value: Any) -> Any:
    """JSON values; a float32 becomes the shortest decimal that reads back as the same float32."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype == np.float32:
            value = value.astype(str).astype(np.float64)
        return value.tolist()
    return value


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
