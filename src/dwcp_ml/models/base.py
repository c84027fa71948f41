"""What a model offers; the stages are generic over it.

A fifth model is one module in this package that defines ``MODEL``, its section in
params.yaml and its rows in the schema. Nothing else names a model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dwcp_ml.params import Section

if TYPE_CHECKING:
    from pathlib import Path

    from onnx import ModelProto

    from dwcp_ml.telemetry.dataset import Part

Array = NDArray[Any]
Outputs = Mapping[str, Array]
ORACLE = "oracle"  # start of the name of a predictor that knows the truth


class ModelParams(Section):
    """Common to every model's section of params.yaml."""

    seed: int = 42
    target_accuracy: float = Field(
        0.98, gt=0, le=1, description="bound of the model's accuracy-like gate"
    )


@dataclass(frozen=True)
class Examples:
    """Aligned examples of one part.

    Attributes:
        features: (n, ...) float32, exactly what a client sends.
        targets: each (n, ...); what the decision is scored against.
        group: (n,) the entity that a bootstrap resamples (link, node or cluster).
        time_s: (n,) int64, epoch seconds of the newest input row.
        slices: (n,) strings per slice name, for figures by slice.
        truth: (n, ...) latent arrays of the simulator; never seen by fit's features or the graph.
    """

    features: NDArray[np.float32]
    targets: Mapping[str, Array]
    group: Array
    time_s: NDArray[np.int64]
    slices: Mapping[str, Array] = field(default_factory=dict)
    truth: Mapping[str, Array] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.features)

    def take(self, index: Array | slice) -> Examples:
        """The examples at ``index``: integers, a mask, or a slice, which copies nothing."""
        return Examples(
            self.features[index],
            {k: v[index] for k, v in self.targets.items()},
            self.group[index],
            self.time_s[index],
            {k: v[index] for k, v in self.slices.items()},
            {k: v[index] for k, v in self.truth.items()},
        )


def joined(parts: Sequence[Examples]) -> Examples:
    """One after the other; all of them, at least one, have the same targets, slices and truth."""
    first = parts[0]

    def together(pick: Callable[[Examples], Mapping[str, Array]]) -> dict[str, Array]:
        return {name: np.concatenate([pick(p)[name] for p in parts]) for name in pick(first)}

    return Examples(
        np.concatenate([p.features for p in parts]),
        together(lambda p: p.targets),
        np.concatenate([p.group for p in parts]),
        np.concatenate([p.time_s for p in parts]),
        together(lambda p: p.slices),
        together(lambda p: p.truth),
    )


@dataclass(frozen=True)
class Tensor:
    """A graph input or output as metadata.json records it.

    ``shape`` holds None for the batch and a name for another dynamic axis, or for one whose size
    is the model parameter of that name (see ``resolved``).
    """

    name: str
    dtype: Literal["float32", "int64"]
    shape: tuple[int | str | None, ...]
    unit: str
    features: tuple[str, ...] = ()
    description: str = ""
    least: Mapping[str, int | str] = field(default_factory=dict)  # of a dynamic axis, or parameter
    joins: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # features a flag adds


def resolved(tensors: tuple[Tensor, ...], params: ModelParams) -> tuple[Tensor, ...]:
    """The tensors as these parameters make them: sizes of named axes, features that join."""

    def size(axis: int | str | None) -> int | str | None:
        known = isinstance(axis, str) and axis in type(params).model_fields
        return getattr(params, str(axis)) if known else axis

    def whole(tensor: Tensor) -> Tensor:
        shape = tuple(n for n in map(size, tensor.shape) if n != 0)  # 0: no such axis
        more = [f for flag, names in tensor.joins.items() if getattr(params, flag) for f in names]
        if more:
            shape = (*shape[:-1], len(tensor.features) + len(more))
        least = {axis: size(n) or 0 for axis, n in tensor.least.items()}
        return replace(
            tensor, shape=shape, features=(*tensor.features, *more), joins={}, least=least
        )

    return tuple(whole(tensor) for tensor in tensors)


@dataclass(frozen=True)
class Metric:
    """A figure over weighted examples; a bootstrap resample is a vector of weights.

    ``compute(examples, outputs, weights)`` takes (n,) float64 weights and returns a float, NaN if
    it is undefined there (for example no positive).
    """

    name: str
    unit: str
    better: Literal["lower", "higher"]
    compute: Callable[[Examples, Outputs, NDArray[np.float64]], float]
    title: str = ""


@dataclass(frozen=True)
class GateRule:
    """A bound on a metric, or on its skill over a baseline.

    ``slice`` is "all", or "NAME" (every value of that slice must pass), or "NAME=VALUE".
    With ``against`` set the gated value is the skill 1 - model/baseline for a metric where lower
    is better, and model - baseline where higher is better. ``headline`` puts it in the table that
    `make run` prints.
    """

    name: str
    metric: str
    bound: float
    direction: Literal["min", "max"]
    slice: str = "all"
    against: str | None = None
    headline: bool = False


Predictor = Callable[[Examples], Outputs]


@dataclass(frozen=True)
class Figure:
    """Plain data of one plot: written as CSV for `dvc plots`, drawn in the report.

    ``series`` maps a label to (x, y), two (k,) arrays, k at most a few hundred.
    For kind "bar" x holds the category names.
    """

    name: str
    title: str
    kind: Literal["line", "scatter", "bar"]
    x_label: str
    y_label: str
    series: Mapping[str, tuple[Array, Array]]
    log_x: bool = False
    log_y: bool = False
    diagonal: bool = False


class Model(Protocol):
    """A model of DWCP. All methods are pure; heavy packages are imported inside them."""

    name: str
    title: str
    params_type: type[Any]  # a ModelParams of its own
    key_columns: tuple[str, ...]  # without these (and the label) the model cannot be trained
    label_column: str | None
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    primary_metric: str  # compared with the champion
    metrics: tuple[Metric, ...]

    def span(self, params: Any) -> tuple[int, int]:
        """(window, horizon) in steps: what one example reads and how far its target lies ahead."""
        ...

    def examples(self, part: Part, params: Any) -> Examples:
        """Examples of a part; windows never cross a series, a gap or a cluster.

        A part may be larger than memory: see ``models.sampling``.
        """
        ...

    def fit(self, train: Examples, validation: Examples, params: Any, log: TrainingLog) -> Any:
        """Train; the native model (Keras, scikit-learn or a bundle of both)."""
        ...

    def save(self, fitted: Any, folder: Path) -> None:
        """Write the native model without pickle."""
        ...

    def load(self, folder: Path) -> Any:
        """Read what ``save`` wrote."""
        ...

    def predict(self, fitted: Any, features: NDArray[np.float32]) -> Outputs:
        """What the native model answers, under the graph's output names; for the parity gate."""
        ...

    def graph(self, fitted: Any) -> ModelProto:
        """The ONNX graph from raw features to decision; canonicalised by the export stage."""
        ...

    def facts(self, fitted: Any) -> dict[str, object]:
        """Scaler, threshold and what else metadata.json should tell."""
        ...

    def baselines(
        self, train: Examples, validation: Examples, params: Any
    ) -> Mapping[str, Predictor]:
        """Named rivals, tuned on train and validation only; each answers as the graph would.

        A name that starts with ``ORACLE`` knows the truth: shown beside, but no rival.
        """
        ...

    def ceiling(self, examples: Examples) -> Outputs | None:
        """Answers of one who knows the latent truth; None on real data."""
        ...

    def gates(self, params: Any, *, simulated: bool) -> tuple[GateRule, ...]:
        """Bounds that decide APPROVED; ``simulated`` is False on ingested data."""
        ...

    def figures(
        self, examples: Examples, outputs: Outputs, rivals: Mapping[str, Outputs]
    ) -> tuple[Figure, ...]:
        """Plots for the report; ``rivals`` are the baselines' answers to the same examples."""
        ...


class TrainingLog(Protocol):
    """Receives progress; the stage writes it to history.json and shows a bar."""

    def epoch(self, number: int, of: int, figures: Mapping[str, float]) -> None:
        """Record one finished epoch (or boosting stage), counted from 1."""
        ...
