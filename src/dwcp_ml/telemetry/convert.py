"""One batch of a user's file -> columns of the schema, with a tally of what is wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from dwcp_ml.errors import MissingColumnError, MissingValuesError
from dwcp_ml.telemetry.columns import as_word
from dwcp_ml.telemetry.schema import SERIES, arrow_schema
from dwcp_ml.telemetry.tally import Tally
from dwcp_ml.telemetry.units import factor

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

    from dwcp_ml.telemetry.columns import ColumnMap, ColumnSource
    from dwcp_ml.telemetry.plan import Plan
    from dwcp_ml.telemetry.schema import Column, Schema
    from dwcp_ml.telemetry.timestamps import Clock


@dataclass
class Converter:
    """Turns batches into measured columns of the schema; text stays plain text here."""

    schema: Schema
    column_map: ColumnMap
    plan: Plan
    clock: Clock
    tallies: dict[str, Tally] = field(default_factory=dict)

    def arrow_schema(self) -> pa.Schema:
        """Types of the measured columns, dictionaries as plain text."""
        import pyarrow as pa

        types = arrow_schema(self.schema)
        fields = [types.field(name) for name in self.plan.measured]
        return pa.schema(
            [f.with_type(pa.string()) if pa.types.is_dictionary(f.type) else f for f in fields]
        )

    def convert(self, batch: pa.RecordBatch, path: Path) -> pa.RecordBatch:
        """Convert one batch; see ``Clock.read`` and ``Converter._number`` for what it refuses."""
        import pyarrow as pa

        kept = self.arrow_schema()
        arrays = []
        for name, source in self.plan.measured.items():
            if source.value is not None:
                arrays.append(pa.repeat(as_word(source.value), batch.num_rows))
                continue
            values = batch.column(self.plan.source_name(name))
            where = f"{path}: column '{self.plan.source_name(name)}'"
            column = self.schema.column(name)
            if column.type == "timestamp":
                arrays.append(self.clock.read(values, where))
            elif column.type == "string":
                arrays.append(self._text(column, source, values, where))
            else:
                numbers = self._number(column, source, values, where)
                arrays.append(_as_type(numbers, kept.field(name).type))
        return pa.RecordBatch.from_arrays(arrays, schema=kept)

    def _text(self, column: Column, source: ColumnSource, values: pa.Array, where: str) -> pa.Array:
        import pyarrow as pa
        import pyarrow.compute as pc

        tally = self.tallies.setdefault(column.name, Tally())
        coded = pc.dictionary_encode(_as_text(values))
        words = [self._word(source, word) for word in coded.dictionary.to_pylist()]
        missing = coded.null_count
        counts = np.bincount(coded.indices.drop_null().to_numpy(), minlength=len(words))
        missing += int(sum(n for word, n in zip(words, counts, strict=True) if word is None))
        if column.name in SERIES and missing:
            raise MissingValuesError(
                f"{where} has {missing:,} empty values; every row needs a {column.name}"
            )
        tally.rows += len(values)
        strange = [
            i for i, w in enumerate(words) if column.enum and w is not None and w not in column.enum
        ]
        tally.words([str(words[i]) for i in strange], counts[strange], missing)
        return pa.array(words, pa.string()).take(coded.indices)

    @staticmethod
    def _word(source: ColumnSource, word: str) -> str | None:
        if word == "" or word in {as_word(m) for m in source.missing}:
            return None
        return as_word((source.map or {}).get(word, word))

    def _number(
        self, column: Column, source: ColumnSource, values: pa.Array, where: str
    ) -> NDArray[np.float64]:
        """Values in the schema's unit, NaN where missing.

        Raises:
            MissingColumnError: the source holds no numbers.
        """
        if source.map:
            numbers = _mapped(source, values, where)
        else:
            numbers = _as_numbers(source, values, where)
        marks = [m for m in source.missing if not isinstance(m, str)]
        if marks:
            numbers = np.where(np.isin(numbers, marks), np.nan, numbers)
        if source.unit is not None:
            numbers = numbers * factor(source.unit, column.unit, self.column_map.step_s, where)
        if source.scale is not None or source.offset is not None:
            scale = 1.0 if source.scale is None else source.scale
            numbers = numbers * scale + (source.offset or 0.0)
        tally = self.tallies.setdefault(column.name, Tally())
        if column.type != "float32":
            whole = np.rint(numbers)
            if not source.model_fields_set & {"unit", "scale", "offset"}:
                tally.broken += int(((whole != numbers) & np.isfinite(numbers)).sum())
            numbers = whole
        tally.numbers(column, numbers)
        return numbers


def _as_text(values: pa.Array) -> pa.Array:
    import pyarrow as pa

    if pa.types.is_floating(values.type):
        numbers = values.to_numpy(zero_copy_only=False)
        whole = numbers[np.isfinite(numbers)]
        if (whole == np.rint(whole)).all():  # codes 0.0, 1.0 are the words "0", "1"
            values = pa.array(numbers, from_pandas=True).cast(pa.int64())
    return values.cast(pa.string())


def _as_numbers(source: ColumnSource, values: pa.Array, where: str) -> NDArray[np.float64]:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = values.type
    numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if not (numeric or pa.types.is_boolean(kind) or pa.types.is_decimal(kind)):
        try:
            text = values.cast(pa.string())
            missing = pc.is_in(text, pa.array([as_word(m) for m in source.missing] + [""]))
            values = pc.if_else(missing, None, text).cast(pa.float64())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise MissingColumnError(
                f"{where} is {kind} where numbers are needed; map another column, or use 'map' "
                "for words"
            ) from error
    if pa.types.is_boolean(kind):
        values = values.cast(pa.int8())
    numbers: NDArray[np.float64] = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return numbers


def _mapped(source: ColumnSource, values: pa.Array, where: str) -> NDArray[np.float64]:
    import pyarrow.compute as pc

    table = source.map or {}
    coded = pc.dictionary_encode(_as_text(values))
    marks = {as_word(m) for m in source.missing} | {""}
    numbers = np.full(len(coded.dictionary) + 1, np.nan)
    for i, word in enumerate(coded.dictionary.to_pylist()):
        if word in marks:
            continue
        if word not in table:
            raise MissingColumnError(f"{where} holds '{word}', which 'map' does not list")
        numbers[i] = float(table[word])
    codes: NDArray[np.int32] = coded.indices.fill_null(len(numbers) - 1).to_numpy()
    return numbers[codes]


def _as_type(numbers: NDArray[np.float64], kind: pa.DataType) -> pa.Array:
    """NaN becomes null; what is out of range is refused later, with its count, so it may wrap."""
    import pyarrow as pa

    if pa.types.is_floating(kind):
        with np.errstate(over="ignore"):
            return pa.array(numbers.astype(np.float32), from_pandas=True)
    missing = ~np.isfinite(numbers)
    with np.errstate(invalid="ignore"):
        whole = np.where(missing, 0, numbers).astype(np.int64).astype(kind.to_pandas_dtype())
    return pa.array(whole, mask=missing)
