"""From a version's folder to a model that is proven to answer, or the reason why not."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import numpy as np

from dwcp_ml.errors import RegistryError
from dwcp_ml.serving.graph import check_graph
from dwcp_ml.serving.manifest import ONNX, read_manifest
from dwcp_ml.serving.model import ServedModel
from dwcp_ml.serving.refusals import Refusal
from dwcp_ml.serving.signature import verify_signature
from dwcp_ml.serving.tensors import checked, from_json

if TYPE_CHECKING:
    from pathlib import Path

    from onnxruntime import InferenceSession

    from dwcp_ml.serving.metrics import ServerMetrics
    from dwcp_ml.serving.options import ServeOptions
    from dwcp_ml.serving.samples import SampleLog

RELATIVE, ABSOLUTE = 1e-4, 1e-5  # another instruction set rounds differently
WARM_UP = 3


def load(
    folder: Path,
    name: str | None,
    options: ServeOptions,
    metrics: ServerMetrics,
    samples: SampleLog | None = None,
) -> ServedModel:
    """Verify a version, build its session and let it answer its golden requests.

    Nothing of model.onnx is parsed before its digest, and its signature where one is asked for,
    have been checked.

    Args:
        folder: holds model.onnx and metadata.json.
        name: what the registry calls it; None takes the metadata's word.
        options: limits, revision and signer.
        metrics: receives the version's counters.
        samples: keeps some of what users ask.

    Raises:
        RegistryError: says what is wrong, without a path.
        SigstoreError: the signature cannot be checked now; it may be later.
    """
    if options.signer is not None:
        verify_signature(folder, options.signer)
    manifest = read_manifest(folder)
    if name is not None and manifest.name != name:
        raise RegistryError(f"metadata.json is of '{manifest.name}', not of '{name}'")
    try:
        content = (folder / ONNX).read_bytes()
    except OSError as error:
        raise RegistryError(f"{ONNX} cannot be read: {error.strerror}") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != manifest.digest:
        raise RegistryError(
            f"{ONNX} has sha256 {digest[:12]}, metadata.json says {manifest.digest[:12]}"
        )
    check_graph(content, manifest)
    served_as = options.name or manifest.name
    revision = options.revision or digest[:12]
    model = ServedModel(
        name=served_as,
        manifest=manifest,
        revision=revision,
        session=open_session(content),
        metrics=metrics.of(served_as, manifest.version, revision, digest),
        headers=b"x-model-version: %b\r\nx-model-revision: %b\r\n"
        % (_header(manifest.version), _header(revision)),
        output_names=tuple(spec.name for spec in manifest.outputs),
        max_rows=options.max_rows,
        samples=samples,
    )
    prove(model)
    return model


def _header(value: str) -> bytes:
    """As one header value, whatever the metadata or the environment hold."""
    return "".join(c for c in value if c.isprintable()).encode("ascii", "replace")


def open_session(content: bytes) -> InferenceSession:
    """A session with one thread that does not spin while it waits.

    Raises:
        RegistryError: ONNX Runtime refuses the graph.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # the runtime would report to its maker
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # its warnings would be one a bad request
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's errors share no base of their own
        reason = " ".join(str(error).split())[:300]
        raise RegistryError(f"ONNX Runtime cannot load {ONNX}: {reason}") from error


def prove(model: ServedModel) -> None:
    """Answer the golden requests, which also warms the session up.

    Raises:
        RegistryError: an answer differs from the recorded one.
    """
    for number, pair in enumerate(model.manifest.golden, start=1):
        for _ in range(WARM_UP):
            answers = _answered(model, pair["request"], number)
        if set(answers) != set(pair["response"]):
            raise RegistryError(f"golden pair {number} does not name the outputs of the graph")
        for name, said in pair["response"].items():
            if not _alike(answers[name], np.asarray(said)):
                raise RegistryError(f"golden request {number} gets another '{name}' than recorded")


def _answered(model: ServedModel, request: dict[str, object], number: int) -> dict[str, np.ndarray]:
    try:
        feeds = {}
        for name, data in request.items():
            spec = model.input(name)
            feeds[name] = checked(from_json(data, spec), spec, model.max_rows)
        outputs = model.run(feeds, counted=False)
    except Refusal as refusal:
        raise RegistryError(f"golden request {number} cannot be answered: {refusal}") from refusal
    return dict(zip(model.output_names, outputs, strict=True))


def _alike(got: np.ndarray, said: np.ndarray) -> bool:
    if got.shape != said.shape:
        return False
    if got.dtype.kind == "i":
        return bool((got == said).all())
    return bool(np.allclose(got, said, rtol=RELATIVE, atol=ABSOLUTE))
