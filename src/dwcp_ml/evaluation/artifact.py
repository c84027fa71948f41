"""What training and export left of one model: ONNX file, metadata, history."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwcp_ml.errors import UnreadableFileError
from dwcp_ml.evaluation.jsons import read_json
from dwcp_ml.files import sha256

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

ONNX, METADATA, HISTORY = "model.onnx", "metadata.json", "history.json"


@dataclass(frozen=True)
class Artifact:
    """A model's folder, or a registered version; both look the same.

    ``history`` is empty where the folder has none, as in the registry.
    """

    folder: Path
    metadata: dict[str, Any]
    history: dict[str, Any]
    digest: str

    @property
    def onnx(self) -> Path:
        """The file that is scored."""
        return self.folder / ONNX

    @property
    def size_mb(self) -> float:
        """Size of the ONNX file in units of 10**6 bytes."""
        return self.onnx.stat().st_size / 1e6

    @property
    def training_s(self) -> float | None:
        """Seconds that training took, None where nobody recorded them."""
        return self.history.get("training_time_seconds")

    @property
    def epochs(self) -> list[dict[str, Any]]:
        """Figures of each epoch."""
        return self.history.get("epochs") or []

    def session(self) -> InferenceSession:
        """A session on the ONNX file, one thread."""
        from dwcp_ml.export.session import open_session

        return open_session(self.onnx)


def read_artifact(folder: Path) -> Artifact:
    """Read a model's folder.

    Raises:
        UnreadableFileError: model.onnx or metadata.json is missing or unreadable.
    """
    if not (folder / ONNX).is_file():
        raise UnreadableFileError(
            f"{folder} holds no {ONNX}; run 'dwcp train {folder.name}' and "
            f"'dwcp export {folder.name}' first"
        )
    history = folder / HISTORY
    return Artifact(
        folder,
        read_json(folder / METADATA),
        read_json(history) if history.exists() else {},
        sha256(folder / ONNX),
    )
