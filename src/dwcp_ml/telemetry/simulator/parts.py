"""Stream node tables to the Parquet parts of a raw folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from dwcp_ml.telemetry.parquet import open_writer
from dwcp_ml.telemetry.schema import Schema, arrow_schema

if TYPE_CHECKING:
    from types import TracebackType

    import pyarrow as pa
    import pyarrow.parquet as pq

    from dwcp_ml.telemetry.simulator.table import Columns

# Meters report a few significant digits; keeping no more also makes the files half the size.
MANTISSA_BITS = 12


class PartWriter:
    """Writes raw/telemetry/part-N.parquet and raw/truth/part-N.parquet, node after node."""

    def __init__(self, folder: Path, number: int, schema: Schema) -> None:
        self._paths = [
            folder / kind / f"part-{number:05d}.parquet" for kind in ("telemetry", "truth")
        ]
        self._schema = arrow_schema(schema)
        self._writers: list[pq.ParquetWriter] = []

    def __enter__(self) -> Self:
        for path in self._paths:
            path.parent.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        for writer in self._writers:
            writer.close()

    def write(self, telemetry: Columns, truth: Columns) -> None:
        """Append one node's rows to both files."""
        tables = [_table(telemetry, self._schema), _table(truth, _inferred(truth))]
        if not self._writers:
            self._writers = [
                open_writer(path, table.schema)
                for path, table in zip(self._paths, tables, strict=True)
            ]
        for writer, table in zip(self._writers, tables, strict=True):
            writer.write_table(table)


def _table(columns: Columns, schema: pa.Schema) -> pa.Table:
    import pyarrow as pa

    rows = len(np.asarray(columns["timestamp"]))
    return pa.Table.from_arrays(
        [_array(columns[f.name], f.type, rows) for f in schema], schema=schema
    )


def _array(value: Any, kind: pa.DataType, rows: int) -> pa.Array:
    import pyarrow as pa

    if isinstance(value, str):
        codes = pa.array(np.zeros(rows, np.int32))
        return pa.DictionaryArray.from_arrays(codes, pa.array([value]))
    if pa.types.is_dictionary(kind):
        return pa.array(value.astype(str)).dictionary_encode().cast(kind)
    if pa.types.is_float32(kind):
        value = metered(np.asarray(value, np.float32))
    return pa.array(value).cast(kind)


def metered(values: np.ndarray) -> np.ndarray:
    """Round float32 to ``MANTISSA_BITS`` bits, about four significant decimal digits."""
    drop = 23 - MANTISSA_BITS
    bits = values.view(np.uint32)
    half = np.uint32(1 << (drop - 1))
    return ((bits + half) & np.uint32(0xFFFFFFFF << drop & 0xFFFFFFFF)).view(np.float32)


def _inferred(columns: Columns) -> pa.Schema:
    import pyarrow as pa

    def kind(value: Any) -> pa.DataType:
        if isinstance(value, str) or value.dtype.kind == "U":
            return pa.dictionary(pa.int32(), pa.string())
        if value.dtype.kind == "M":
            return pa.timestamp("us", tz="UTC")
        return pa.from_numpy_dtype(value.dtype)

    return pa.schema([(name, kind(value)) for name, value in columns.items()])
