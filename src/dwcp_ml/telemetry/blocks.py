"""A part of telemetry in blocks of whole series: memory does not grow with the rows of the part.

Rows are sorted by (node_id, peer_id, timestamp), so a series lies together and is never cut: no
window needs a row of another block. A block has about ``BLOCK_ROWS`` rows, more only where one
series alone is longer, so that memory is bounded by the longest series.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dwcp_ml.errors import UnreadableFileError
from dwcp_ml.telemetry.parquet import open_parquet, stream, table_files
from dwcp_ml.telemetry.schema import SERIES
from dwcp_ml.telemetry.windows import Columns, as_columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

    from dwcp_ml.telemetry.dataset import Part

BLOCK_ROWS = 131_072


@dataclass(frozen=True)
class Block:
    """Whole series of a part.

    Attributes:
        columns: their telemetry; names are coded block by block, so codes of two blocks differ.
        truth: the same rows of the latent truth; None where the part has none or none was asked.
        first: rows of the part before this block.
        first_peer: first peer, in the whole part, of the node that the block begins with.
    """

    columns: Columns
    truth: Columns | None
    first: int
    first_peer: str


def blocks(part: Part, names: Sequence[str], truth: Sequence[str] = ()) -> Iterator[Block]:
    """The rows of a part in their order; one block without rows if the part has none.

    Args:
        part: sorted telemetry.
        names: columns of telemetry; those of the series come along.
        truth: columns of the latent truth.

    Raises:
        MissingColumnError: a column is not there.
        UnreadableFileError: a file is missing or damaged, or the truth has other rows.
        OutOfRangeError: an enum column holds a word that the schema does not know.
    """
    hidden = _Rows(part.truth, truth) if part.truth is not None and truth else None
    first, node, peer = 0, "", ""
    for table in _whole_series(part.telemetry, list(dict.fromkeys((*SERIES, *names)))):
        columns = as_columns(table)
        lead = peer if first and _word(columns, "node_id", 0) == node else None
        lead = _word(columns, "peer_id", 0) if lead is None else lead
        rows = len(columns)
        yield Block(columns, as_columns(hidden.take(rows)) if hidden else None, first, lead)
        if rows:
            begin = _node_start(columns)
            node = _word(columns, "node_id", begin)
            peer = _word(columns, "peer_id", begin) if begin else lead
        first += rows
    if hidden is not None and hidden.left():
        raise UnreadableFileError(f"{part.truth} has more rows than {part.telemetry}")


class _Rows:
    """Hands out the rows of a table in any number at a time."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self._path = path
        self._batches = _tables(path, names)
        self._waiting: list[pa.Table] = []

    def take(self, rows: int) -> pa.Table:
        """The next ``rows`` rows."""
        import pyarrow as pa

        while (there := sum(t.num_rows for t in self._waiting)) < rows or not self._waiting:
            batch = next(self._batches, None)
            if batch is None:
                raise UnreadableFileError(
                    f"{self._path} ends {rows - there:,} rows before its telemetry"
                )
            self._waiting.append(batch)
        table = pa.concat_tables(self._waiting)
        self._waiting = [table.slice(rows)] if table.num_rows > rows else []
        return table.slice(0, rows).unify_dictionaries()

    def left(self) -> bool:
        """Whether there are rows that nobody took."""
        return bool(self._waiting) or any(batch.num_rows for batch in self._batches)


def _whole_series(path: Path, names: Sequence[str]) -> Iterator[pa.Table]:
    """Tables of whole series, at least ``BLOCK_ROWS`` rows each but for the last one."""
    import pyarrow as pa

    waiting: list[pa.Table] = []
    enough, done = BLOCK_ROWS, False
    for table in _tables(path, names):
        waiting.append(table)
        if sum(t.num_rows for t in waiting) < enough:
            continue
        whole = pa.concat_tables(waiting).unify_dictionaries()
        cut = int(_series_starts(whole)[-1])
        if cut:
            yield whole.slice(0, cut)
            waiting, enough, done = [whole.slice(cut)], BLOCK_ROWS, True
        else:
            waiting, enough = [whole], 2 * whole.num_rows  # one long series: look less often
    rest = pa.concat_tables(waiting).unify_dictionaries()
    if rest.num_rows or not done:
        yield rest


def _tables(path: Path, names: Sequence[str]) -> Iterator[pa.Table]:
    """Rows of a file, or of a folder of part files; a table without rows comes first."""
    import pyarrow as pa

    files = table_files(path)
    with open_parquet(files[0]) as file:
        kinds = file.schema_arrow
    known = [kinds.field(name) for name in names if name in kinds.names]
    yield pa.schema(known).empty_table()
    for file in files:
        for batch in stream(file, BLOCK_ROWS // 2, names):
            yield pa.table(batch).select(list(names))


def _series_starts(table: pa.Table) -> NDArray[np.int64]:
    node, peer = (as_columns(table.select([name]))[name] for name in SERIES)
    changes = (node[1:] != node[:-1]) | (peer[1:] != peer[:-1])
    return np.flatnonzero(np.append(True, changes))


def _node_start(columns: Columns) -> int:
    """First row of the last node."""
    node = columns["node_id"]
    return int(np.flatnonzero(np.append(True, node[1:] != node[:-1]))[-1])


def _word(columns: Columns, name: str, row: int) -> str:
    return str(columns.text(name, np.array([row]))[0]) if len(columns) else ""
