"""The champion: the registry's latest version of the same model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dwcp_ml.evaluation.artifact import ONNX, Artifact, read_artifact

if TYPE_CHECKING:
    from pathlib import Path

    from onnxruntime import InferenceSession


@dataclass(frozen=True)
class Champion:
    """A registered version that answers the same requests."""

    artifact: Artifact
    session: InferenceSession

    def describe(self) -> dict[str, Any]:
        """What the report says about it."""
        return {"version": self.artifact.metadata.get("version"), "sha256": self.artifact.digest}


def find_champion(
    folder: Path | None, challenger: InferenceSession
) -> tuple[Champion | None, str | None]:
    """The champion in ``folder``, or None with a note on why there is none to compare with.

    A version with other inputs or outputs cannot answer the same examples: clients have to change
    for the new one anyway, and its absolute targets hold without a comparison.
    """
    if folder is None or not (folder / ONNX).is_file():
        return None, "No champion: no earlier version is registered, so nothing was compared."
    artifact = read_artifact(folder)
    session = artifact.session()
    if signature(session) != signature(challenger):
        version = artifact.metadata.get("version")
        return None, f"The champion {version} has other inputs or outputs; it was not compared."
    return Champion(artifact, session), None


def signature(session: InferenceSession) -> list[tuple[str, str, tuple[int | str, ...]]]:
    """Name, type and shape of every input and output."""
    tensors = [*session.get_inputs(), *session.get_outputs()]
    return [(t.name, t.type, tuple(t.shape)) for t in tensors]
