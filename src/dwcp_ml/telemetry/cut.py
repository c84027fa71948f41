"""Cutting sorted part files into the files of a split, row group by row group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dwcp_ml.errors import RowOrderError, UnreadableFileError
from dwcp_ml.telemetry.boundaries import ROLES
from dwcp_ml.telemetry.parquet import ROW_GROUP, RowGroups, open_parquet, stream
from dwcp_ml.telemetry.windows import SEGMENT_COLUMNS, Columns

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from numpy.typing import NDArray


class Cut:
    """Three growing files, one for each part of the split."""

    def __init__(self, folder: Path, like: Path, stack: ExitStack, ending: str) -> None:
        with open_parquet(like) as file:
            schema = file.schema_arrow
        self._writers = [
            stack.enter_context(RowGroups(folder / f"{role}{ending}.parquet", schema))
            for role in ROLES
        ]

    def append(self, file: Path, roles: NDArray[np.int8]) -> None:
        """Append the rows of a part file; ``roles`` says where each one goes."""
        import pyarrow as pa

        done = 0
        for batch in stream(file, ROW_GROUP):
            mine = roles[done : done + batch.num_rows]
            done += batch.num_rows
            for number, writer in enumerate(self._writers):
                if (mine == number).any():
                    writer.write(pa.table(batch.filter(pa.array(mine == number))))
        if done != len(roles):
            raise UnreadableFileError(f"{file} has {done:,} rows, its telemetry {len(roles):,}")


def check_sorted(columns: Columns, last: tuple[str, str] | None, file: Path) -> tuple[str, str]:
    """Refuse rows out of order; returns the last series."""
    if not len(columns):
        raise UnreadableFileError(f"{file} holds no rows; remove it or write it again")
    node, peer, time_s = (columns[name] for name in SEGMENT_COLUMNS)
    same = (node[1:] == node[:-1]) & (peer[1:] == peer[:-1])
    later = (node[1:] > node[:-1]) | ((node[1:] == node[:-1]) & (peer[1:] > peer[:-1]))
    ends = [
        tuple(str(columns.text(name, np.array([i]))[0]) for name in ("node_id", "peer_id"))
        for i in (0, len(columns) - 1)
    ]
    if not (later | (same & (time_s[1:] > time_s[:-1]))).all() or (last and ends[0] <= last):
        raise RowOrderError(
            f"{file}: rows are not sorted by node_id, peer_id, timestamp over the parts; run "
            "'dwcp validate' to see where"
        )
    return ends[1][0], ends[1][1]
