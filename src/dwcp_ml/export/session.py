"""ONNX Runtime the way it serves one row at a time: one thread, no spinning, guarded inputs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dwcp_ml.errors import EmptySplitError, MissingValuesError, UnreadableFileError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

CHUNK = 128  # rows; a recurrent layer's working set still fits the cache


class Latency(NamedTuple):
    """Time of one row through the session, in milliseconds."""

    p50_ms: float
    p99_ms: float


def open_session(model: bytes | Path) -> InferenceSession:
    """A session on the CPU with one thread, which does not spin while it waits.

    Raises:
        UnreadableFileError: the file is missing or ONNX Runtime cannot load it.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    where = str(model) if isinstance(model, Path) else "the graph"
    try:
        content = model.read_bytes() if isinstance(model, Path) else model
        return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except OSError as error:
        raise UnreadableFileError(f"cannot read {where}: {error.strerror}") from error
    except Exception as error:  # the runtime's errors share no base of their own
        reason = str(error).splitlines()[0]
        raise UnreadableFileError(f"ONNX Runtime cannot load {where}: {reason}") from error


def score(
    session: InferenceSession, features: NDArray[np.float32], *, chunk: int = CHUNK
) -> dict[str, NDArray[np.generic]]:
    """Answers to many rows, in chunks.

    Args:
        session: of a graph with one input.
        features: (n, ...) float32, n >= 1, finite.
        chunk: rows a run.

    Returns:
        Output name -> (n, ...).

    Raises:
        EmptySplitError: no rows; ONNX Runtime's LSTM would end the process on them.
        MissingValuesError: a row holds NaN or infinity, for which "above the threshold" is False
            and so would read as "normal".
    """
    features = checked(features)
    name = session.get_inputs()[0].name
    names = [output.name for output in session.get_outputs()]
    starts = range(0, len(features), chunk)
    runs = [session.run(names, {name: features[i : i + chunk]}) for i in starts]
    return {
        key: np.concatenate(parts)
        for key, parts in zip(names, zip(*runs, strict=True), strict=True)
    }


def row_latency(
    session: InferenceSession, features: NDArray[np.float32], *, runs: int = 2000, warmup: int = 200
) -> Latency:
    """Time single rows, taken in turn.

    Args:
        session: of a graph with one input.
        features: (n, ...) float32 rows to take in turn.
        runs: measured calls.
        warmup: calls before them.
    """
    features = checked(features)
    name = session.get_inputs()[0].name
    names = [output.name for output in session.get_outputs()]
    rows = [features[i : i + 1] for i in range(min(len(features), 256))]
    taken_ns = np.empty(runs)
    for i in range(-warmup, runs):
        row = rows[i % len(rows)]
        start = time.perf_counter_ns()
        session.run(names, {name: row})
        taken_ns[max(i, 0)] = time.perf_counter_ns() - start
    p50, p99 = np.percentile(taken_ns, [50, 99]) / 1e6
    return Latency(float(p50), float(p99))


def checked(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """The features as contiguous float32; errors as of ``score``."""
    features = np.ascontiguousarray(features, np.float32)
    if not len(features):
        raise EmptySplitError("there is no row to score")
    finite = np.isfinite(features).reshape(len(features), -1).all(1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise MissingValuesError(
            f"{int((~finite).sum())} of {len(features)} rows hold NaN or infinity, first row "
            f"{row}; fill or drop them before scoring"
        )
    return features
