"""Telemetry as the narrow frames that the expectations look at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dwcp_ml.errors import MissingColumnError
from dwcp_ml.telemetry.arrays import Array, decode
from dwcp_ml.telemetry.expectations import LAYOUT, ORDER, PAIRS, WHOLE
from dwcp_ml.telemetry.finish import derived
from dwcp_ml.telemetry.parquet import open_parquet
from dwcp_ml.telemetry.schema import KEY, SERIES, Schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray

BATCH_ROWS = 262_144


@dataclass
class Frames:
    """Streams part files as frames; a series may span two batches.

    Attributes:
        rows, series: counted so far.
        layout: one row a part file, for the expectations on files.
        places: frame column -> where it first disagrees, for those that a number does not tell.
    """

    schema: Schema
    step_s: int
    rows: int = 0
    series: int = 0
    layout: list[dict[str, Any]] = field(default_factory=list)
    places: dict[str, str] = field(default_factory=dict)
    _last: tuple[tuple[str, ...], int] | None = None

    def read(self, parts: Sequence[Path]) -> Iterator[Iterator[tuple[str, pd.DataFrame]]]:
        """Batches of rows, each as its frames by name; only one frame is in memory at a time.

        A batch may span part files: Great Expectations costs about as much for one row as for
        fifty thousand.

        Raises:
            MissingColumnError: a key column is not there.
            UnreadableFileError: a file is damaged.
        """
        import pyarrow as pa

        waiting: list[pa.Table] = []
        for table in self._tables(parts):
            if waiting and table.schema != waiting[0].schema:
                yield self._frames(pa.concat_tables(waiting).unify_dictionaries())
                waiting = []
            waiting.append(table)
            if sum(t.num_rows for t in waiting) >= BATCH_ROWS:
                yield self._frames(pa.concat_tables(waiting).unify_dictionaries())
                waiting = []
        if waiting:
            yield self._frames(pa.concat_tables(waiting).unify_dictionaries())

    def about_files(self) -> dict[str, pd.DataFrame]:
        """After the last part: one row a part, and one row on the whole."""
        import pandas as pd

        return {
            LAYOUT: pd.DataFrame(self.layout),
            WHOLE: pd.DataFrame({"rows": [self.rows], "series": [self.series]}),
        }

    def _tables(self, parts: Sequence[Path]) -> Iterator[pa.Table]:
        """Rows of the part files as they are stored; looks at the layout of each file."""
        import pyarrow as pa

        end: tuple[str, ...] | None = None
        for part in parts:
            with open_parquet(part) as file:
                names = file.schema_arrow.names
                _check_keys(part, file.schema_arrow)
                known = [name for name in names if name in self.schema.names()]
                facts: dict[str, Any] = dict.fromkeys(self.schema.names(), "not there")
                facts |= {name: str(file.schema_arrow.field(name).type) for name in known}
                facts["unknown_columns"] = ", ".join(sorted(set(names) - set(known))) or "none"
                facts["follows"] = 0  # an empty part follows nothing
                self.layout.append(facts)
                for number, batch in enumerate(file.iter_batches(BATCH_ROWS, columns=known)):
                    if number == 0:
                        facts["follows"] = int(end is None or _key(batch, 0) > end)
                    end = _key(batch, batch.num_rows - 1)
                    yield pa.table(batch)

    def _frames(self, table: pa.Table) -> Iterator[tuple[str, pd.DataFrame]]:
        for group in self.schema.groups:
            members = {c.name for c in self.schema.columns if c.group == group}
            yield group, _pandas(table, members)
        yield PAIRS, _pandas(table, {name for pair in self.schema.ordered_columns for name in pair})
        yield ORDER, self._order(table)

    def _order(self, table: pa.Table) -> pd.DataFrame:
        """Key columns, and what follows from each row and the one before."""
        import pandas as pd

        node, peer = (decode(name, table.column(name))[0] for name in SERIES)
        time_us = _micros(table)
        first, last = _key(table, 0), _key(table, table.num_rows - 1)
        same = np.r_[False, (node[1:] == node[:-1]) & (peer[1:] == peer[:-1])]
        later = (node[1:] > node[:-1]) | ((node[1:] == node[:-1]) & (peer[1:] > peer[:-1]))
        distance = np.r_[0, np.diff(time_us)]
        after = np.r_[True, later] | (same & (distance > 0))
        if self._last is not None:
            same[0] = self._last[0][:2] == first[:2]
            distance[0] = time_us[0] - self._last[1]
            after[0] = first > self._last[0]
        self.rows += len(time_us)
        self.series += int((~same).sum())
        self._last = (last, int(time_us[-1]))
        self._place("step_s", same & (distance != self.step_s * 1_000_000), table)
        self._place("sorted", ~after, table)
        columns: dict[str, Array] = {"node_id": node, "peer_id": peer, "timestamp": time_us}
        columns["step_s"] = np.where(same, distance / 1e6, np.nan)  # NaN on a series' first row
        columns["sorted"] = after.astype(np.int64)
        for name, values in derived(time_us).items():
            if name in table.column_names and _is_number(table.schema.field(name).type):
                columns[f"{name}_error"] = _numbers(table, name) - values.astype(np.float64)
        return pd.DataFrame(columns)

    def _place(self, name: str, wrong: NDArray[np.bool_], table: pa.Table) -> None:
        """Remember where an order column first disagrees: a bare number would not say."""
        if name in self.places or not wrong.any():
            return
        row = int(np.argmax(wrong))
        node, peer, time = (table.column(key)[row].as_py() for key in KEY)
        self.places[name] = f"first at series ({node}, {peer}), {time.isoformat()}"


def _key(rows: pa.Table | pa.RecordBatch, row: int) -> tuple[str, ...]:
    """A key that compares as the rows are sorted; text, as a missing value compares to nothing."""
    return tuple(str(rows.column(name)[row].as_py()) for name in KEY)


def _check_keys(part: Path, kinds: pa.Schema) -> None:
    import pyarrow as pa

    for key in KEY:
        if key not in kinds.names:
            raise MissingColumnError(f"{part} has no column '{key}'")
    if not pa.types.is_timestamp(kinds.field("timestamp").type):
        raise MissingColumnError(f"{part}: timestamp is stored as {kinds.field('timestamp').type}")


def _is_number(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _micros(table: pa.Table) -> NDArray[np.int64]:
    import pyarrow as pa

    micros = table.column("timestamp").cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    return micros.fill_null(0).to_numpy()


def _numbers(table: pa.Table, name: str) -> NDArray[np.float64]:
    import pyarrow as pa

    return table.column(name).cast(pa.float64()).to_numpy()


def _pandas(table: pa.Table, wanted: set[str]) -> pd.DataFrame:
    """Numbers as float64 or int64, for which Great Expectations compares whole arrays at once."""
    import pyarrow as pa

    names = [name for name in table.column_names if name in wanted]
    columns = []
    for name in names:
        column = table.column(name)
        if pa.types.is_floating(column.type) or (
            pa.types.is_integer(column.type) and column.null_count
        ):
            column = column.cast(pa.float64())
        elif pa.types.is_integer(column.type):
            column = column.cast(pa.int64())
        columns.append(column)
    return pa.table(columns, names=names).to_pandas().copy()
