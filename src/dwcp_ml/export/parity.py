"""Does the exported graph answer as the native model does, row by row and in bulk?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dwcp_ml.errors import ExportError
from dwcp_ml.export.session import checked, score

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Answers = Mapping[str, NDArray[np.generic]]
RELATIVE, ABSOLUTE = 1e-4, 1e-5
SINGLES = 64  # rows that also go through one by one
NUDGE = 1e-5  # relative; a label that this flips in the native model lies on the boundary
DRAWS = 16
MAX_BOUNDARY = 0.005


@dataclass(frozen=True)
class Parity:
    """Result of the comparison; metadata.json holds it.

    Attributes:
        rows: compared in bulk.
        single_rows: compared one by one as well.
        worst_absolute: largest absolute difference of each float output.
        worst_tolerated: the same difference in units of the tolerance, at most 1.
        boundary_labels: labels that differ where a change of the features by 1e-5 also flips the
            native model's.
    """

    rows: int
    single_rows: int
    worst_absolute: dict[str, float]
    worst_tolerated: dict[str, float]
    boundary_labels: dict[str, int]

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return asdict(self)


def check_parity(
    session: InferenceSession,
    native: Callable[[NDArray[np.float32]], Answers],
    features: NDArray[np.float32],
    *,
    relative: float = RELATIVE,
    absolute: float = ABSOLUTE,
) -> Parity:
    """Compare the session with the native model.

    Args:
        session: of the exported graph.
        native: answers under the graph's output names.
        features: (n, ...) float32.
        relative: tolerance of floats as a fraction of the native value ...
        absolute: ... plus this.

    Raises:
        ExportError: an output is missing, a float differs by more than the tolerance, or a label
            differs away from the model's own decision boundary; names output, row and values.
    """
    features = checked(features)
    expected = native(features)
    bulk = score(session, features)
    if set(expected) != set(bulk):
        raise ExportError(
            f"the graph answers {', '.join(sorted(bulk))}, the native model "
            f"{', '.join(sorted(expected))}"
        )
    singles = score(session, features[:SINGLES], chunk=1)
    worst: dict[str, float] = {}
    tolerated: dict[str, float] = {}
    boundary: dict[str, int] = {}
    for name, wanted in expected.items():
        for batch, got in ((1, singles[name]), (len(features), bulk[name])):
            part = wanted[: len(got)]
            if got.shape != part.shape:
                raise ExportError(f"'{name}' has the shape {got.shape}, natively {part.shape}")
            if np.issubdtype(got.dtype, np.integer):
                boundary[name] = _labels(name, batch, got, part, native, features)
            else:
                found = _floats(name, batch, got, part, relative, absolute)
                worst[name] = max(found[0], worst.get(name, 0.0))
                tolerated[name] = max(found[1], tolerated.get(name, 0.0))
    return Parity(len(features), len(singles[name]), worst, tolerated, boundary)


def _floats(
    name: str,
    batch: int,
    got: NDArray[np.generic],
    wanted: NDArray[np.generic],
    relative: float,
    absolute: float,
) -> tuple[float, float]:
    """Worst difference, and the worst in units of the tolerance."""
    native = np.asarray(wanted, np.float64)
    difference = np.abs(np.asarray(got, np.float64) - native)
    share = difference / (absolute + relative * np.abs(native))
    if not (share <= 1).all():  # NaN is not
        at = np.unravel_index(np.argmax(np.nan_to_num(share, nan=np.inf)), share.shape)
        raise ExportError(
            f"'{name}' differs at batch {batch}, row {at[0]}: ONNX {got[at]!s}, "
            f"native {native[at]!s}"
        )
    return float(difference.max()), float(share.max())


def _labels(
    name: str,
    batch: int,
    got: NDArray[np.generic],
    wanted: NDArray[np.generic],
    native: Callable[[NDArray[np.float32]], Answers],
    features: NDArray[np.float32],
) -> int:
    """Number of labels that differ on the boundary; ExportError for any other."""
    rows = np.flatnonzero((got != wanted).reshape(len(got), -1).any(1))
    settled = [row for row in rows if not _wavers(name, native, features[row])]
    if settled or len(rows) > max(1, MAX_BOUNDARY * len(features)):
        row = settled[0] if settled else rows[0]
        raise ExportError(
            f"'{name}' differs at batch {batch} in {len(rows)} of {len(got)} rows, row {row}: "
            f"ONNX {got[row]!s}, native {wanted[row]!s}"
        )
    return len(rows)


def _wavers(
    name: str, native: Callable[[NDArray[np.float32]], Answers], row: NDArray[np.float32]
) -> bool:
    """Whether the native model itself changes its label when the row moves by NUDGE."""
    factors = 1 + NUDGE * np.random.default_rng(0).uniform(-1, 1, (DRAWS, *row.shape))
    labels = native(np.concatenate([row[None], row * factors]).astype(np.float32))[name]
    return bool((labels[1:] != labels[0]).any())
