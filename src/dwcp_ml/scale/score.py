"""Offline scoring over part files: one ONNX session, of one thread, in each Python worker."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dwcp_ml.errors import RegistryError, ScaleError
from dwcp_ml.evaluation.artifact import read_artifact
from dwcp_ml.export import session as onnx
from dwcp_ml.files import as_json
from dwcp_ml.registry.remote import bring_version, champions, registry_folder
from dwcp_ml.registry.store import resolve
from dwcp_ml.scale.places import Place, published
from dwcp_ml.scale.windows import (
    Batch,
    Windows,
    read_telemetry,
    unthinned,
    write_part,
)
from dwcp_ml.scale.work import Receipt, over_parts

if TYPE_CHECKING:
    from collections.abc import Callable

    from onnxruntime import InferenceSession
    from pyspark.sql import SparkSession

    from dwcp_ml.params import Params


def score(
    spark: SparkSession,
    data: str,
    model: str,
    artifact: Path,
    params: Params,
    out: str,
    *,
    role: str = "test",
    replace: bool = False,
    tick: Callable[[int, int], None] = lambda _done, _total: None,
) -> int:
    """Answer every example of the telemetry: entity, timestamp and the graph's outputs.

    Args:
        spark: session.
        data: raw telemetry or a split; a path or s3://BUCKET/PREFIX.
        model: name of the model.
        artifact: folder with its model.onnx and metadata.json on this machine.
        params: all parameters; the model's window is among them.
        out: folder that all workers see, or s3://BUCKET/PREFIX.
        role: part of a split.
        replace: an existing folder gives way.
        tick: progress as (parts done, parts).

    Returns:
        Number of examples.

    Raises:
        MissingColumnError: a column that the model reads is not there.
        ScaleError: the parameters make other inputs than the graph takes.
        StorageError: the output exists, or cannot be written.
    """
    found = read_telemetry(data, role)
    served = read_artifact(artifact)
    section = unthinned(params, model)
    with published(out, replace=replace) as target:
        work = _ScoreFiles(Windows(found, model, section), served.onnx.read_bytes(), target)
        done = over_parts(spark, len(found.names), work, tick)
        rows = sum(receipt.rows for receipt in done)
        version = served.metadata.get("version")
        about = {"model": model, "version": version, "onnx_sha256": served.digest, "rows": rows}
        target.write("scores.json", as_json(about))
    return rows


@contextmanager
def registered(registry: str, model: str, version: str | None) -> Iterator[Path]:
    """The folder of a registered version, brought here where the registry lies on S3.

    Raises:
        RegistryError: there is no such version.
    """
    folder = registry_folder(registry)
    if folder is not None:
        yield folder / model / str(resolve(folder, model, version))
        return
    version = version or champions(registry, [model]).get(model)
    if version is None:
        raise RegistryError(f"{registry} holds no version of {model}")
    with tempfile.TemporaryDirectory() as scratch:
        yield bring_version(registry, model, version, Path(scratch))


@dataclass(frozen=True)
class _ScoreFiles:
    windows: Windows
    graph: bytes
    target: Place

    def __call__(self, number: int, scratch: Path) -> Receipt:
        session = _session(self.graph)

        def answers(batch: Batch) -> dict[str, np.ndarray]:
            _check(session, batch.examples.features, self.windows.model)
            return dict(onnx.score(session, batch.examples.features))

        return Receipt(number, *write_part(self.windows, self.target, number, scratch, answers))


@lru_cache(1)
def _session(graph: bytes) -> InferenceSession:
    """Opened once for each Python worker, which does many parts."""
    return onnx.open_session(graph)


def _check(session: InferenceSession, features: np.ndarray, model: str) -> None:
    wanted = session.get_inputs()[0].shape[1:]
    sizes = zip(wanted, features.shape[1:], strict=False)
    wrong = any(isinstance(a, int) and a != b for a, b in sizes)
    if wrong or len(wanted) != features.ndim - 1:
        raise ScaleError(
            f"{model} takes inputs of shape {list(wanted)}, and the parameters make "
            f"{list(features.shape[1:])}; name the parameter file it was trained with"
        )
