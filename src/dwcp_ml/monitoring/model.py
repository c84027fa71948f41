"""A model as it was exported or registered: its graph, and what goes in and comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dwcp_ml import models
from dwcp_ml.errors import RegistryError
from dwcp_ml.evaluation.artifact import read_artifact
from dwcp_ml.params import parse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from onnxruntime import InferenceSession

    from dwcp_ml.models.base import Model, ModelParams

OUTPUT = "output:"  # start of the name of a column that a model answered


@dataclass(frozen=True)
class Watched:
    """The model that is watched.

    Attributes:
        name: of the model.
        model: what it offers.
        section: the parameters that it was trained with.
        session: on its graph.
        inputs: features of one step in their order.
        window: steps of one row; 1 also where a row has no axis of steps.
        steps: whether a row has an axis of steps.
        codes: of inputs and outputs that number words: name -> number -> word.
        outputs: name -> as metadata.json tells of it.
    """

    name: str
    model: Model
    section: ModelParams
    session: InferenceSession
    inputs: tuple[str, ...]
    window: int
    steps: bool
    codes: Mapping[str, Mapping[int, str]]
    outputs: Mapping[str, Mapping[str, Any]]

    def columns_of(self, output: str) -> list[str]:
        """Names of the columns that an output becomes, one for each number of a row."""
        about = self.outputs[output]
        if len(about["shape"]) == 1:
            return [OUTPUT + output]
        features = list(about.get("features") or [])
        if features:
            return [f"{OUTPUT}{output}.{feature}" for feature in features]
        return [f"{OUTPUT}{output}[{place}]" for place in range(int(about["shape"][1]))]

    def decides(self, output: str) -> bool:
        """Whether the numbers of an output are categories."""
        return bool(self.outputs[output]["dtype"] == "int64")


def open_model(folder: Path) -> Watched:
    """The model in a folder with model.onnx and metadata.json.

    Raises:
        UnreadableFileError: a file is missing or damaged.
        RegistryError: its metadata does not tell what is needed.
        ParamsError: this version of the program does not know the model or its parameters.
    """
    artifact = read_artifact(folder)
    about = artifact.metadata
    try:
        name, (given,) = str(about["name"]), about["inputs"]
        outputs = {str(output["name"]): output for output in about["outputs"]}
        shape, features, raw = given["shape"], tuple(given["features"]), dict(about["params"])
    except (KeyError, TypeError, ValueError) as error:
        raise RegistryError(f"{folder}/metadata.json is damaged: {error}") from error
    model = models.get(name)
    section: ModelParams = parse(model.params_type, raw, str(folder / "metadata.json"))
    steps = len(shape) > 2
    window = shape[1] if steps and isinstance(shape[1], int) else model.span(section)[0]
    return Watched(
        name, model, section, artifact.session(), features, window if steps else 1, steps,
        _codes([given, *outputs.values()]), outputs,
    )  # fmt: skip


def _codes(tensors: Sequence[Mapping[str, Any]]) -> dict[str, dict[int, str]]:
    told = [codes for tensor in tensors for codes in tensor.get("codes", {}).items()]
    return {name: {int(code): word for word, code in codes.items()} for name, codes in told}
