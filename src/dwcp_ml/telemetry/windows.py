"""Windows over telemetry: read a few columns, find unbroken runs of rows, gather examples.

A segment is a run of rows of one series with exactly one step between two rows. A window and
its horizon lie wholly inside one segment, so that nothing crosses a link, a node or a gap.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from dwcp_ml.telemetry.arrays import Array, decode
from dwcp_ml.telemetry.schema import SERIES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

SEGMENT_COLUMNS = (*SERIES, "timestamp")
HOURS = np.array([f"{hour:02}" for hour in range(24)])


@dataclass(frozen=True)
class Columns:
    """Some columns of telemetry (or of its truth) in memory, row-aligned.

    Attributes:
        numbers: column -> (rows,) numbers. A timestamp is int64 epoch seconds; an enum word is its
            code in the schema; a name is an index into ``words``. Missing is NaN (-1 for a name).
        words: text column -> (k,) words, so that ``words[c][numbers[c]]`` is the text.
    """

    numbers: Mapping[str, Array]
    words: Mapping[str, NDArray[np.object_]] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of rows."""
        return len(next(iter(self.numbers.values())))

    def __getitem__(self, name: str) -> Array:
        """The numbers of one column, (rows,)."""
        return self.numbers[name]

    def text(self, name: str, rows: Array) -> NDArray[np.object_]:
        """The words of a text column at ``rows`` (integers or a mask); '' where it is missing."""
        codes = np.nan_to_num(self.numbers[name][rows].astype(float), nan=-1).astype(np.int64)
        words: NDArray[np.object_] = np.append(self.words[name], "")  # index -1: missing
        text: NDArray[np.object_] = words[codes]
        return text

    def link(self, rows: Array) -> NDArray[np.object_]:
        """NODE>PEER at ``rows``; equal links share one text."""
        node, peer = self.numbers["node_id"][rows], self.numbers["peer_id"][rows]
        pair = node.astype(np.int64) * (int(peer.max(initial=0)) + 2) + peer  # -1 is missing
        _, first, which = np.unique(pair, return_index=True, return_inverse=True)
        ends = [self.text(name, np.asarray(rows)[first]) for name in SERIES]
        names: NDArray[np.object_] = (ends[0] + ">" + ends[1])[which]
        return names

    def matrix(self, names: Sequence[str]) -> NDArray[np.float32]:
        """(rows, len(names)) float32, the columns side by side."""
        table = np.empty((len(self), len(names)), np.float32)
        for i, name in enumerate(names):
            table[:, i] = self.numbers[name]
        return table


@dataclass(frozen=True)
class Segments:
    """Unbroken runs of rows: ``start`` is the first row, ``stop`` one past the last, both (k,)."""

    start: NDArray[np.int64]
    stop: NDArray[np.int64]

    def longest(self) -> int:
        """Rows of the longest segment, 0 if there is none."""
        return int((self.stop - self.start).max(initial=0))


def read_columns(telemetry: Path, names: Sequence[str]) -> Columns:
    """Read columns of a Parquet file, or of a folder of part files in their order.

    Raises:
        MissingColumnError: a column is not there.
        UnreadableFileError: a file is missing, truncated or not Parquet.
        OutOfRangeError: an enum column holds a word that the schema does not know.
    """
    import pyarrow as pa

    from dwcp_ml.telemetry.parquet import read_table, table_files

    return as_columns(pa.concat_tables([read_table(f, names) for f in table_files(telemetry)]))


def as_columns(table: pa.Table) -> Columns:
    """All columns of an Arrow table.

    Raises:
        OutOfRangeError: an enum column holds a word that the schema does not know.
    """
    table = table.unify_dictionaries()
    numbers: dict[str, Array] = {}
    words: dict[str, NDArray[np.object_]] = {}
    for name in table.column_names:
        numbers[name], text = decode(name, table.column(name))
        if text is not None:
            words[name] = text
    return Columns(numbers, words)


def segments(columns: Columns, step_s: int, valid: NDArray[np.bool_] | None = None) -> Segments:
    """Find the unbroken runs of rows; needs the columns of ``SEGMENT_COLUMNS``.

    Args:
        columns: rows sorted by (node_id, peer_id, timestamp).
        step_s: seconds between two rows of a series.
        valid: (rows,) rows that may be used; any other row ends a segment. None means all.
    """
    rows = len(columns)
    if rows == 0:
        return Segments(np.zeros(0, np.int64), np.zeros(0, np.int64))
    node, peer, time_s = (columns[name] for name in SEGMENT_COLUMNS)
    joined = np.zeros(rows + 1, bool)  # joined[i]: row i continues the segment of row i - 1
    joined[1:-1] = (
        (node[1:] == node[:-1]) & (peer[1:] == peer[:-1]) & (time_s[1:] - time_s[:-1] == step_s)
    )
    usable = np.ones(rows, bool) if valid is None else valid
    joined[1:-1] &= usable[1:] & usable[:-1]
    start = np.flatnonzero(usable & ~joined[:-1])
    stop = np.flatnonzero(usable & ~joined[1:]) + 1
    return Segments(start, stop)


def window_ends(
    runs: Segments, window: int, horizon: int = 0, stride: int = 1
) -> NDArray[np.int64]:
    """Last rows of all windows, ascending; the rows up to ``end + horizon`` are in its segment.

    A segment of length L gives ``ceil(max(0, L - window - horizon + 1) / stride)`` windows, the
    first one starting at the segment's first row.
    """
    if window < 1 or horizon < 0 or stride < 1:
        raise ValueError("window and stride are at least 1, horizon at least 0")
    room = np.maximum(runs.stop - runs.start - window - horizon + 1, 0)
    count = -(-room // stride)
    first = np.repeat(runs.start + window - 1, count)
    before = np.repeat(np.cumsum(count) - count, count)
    ends: NDArray[np.int64] = first + (np.arange(len(first)) - before) * stride
    return ends


def gather(
    columns: Columns, names: Sequence[str], ends: NDArray[np.int64], window: int
) -> NDArray[np.float32]:
    """The windows that end at ``ends``, the newest step last: (n, window, len(names)) float32."""
    table = columns.matrix(names)
    wide = window * len(names)
    if len(ends) == 0:
        return np.empty((0, window, len(names)), np.float32)
    if ends.min() < window - 1 or ends.max() >= len(table):
        raise IndexError("a window would reach beyond the table")
    # In row-major order a window is one contiguous run of numbers, so that each is one copy.
    runs = sliding_window_view(table.reshape(-1), wide)[:: len(names)]
    return runs[ends - window + 1].reshape(len(ends), window, len(names))


def hour_of_day(time_s: NDArray[np.int64]) -> NDArray[np.str_]:
    """Hour of epoch seconds (n,) in UTC as two digits, for slices."""
    return HOURS[(time_s % 86400) // 3600]
