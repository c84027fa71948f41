"""The export stage, the same for every model: one ONNX file that is proved, and its metadata."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from dwcp_ml import models
from dwcp_ml.errors import UnreadableFileError
from dwcp_ml.export.canonical import canonical
from dwcp_ml.export.keras_graph import save_saved_model
from dwcp_ml.export.parity import check_parity
from dwcp_ml.export.session import open_session
from dwcp_ml.export.signature import check_signature
from dwcp_ml.files import whole_file, whole_folder
from dwcp_ml.models.base import resolved
from dwcp_ml.models.metadata import Export, metadata
from dwcp_ml.models.train import NATIVE

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from dwcp_ml.models.base import Model, ModelParams
    from dwcp_ml.params import Params

ONNX, METADATA, SAVED_MODEL = "model.onnx", "metadata.json", "saved_model"
COMPARED = 2000  # validation examples that graph and native model both answer


def export(
    name: str,
    artifacts: Path,
    splits: Path,
    params: Params,
    *,
    saved_model: bool = False,
    git_commit: str | None = None,
    dvc_revision: str | None = None,
) -> dict[str, Any]:
    """Write ``artifacts/NAME/model.onnx`` and metadata.json from the trained native model.

    Equal inputs give equal bytes: no clock, no environment.

    Args:
        name: of the model.
        artifacts: folder that holds NAME/native/; receives the two files.
        splits: folder of the split, whose validation examples prove that both answer alike.
        params: all parameters; the model's own section counts.
        saved_model: write NAME/saved_model/ too, for a model made with TensorFlow.
        git_commit: for the record.
        dvc_revision: of the data, for the record.

    Returns:
        The metadata; ``formats`` says what was written.

    Raises:
        UnreadableFileError: the model was not trained.
        ExportError: the graph is not what the model declares, or answers another way.
    """
    section = models.section(params, name)
    revisions = {"git_commit": git_commit, "dvc_revision": dvc_revision}
    return export_model(
        models.get(name), artifacts, splits, section, revisions, saved_model=saved_model
    )


def export_model(
    model: Model,
    artifacts: Path,
    splits: Path,
    section: ModelParams,
    revisions: dict[str, str | None],
    *,
    saved_model: bool = False,
) -> dict[str, Any]:
    """``export`` for a model object and its typed parameters."""
    folder = artifacts / model.name
    if not (folder / NATIVE).is_dir():
        raise UnreadableFileError(f"{folder} holds no trained model; run 'dwcp train {model.name}'")
    fitted = model.load(folder / NATIVE)
    graph = canonical(model.graph(fitted))
    inputs, outputs = resolved(model.inputs, section), resolved(model.outputs, section)
    check_signature(graph, inputs, outputs)
    content = graph.SerializeToString(deterministic=True)
    features = validation_features(model, splits, section)
    session = open_session(content)
    parity = check_parity(session, lambda rows: model.predict(fitted, rows), features)
    formats = ["native", "onnx"]
    if saved_model and _write_saved_model(model, fitted, folder / SAVED_MODEL):
        formats.append("saved_model")
    result = Export(content, graph, (inputs, outputs), session, features, parity, formats)
    record = metadata(model, fitted, section, splits, result, revisions)
    text = json.dumps(record, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    with whole_file(folder / METADATA) as about, whole_file(folder / ONNX) as file:
        file.write_bytes(content)
        about.write_text(text, encoding="utf-8")
    return record


def validation_features(model: Model, splits: Path, section: ModelParams) -> NDArray[np.float32]:
    """Up to ``COMPARED`` validation examples, spread evenly over the part."""
    from dwcp_ml.telemetry.split import parts

    features = model.examples(parts(splits)["validation"], section).features
    index = np.linspace(0, len(features) - 1, min(len(features), COMPARED)).astype(np.int64)
    return features[index]


def _write_saved_model(model: Model, fitted: object, folder: Path) -> bool:
    """Write a SavedModel if the model offers ``serving``; say whether it does."""
    serving = getattr(model, "serving", None)
    if serving is None:
        return False
    with whole_folder(folder) as draft:
        save_saved_model(serving(fitted), draft)
    return True
