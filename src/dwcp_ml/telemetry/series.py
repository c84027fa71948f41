"""What a series must keep: time runs forward, no row twice, a constant step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dwcp_ml.errors import GapError, RowOrderError
from dwcp_ml.telemetry.schema import KEY

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from dwcp_ml.telemetry.columns import ColumnMap

    Ints = NDArray[np.int64]


@dataclass
class SeriesCheck:
    """Orders and checks buckets of whole series; counts what the manifest needs.

    ``allowed`` is the fraction of steps that may be gaps where gaps are allowed.
    """

    rules: ColumnMap
    allowed: float
    rows: int = 0
    count: int = 0
    gaps: int = 0
    start_us: int = np.iinfo(np.int64).max
    end_us: int = np.iinfo(np.int64).min

    def order(self, node: Ints, peer: Ints, time_us: Ints) -> Ints:
        """Row numbers sorted by key; without ``sort`` only whole series are brought together.

        The sort is stable, so that within a series rows keep the order in which they came.
        """
        keys = (time_us, peer, node) if self.rules.sort else (peer, node)
        return np.lexsort(keys)

    def series(self, table: pa.Table, starts: Ints) -> None:
        """Check rows grouped by series; ``starts`` are the first rows of the series.

        Raises:
            RowOrderError: time runs backwards, or a key occurs twice.
            GapError: a step is missing, or the step is another than ``step_s``.
        """
        import pyarrow as pa

        time_us = table.column("timestamp").cast(pa.int64()).to_numpy()
        distance = np.diff(time_us)
        within = np.ones(len(distance), bool)
        within[starts[1:] - 1] = False
        step_us = self.rules.step_s * 1_000_000
        backwards = np.flatnonzero(within & (distance < 0))
        if len(backwards):
            raise RowOrderError(
                f"time runs backwards in {_row(table, backwards[0] + 1)}, {len(backwards):,} times "
                "among the rows looked at; give the files in the order of time, or say sort: true"
            )
        twice = np.flatnonzero(within & (distance == 0))
        if len(twice):
            raise RowOrderError(
                f"{_row(table, twice[0])} occurs twice, and {len(twice):,} rows in all repeat a "
                "key among the rows looked at; drop the duplicates, or map what tells them apart "
                "to node_id or peer_id"
            )
        odd = within & (distance != step_us)
        if odd.any():
            self._gaps(table, distance, np.flatnonzero(odd), np.flatnonzero(within))
        self.rows += len(time_us)
        self.count += len(starts)
        self.start_us = min(self.start_us, int(time_us.min()))
        self.end_us = max(self.end_us, int(time_us.max()))

    def _gaps(self, table: pa.Table, distance: Ints, odd: Ints, within: Ints) -> None:
        step_s = self.rules.step_s
        values, counts = np.unique(distance[within], return_counts=True)
        usual_s = values[counts.argmax()] / 1e6
        if usual_s != step_s:
            raise GapError(
                f"rows are mostly {usual_s:g} s apart, but step_s is {step_s}; correct step_s"
            )
        short = odd[distance[odd] < step_s * 1e6]
        if len(short):
            raise GapError(
                f"{_row(table, short[0])} is followed by a row {distance[short[0]] / 1e6:g} s "
                f"later, where the step is {step_s} s; resample the source to a constant step"
            )
        if self.rules.gaps == "refuse":
            raise GapError(
                f"{_row(table, odd[0])} is followed by a gap of {distance[odd[0]] / 1e6:g} s, and "
                f"{len(odd):,} gaps are among the rows looked at, where the step is {step_s} s; "
                "fill them, or say gaps: allow (no window then crosses one)"
            )
        self.gaps += len(odd)

    def finish(self) -> None:
        """After the last bucket: refuse a source that is mostly gaps (GapError)."""
        steps = self.rows - self.count
        if self.gaps > self.allowed * steps:
            raise GapError(
                f"{self.gaps:,} of {steps:,} steps are gaps, more than {self.allowed:.0%}; "
                "check step_s, or resample the source"
            )


def _row(table: pa.Table, row: int) -> str:
    node, peer, time = (table.column(name)[int(row)].as_py() for name in KEY)
    return f"series ({node}, {peer}) at {time.isoformat()}"
