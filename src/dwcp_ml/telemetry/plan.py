"""Which column of a user's files becomes which column of the schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dwcp_ml.errors import MissingColumnError, ParamsError, nearest
from dwcp_ml.telemetry.columns import ColumnMap, ColumnSource, absent_columns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dwcp_ml.telemetry.readers import Kind, SourceFile
    from dwcp_ml.telemetry.schema import Schema


@dataclass(frozen=True)
class Plan:
    """What is read and what is filled in.

    Attributes:
        measured: schema column -> its source, in schema order; the same for every file. A key
            that is declared constant is among them, as rows are sorted by it.
        constants: other schema column -> the value of every row (declared, or neutral).
        absent: input columns that no file has.
        missing_labels: label columns that no file has and that cannot be computed.
        computes_anomaly: is_anomaly follows from the incidents.
    """

    measured: Mapping[str, ColumnSource]
    constants: Mapping[str, str | float]
    absent: tuple[str, ...]
    missing_labels: tuple[str, ...]
    computes_anomaly: bool

    def source_name(self, name: str) -> str:
        """The column of the file that feeds a column of the schema."""
        return self.measured[name].source or name

    def kinds(self, schema: Schema, column_map: ColumnMap) -> dict[str, Kind]:
        """Columns of the file -> the type a CSV reader gives them."""
        kinds: dict[str, Kind] = {}
        for name, source in self.measured.items():
            if source.value is not None:
                continue
            column = schema.column(name)
            words = source.map is not None or any(isinstance(m, str) for m in source.missing)
            text = column.type == "string" or words
            if column.type == "timestamp":
                text = column_map.timestamp_unit is None
            # A source column that feeds a number and a name is read as text and then parsed.
            if text or self.source_name(name) not in kinds:
                kinds[self.source_name(name)] = "text" if text else "number"
        return kinds


def make_plan(files: Sequence[SourceFile], column_map: ColumnMap, schema: Schema) -> Plan:
    """Find a source for every column.

    Raises:
        MissingColumnError: with the whole list, and for each the nearest name of the file.
        ParamsError: a column is declared absent although a file has it.
    """
    named, grouped = absent_columns(column_map, schema)
    measured = dict(column_map.columns)
    for name in schema.names("key", "input", "label"):
        has = [name in file.names for file in files]
        if name in measured or not any(has):
            continue
        if name in named:
            path = files[has.index(True)].path
            raise ParamsError(f"{path} has the column '{name}'; remove it from absent")
        measured[name] = ColumnSource.model_validate({})
    constants = {
        name: s.value
        for name, s in measured.items()
        if s.value is not None and name not in schema.key
    }
    measured = {n: measured[n] for n in schema.names() if n in measured and n not in constants}
    absent = tuple(
        n for n in schema.names("input") if (n in named or n in grouped) and n not in measured
    )
    absent = tuple(n for n in absent if n not in constants)
    _check(files, measured, {*constants, *absent}, schema)
    for name in absent:
        neutral = schema.column(name).neutral
        constants[name] = 0 if neutral is None else neutral
    labels = [n for n in schema.names("label") if n not in measured and n not in constants]
    computes = column_map.incidents is not None and "is_anomaly" in labels
    missing = tuple(n for n in labels if not (computes and n == "is_anomaly"))
    return Plan(measured, constants, absent, missing, computes)


def _check(
    files: Sequence[SourceFile],
    measured: Mapping[str, ColumnSource],
    filled: set[str],
    schema: Schema,
) -> None:
    for file in files:
        unmapped = set(schema.names("key", "input")) - filled - set(measured)
        lacking = [n + _hint(n, file.names) for n in schema.names() if n in unmapped]
        for name, source in measured.items():
            wanted = source.source or name
            if wanted not in file.names and source.value is None:
                said = f" (mapped from '{wanted}')" if wanted != name else ""
                lacking.append(name + said + _hint(wanted, file.names))
        if lacking:
            plural = "s" if len(lacking) > 1 else ""
            raise MissingColumnError(
                f"{file.path} lacks {len(lacking)} column{plural}: {', '.join(lacking)}. Map each "
                "under columns, or list an input that the source never has under absent"
            )


def _hint(name: str, known: Sequence[str]) -> str:
    hint = nearest(name, known)
    return f" ({hint.removeprefix('; ')})" if hint else ""
