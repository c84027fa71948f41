"""The frames of the contract as Spark's own, made of part files by the code of one process."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dwcp_ml.scale.places import Place
from dwcp_ml.scale.work import Receipt
from dwcp_ml.telemetry.dataset import Manifest
from dwcp_ml.telemetry.expectations import ORDER, PAIRS
from dwcp_ml.telemetry.frames import Frames, _key
from dwcp_ml.telemetry.parquet import read_table
from dwcp_ml.telemetry.profile import Profile
from dwcp_ml.telemetry.schema import KEY, SERIES, Schema, arrow_schema

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Kind = Literal["groups", "pairs", "order"]
Key = tuple[tuple[str, ...], int]  # of a row: its texts, and its microseconds


@dataclass(frozen=True)
class Parts:
    """Part files and what each must know of the ones before.

    Attributes:
        place, names, manifest: where they are and what they are.
        before: the last key before each part, None for the first one.
    """

    place: Place
    names: tuple[str, ...]
    manifest: Manifest
    before: tuple[Key | None, ...] = ()

    def frames(self, number: int, schema: Schema) -> Frames:
        """Frames that go on where the part before ended."""
        return Frames(schema, self.manifest.step_s, _last=self.before[number])


@dataclass(frozen=True)
class Ends:
    """First work: the first and last key of each part; facts are empty for a part without rows."""

    parts: Parts

    def __call__(self, number: int, scratch: Path) -> Receipt:
        """See ``work.Work``."""
        import pyarrow as pa

        file = self.parts.place.fetch(self.parts.names[number], scratch)
        rows = read_table(file, KEY).select(list(KEY))
        facts = {}
        if rows.num_rows:
            last = rows.slice(rows.num_rows - 1)
            micros = last.column("timestamp").cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
            first = _key(rows, 0)
            facts = {"first": first, "last": [_key(last, 0), micros.fill_null(0)[0].as_py()]}
        return Receipt(number, rows.num_rows, file.stat().st_size, json.loads(json.dumps(facts)))


@dataclass(frozen=True)
class About:
    """Second work: layout, figures of the columns, and where the order first breaks."""

    parts: Parts
    schema: Schema

    def __call__(self, number: int, scratch: Path) -> Receipt:
        """See ``work.Work``."""
        file = self.parts.place.fetch(self.parts.names[number], scratch)
        frames, profile = self.parts.frames(number, self.schema), Profile(self.schema)
        for batch in frames.read([file]):
            for name, frame in batch:
                if name in self.schema.groups:
                    profile.add(frame)
        facts = {
            "layout": frames.layout[0],
            "places": frames.places,
            "series": frames.series,
            "sums": {name: _finite(asdict(known)) for name, known in profile._sums.items()},
        }
        return Receipt(number, frames.rows, 0, facts)


def _finite(figures: dict[str, Any]) -> dict[str, Any]:
    """JSON has no infinity; a text stands for it, and for NaN."""
    return {k: v if np.isfinite(v) else repr(v) for k, v in figures.items()}


@dataclass(frozen=True)
class Rows:
    """The rows of one kind of frame, for ``mapInArrow`` over the numbers of the parts.

    NaN becomes null on the way: to Spark, but not to pandas, NaN is a value above all others.
    """

    parts: Parts
    schema: Schema
    kind: Kind
    kinds: pa.Schema

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Batches of rows, in the columns of ``kinds``."""
        for batch in batches:
            for number in batch.column(0).to_pylist():
                with tempfile.TemporaryDirectory(prefix="dwcp-") as scratch:
                    file = self.parts.place.fetch(self.parts.names[number], Path(scratch))
                    for frames in self.parts.frames(number, self.schema).read([file]):
                        yield self._batch(self._columns(frames))

    def _columns(self, frames: Iterator[tuple[str, pd.DataFrame]]) -> dict[str, pd.Series[Any]]:
        found: dict[str, pd.Series[Any]] = {}
        for name, frame in frames:
            if name == PAIRS:
                if self.kind == "pairs":
                    return {str(k): v for k, v in frame.items()}
                if self.kind == "groups":
                    return found
            elif name == ORDER:
                # Codes of names differ from part to part, so the names themselves are compared.
                names = {k: found[k] for k in SERIES}
                return {str(k): v for k, v in frame.items()} | names
            else:
                found |= {str(k): v for k, v in frame.items()}
        return found

    def _batch(self, columns: dict[str, pd.Series[Any]]) -> pa.RecordBatch:
        import pyarrow as pa

        rows = len(next(iter(columns.values())))
        arrays = [
            _array(columns[f.name], f.type) if f.name in columns else pa.nulls(rows, f.type)
            for f in self.kinds
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self.kinds)


def _array(values: pd.Series[Any], kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    array = pa.array(values, from_pandas=True)
    return array if array.type == kind else array.cast(kind)


def narrowed(schema: Schema, kind: Kind) -> Schema:
    """The schema with no more columns than a kind of frame reads."""
    if kind == "groups":
        return schema.model_copy(update={"ordered_columns": ()})
    wanted = {*KEY}
    if kind == "pairs":
        wanted |= {name for pair in schema.ordered_columns for name in pair}
    else:
        wanted |= set(schema.names("derived"))
    update: dict[str, Any] = {"columns": tuple(c for c in schema.columns if c.name in wanted)}
    if kind == "order":
        update["ordered_columns"] = ()
    return schema.model_copy(update=update)


def columns_of(kind: Kind, schema: Schema, layouts: Sequence[dict[str, Any]]) -> pa.Schema:
    """Columns and types of a kind of frame on Spark.

    A column that no part has, or that a part stores as another kind of value, is left out: the
    expectations on it then raise, as they do in one process.
    """
    import pyarrow as pa

    stored = arrow_schema(schema)
    fields = []
    for field in (stored.field(c.name) for c in narrowed(schema, kind).columns):
        found = {layout[field.name] for layout in layouts} - {"not there"}
        if found and all(_alike(text, field.type) for text in found):
            fields.append(pa.field(field.name, _plain(field.type)))
    if kind == "order":
        derived = [f for f in fields if f.name in schema.names("derived")]
        fields = [pa.field(name, pa.string()) for name in SERIES]
        fields += [pa.field("timestamp", pa.int64()), pa.field("step_s", pa.float64())]
        fields += [pa.field("sorted", pa.int64())]
        fields += [pa.field(f"{f.name}_error", pa.float64()) for f in derived]
    if kind == "pairs":
        pairs = {name for pair in schema.ordered_columns for name in pair}
        fields = [f for f in fields if f.name in pairs]
    return pa.schema(fields)


def _plain(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return pa.string()
    if pa.types.is_floating(kind):
        return pa.float64()
    return pa.int64() if pa.types.is_integer(kind) else kind


def _alike(stored: str, kind: pa.DataType) -> bool:
    """Whether a stored type, by its name, holds the same kind of value."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return "string" in stored
    if pa.types.is_timestamp(kind):
        return stored.startswith("timestamp")
    return stored.startswith(("int", "uint", "float", "double", "halffloat"))
