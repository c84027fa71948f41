"""One loaded version: its session and what is said about it."""

from __future__ import annotations

from dataclasses import dataclass
from time import time
from typing import TYPE_CHECKING

import numpy as np

from dwcp_ml.errors import nearest
from dwcp_ml.serving.refusals import NoAnswerError, WrongTensorError
from dwcp_ml.serving.samples import Sample

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from dwcp_ml.serving.manifest import Manifest
    from dwcp_ml.serving.metrics import ModelMetrics
    from dwcp_ml.serving.samples import SampleLog
    from dwcp_ml.serving.tensors import Array, TensorSpec


@dataclass(frozen=True)
class ServedModel:
    """A version that answers.

    Attributes:
        name: it is served under.
        manifest: of the version.
        revision: of the deployment.
        session: one thread, warmed up.
        metrics: of this version.
        headers: lines of every answer.
        output_names: in the graph's order.
        max_rows: rows of one request.
    """

    name: str
    manifest: Manifest
    revision: str
    session: InferenceSession
    metrics: ModelMetrics
    headers: bytes
    output_names: tuple[str, ...]
    max_rows: int
    samples: SampleLog | None = None  # keeps some of what users ask

    @property
    def version(self) -> str:
        """For example "v1.0"."""
        return self.manifest.version

    def input(self, name: object) -> TensorSpec:
        """The input of that name; WrongTensorError if there is none."""
        for spec in self.manifest.inputs:
            if spec.name == name:
                return spec
        names = [spec.name for spec in self.manifest.inputs]
        hint = nearest(name, names) if isinstance(name, str) else ""
        raise WrongTensorError(f"no input of that name{hint or '; inputs are ' + ', '.join(names)}")

    def run(self, feeds: dict[str, Array], *, counted: bool = True) -> list[Array]:
        """Answer checked inputs, outputs in the graph's order.

        Args:
            feeds: input name -> array from ``tensors.checked``.
            counted: whether the scores enter the metrics, and perhaps the samples.

        Raises:
            NoAnswerError: the graph fails on these values or answers NaN or infinity.
        """
        rows = {len(feed) for feed in feeds.values()}
        if len(feeds) != len(self.manifest.inputs) or len(rows) != 1:
            wanted = ", ".join(spec.name for spec in self.manifest.inputs)
            raise WrongTensorError(f"inputs {wanted} are needed, each once, with as many rows")
        try:
            outputs: list[Array] = self.session.run(None, feeds)
        except Exception as error:  # the runtime's errors share no base of their own
            raise NoAnswerError("the model cannot be computed on these values") from error
        for output in outputs:
            if output.dtype.kind == "f" and not np.isfinite(output).all():
                raise NoAnswerError("the model has no finite answer to these values")
        if counted:
            self.metrics.observe_scores(outputs[0])
            if self.samples is not None and self.samples.wanted():
                answers = dict(zip(self.output_names, outputs, strict=True))
                named = {spec.name: spec.features for spec in self.manifest.inputs}
                about = (self.name, self.version, self.revision, time())
                self.samples.take(Sample(*about, feeds, answers, named))
        return outputs
