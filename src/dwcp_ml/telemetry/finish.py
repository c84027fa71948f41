"""Measured columns -> the full rows of the schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dwcp_ml.telemetry.arrays import decode
from dwcp_ml.telemetry.columns import as_word
from dwcp_ml.telemetry.incidents import Incident, during
from dwcp_ml.telemetry.schema import Schema, arrow_schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from dwcp_ml.telemetry.plan import Plan

US_PER_DAY = 86_400_000_000
EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday; 0 is Monday


@dataclass(frozen=True)
class Finisher:
    """Adds derived columns, constants and the computed label; writes columns in schema order."""

    schema: Schema
    plan: Plan
    incidents: Mapping[str, Sequence[Incident]]  # by node_id

    def arrow_schema(self) -> pa.Schema:
        """Types of the stored table: the schema's, without the labels that nobody has."""
        import pyarrow as pa

        fields = [f for f in arrow_schema(self.schema) if f.name not in self.plan.missing_labels]
        return pa.schema(fields)

    def finish(self, rows: pa.Table) -> pa.Table:
        """The stored columns of some rows."""
        import pyarrow as pa

        time_us = rows.column("timestamp").cast(pa.int64()).to_numpy()
        computed = derived(time_us)
        if self.plan.computes_anomaly:
            computed["is_anomaly"] = self._anomaly(rows.column("node_id"), time_us)
        arrays = []
        for column in self.arrow_schema():
            if column.name in self.plan.measured:
                arrays.append(_typed(rows.column(column.name), column.type))
            elif column.name in computed:
                arrays.append(pa.array(computed[column.name], column.type))
            else:
                arrays.append(_constant(self.plan.constants[column.name], len(time_us), column))
        return pa.table(arrays, schema=self.arrow_schema())

    def _anomaly(self, node: pa.ChunkedArray, time_us: NDArray[np.int64]) -> NDArray[np.int8]:
        codes, names = decode("node_id", node)
        anomaly = np.zeros(len(time_us), np.int8)
        for code, name in enumerate(() if names is None else names):
            if name in self.incidents:
                mine = np.flatnonzero(codes == code)
                anomaly[mine] = during(self.incidents[name], time_us[mine])
        return anomaly


def derived(time_us: NDArray[np.int64]) -> dict[str, NDArray[np.generic]]:
    """The columns that follow from the timestamp, (rows,) each; hours and days are UTC's."""
    return {
        "epoch_time": time_us // 1_000_000,
        "time_of_day": (time_us % US_PER_DAY / 3.6e9).astype(np.float32),
        "day_of_week": ((time_us // US_PER_DAY + EPOCH_WEEKDAY) % 7).astype(np.int8),
    }


def _typed(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    import pyarrow as pa

    return values.dictionary_encode() if pa.types.is_dictionary(kind) else values


def _constant(value: str | float, rows: int, field: pa.Field) -> pa.Array:
    import pyarrow as pa

    if pa.types.is_dictionary(field.type):
        codes = pa.array(np.zeros(rows, np.int32))
        return pa.DictionaryArray.from_arrays(codes, pa.array([as_word(value)]))
    return pa.array(np.full(rows, value), field.type)
