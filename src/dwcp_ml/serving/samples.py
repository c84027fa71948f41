"""A sample of what users asked and were answered, as Parquet, off the path of requests.

A request leaves references to its arrays in a bounded list; a thread turns them into files. When
the thread cannot keep up, the disk is full or the store does not answer, samples are dropped and
counted: a request never waits for them.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dwcp_ml.errors import DwcpError, ParamsError
from dwcp_ml.serving.logs import event
from dwcp_ml.serving.sample_places import sample_place

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from dwcp_ml.serving.tensors import Array

WAITING = 4096  # requests that may wait for the thread
QUARREL_S = 60.0  # between two log lines about a folder that cannot be written


@dataclass(frozen=True)
class SampleOptions:
    """Where samples go, how many are taken, and how much of the disk they may have.

    Attributes:
        where: a folder or s3://BUCKET/PREFIX; receives MODEL/VERSION/TIME-HOST-NUMBER.parquet.
        every: one in so many requests of users is kept; probes never are.
        rows: of one file; it is written when so many wait, or after ``flush_s``.
        flush_s: longest wait of a sample for its file.
        max_bytes: of all files in a folder; the oldest go first. On S3 the bucket decides.
    """

    where: str
    every: int = 100
    rows: int = 10_000
    flush_s: float = 60.0
    max_bytes: int = 256 * 2**20


class Sample(NamedTuple):
    """One request: whose, when (epoch seconds), what was asked and answered."""

    model: str
    version: str
    revision: str
    time_s: float
    inputs: dict[str, Array]
    outputs: dict[str, Array]
    features: dict[str, tuple[str, ...]] = {}  # noqa: RUF012  names along an input's last axis


class SampleLog:
    """Takes samples on the path of requests and writes them in a thread of its own."""

    def __init__(self, options: SampleOptions) -> None:
        """Nothing is written before ``start``."""
        self.options = options
        self._place = sample_place(options.where, options.max_bytes)
        self.written = 0
        self.dropped = 0
        self._waiting: deque[Sample] = deque()
        self._left = 0
        self._files = 0
        self._quarrel_s = -QUARREL_S
        self._wake, self._end = threading.Event(), False
        self._thread = threading.Thread(target=self._work, name="samples", daemon=True)

    def wanted(self) -> bool:
        """Whether to keep the request at hand; counts it."""
        if self._left > 0:
            self._left -= 1
            return False
        self._left = self.options.every - 1
        return True

    def take(self, sample: Sample) -> None:
        """Leave a sample for the thread, or drop it if too many wait."""
        if len(self._waiting) >= WAITING:
            self.dropped += _rows(sample)
            return
        self._waiting.append(sample)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Write what waits and end."""
        self._end = True
        self._wake.set()
        self._thread.join(timeout=10)

    def _work(self) -> None:
        due = time.monotonic() + self.options.flush_s
        while not self._end:
            self._wake.wait(min(1.0, self.options.flush_s))
            waiting = sum(_rows(sample) for sample in list(self._waiting))
            if waiting >= self.options.rows or time.monotonic() >= due:
                self.flush()
                due = time.monotonic() + self.options.flush_s
        self.flush()

    def flush(self) -> None:
        """Write everything that waits, a file for each version; drop what cannot be written."""
        of_version: dict[tuple[str, str], list[Sample]] = {}
        while self._waiting:
            sample = self._waiting.popleft()
            of_version.setdefault((sample.model, sample.version), []).append(sample)
        for (model, version), samples in of_version.items():
            count = sum(_rows(sample) for sample in samples)
            try:
                self._place.put(self._name(model, version, samples[0]), as_table(samples))
                self.written += count
            except (OSError, DwcpError) as error:
                self.dropped += count
                self._complain(error)

    def _complain(self, error: Exception) -> None:
        now = time.monotonic()
        if now - self._quarrel_s >= QUARREL_S:
            self._quarrel_s = now
            event("samples dropped", logging.WARNING, why=str(error), rows=self.dropped)

    def _name(self, model: str, version: str, first: Sample) -> str:
        """Of a file: in the order of time, and never another server's."""
        self._files += 1
        stem = f"{first.time_s:.3f}-{socket.gethostname()}-{self._files:06d}"
        return f"{model}/{version}/{stem}.parquet"


def check_samples(options: SampleOptions) -> None:
    """Refuse at the start what would drop every sample later.

    Raises:
        ParamsError: pyarrow is not installed.
        StorageError: the folder cannot be written, or the address names no bucket.
    """
    if find_spec("pyarrow") is None:
        raise ParamsError(
            "--samples needs pyarrow, which is not here; the image dwcp-serve-samples has it"
        )
    sample_place(options.where, options.max_bytes).check()


def as_table(samples: Sequence[Sample]) -> pa.Table:
    """One row for each row of a request: time, version, revision, inputs and outputs.

    A value of more than one number is a list, in row-major order; the schema's metadata holds its
    shape under its column's name, and the names along its last axis under "COLUMN.features".
    """
    import pyarrow as pa

    rows = [_rows(sample) for sample in samples]
    times = np.repeat([sample.time_s for sample in samples], rows)
    columns: dict[str, pa.Array] = {
        "timestamp": pa.array((times * 1e6).astype("int64"), pa.timestamp("us", tz="UTC")),
        "version": pa.array(
            [s.version for s, n in zip(samples, rows, strict=True) for _ in range(n)]
        ),
        "revision": pa.array(
            [s.revision for s, n in zip(samples, rows, strict=True) for _ in range(n)]
        ),
    }
    shapes: dict[str, str] = {}
    for side in ("inputs", "outputs"):
        for name in getattr(samples[0], side):
            arrays = [np.asarray(getattr(sample, side)[name]) for sample in samples]
            columns[name], shape = _column(arrays)
            shapes[name] = shape
    for name, names in samples[0].features.items():
        shapes[f"{name}.features"] = ",".join(names)
    return pa.table(columns).replace_schema_metadata(shapes)


def _column(arrays: Sequence[Array]) -> tuple[pa.Array, str]:
    """Arrays (n, ...) below each other, and the shape of one row: "10,7", or "" if it varies."""
    import pyarrow as pa

    flat = np.concatenate([array.reshape(-1) for array in arrays])
    sizes = {array.shape[1:] for array in arrays}
    if sizes == {()}:
        return pa.array(flat), ""
    width = [np.full(len(array), array[0].size) for array in arrays]
    ends = np.concatenate([[0], np.cumsum(np.concatenate(width))]).astype(np.int32)
    shape = ",".join(map(str, sizes.pop())) if len(sizes) == 1 else ""
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(flat)), shape


def _rows(sample: Sample) -> int:
    return len(next(iter(sample.inputs.values())))
