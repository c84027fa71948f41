"""columns.yaml: how a user's files become the columns of the schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from dwcp_ml.errors import ParamsError, nearest
from dwcp_ml.params import Section, parse, read_yaml
from dwcp_ml.telemetry.schema import Column, Schema
from dwcp_ml.telemetry.units import factor

SOURCE_KEYS = ("from", "value", "unit", "scale", "offset", "map", "missing")


class ColumnSource(Section):
    """Where one column of the schema comes from.

    Attributes:
        source: (``from``) the column of the file; by default the one of the same name.
        value: one constant for every row, instead of a column.
        unit: unit of the source, turned into the schema's; or
        scale, offset: value = source * scale + offset.
        map: words (or codes) of the source -> words (or numbers) of the schema.
        missing: values of the source that mean "not measured", such as -1.
    """

    source: str | None = Field(None, alias="from")
    value: str | float | None = None
    unit: str | None = None
    scale: float | None = None
    offset: float | None = None
    map: dict[str, str | float] | None = None
    missing: tuple[str | float, ...] = ()

    @field_validator("map", mode="before")
    @classmethod
    def _words(cls, value: Any) -> Any:
        """YAML reads true and 0 as a bool and a number; a source holds them as text."""
        return {as_word(k): v for k, v in value.items()} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        given = self.model_fields_set - {"value"}
        if self.value is not None and given:
            raise ValueError("'value' stands alone, without 'from', 'unit' and the like")
        if self.unit is not None and given & {"scale", "offset"}:
            raise ValueError("use either 'unit' or 'scale' and 'offset'")
        if self.map is not None and given & {"unit", "scale", "offset"}:
            raise ValueError("'map' goes with neither 'unit' nor 'scale' nor 'offset'")
        return self


class ColumnMap(Section):
    """A whole columns.yaml; ``absent`` may name columns or groups of the schema."""

    step_s: int = Field(ge=1, description="seconds between two rows of a series")
    timezone: str | None = None
    timestamp_unit: Literal["s", "ms", "us"] | None = None
    columns: dict[str, ColumnSource] = Field(default={})
    absent: tuple[str, ...] = ()
    gaps: Literal["refuse", "allow"] = "refuse"
    sort: bool = False
    incidents: Path | None = None

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        try:
            return value if value is None else ZoneInfo(value).key
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError("unknown time zone; write for example UTC or Europe/Berlin") from error


def read_column_map(path: Path, schema: Schema) -> ColumnMap:
    """Read columns.yaml; ``incidents`` is taken relative to its folder.

    Raises:
        ParamsError: an unknown key, column, unit or word, each with the nearest known one.
        UnreadableFileError: not there or not YAML.
    """
    raw = read_yaml(path)
    entries = raw.get("columns") or {}
    if not isinstance(entries, dict):
        raise ParamsError(f"{path}: columns must hold 'schema column: source column' pairs")
    sources = {name: _source(name, entry, schema, path) for name, entry in entries.items()}
    column_map = parse(ColumnMap, {**raw, "columns": sources}, str(path))
    for name, source in sources.items():
        _check(schema.column(name), source, column_map.step_s, f"{path}: columns.{name}")
    _check_absent(column_map, schema, path)
    if column_map.incidents is None:
        return column_map
    return column_map.model_copy(update={"incidents": path.parent / column_map.incidents})


def absent_columns(column_map: ColumnMap, schema: Schema) -> tuple[tuple[str, ...], set[str]]:
    """Columns declared absent by their own name, and those of the groups declared absent."""
    named = tuple(name for name in column_map.absent if name in schema.names())
    grouped = {c.name for c in schema.columns if c.group in column_map.absent and c.role == "input"}
    return named, grouped - set(column_map.columns)


def as_word(value: object) -> str:
    """The text of a YAML scalar as a data file would hold it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _source(name: str, entry: Any, schema: Schema, path: Path) -> ColumnSource:
    where = f"{path}: columns.{name}"
    if name not in schema.names():
        raise ParamsError(
            f"{path}: unknown column '{name}' under columns{nearest(str(name), schema.names())}"
        )
    if isinstance(entry, str):
        return ColumnSource.model_validate({"from": entry})
    if not isinstance(entry, dict):
        raise ParamsError(f"{where}: write a source column or a mapping, not {entry!r}")
    for key in entry:
        if key not in SOURCE_KEYS:
            raise ParamsError(f"{where}: unknown key '{key}'{nearest(str(key), SOURCE_KEYS)}")
    return parse(ColumnSource, entry, where)


def _check(column: Column, source: ColumnSource, step_s: int, where: str) -> None:
    if column.role == "derived":
        raise ParamsError(f"{where}: it is computed from timestamp; remove the entry")
    converted = source.model_fields_set & {"unit", "scale", "offset"}
    if converted and column.type in ("string", "timestamp"):
        hint = "; use timestamp_unit and timezone" if column.type == "timestamp" else ""
        raise ParamsError(f"{where}: '{min(converted)}' is for numbers only{hint}")
    if column.type == "timestamp" and source.model_fields_set - {"source"}:
        raise ParamsError(f"{where}: only 'from' can be said of the timestamp")
    if source.unit is not None:
        factor(source.unit, column.unit, step_s, where)
    for value in (source.map or {}).values() if source.value is None else (source.value,):
        _check_value(column, value, where)


def _check_value(column: Column, value: str | float, where: str) -> None:
    if column.enum and value not in column.enum:
        raise ParamsError(
            f"{where}: '{value}' is none of {', '.join(column.enum)}"
            f"{nearest(str(value), column.enum)}"
        )
    if column.type == "string":
        return
    if not isinstance(value, (int, float)):
        raise ParamsError(f"{where}: {value!r} is not a number")
    if column.type != "float32" and value != round(value):
        raise ParamsError(f"{where}: {value:g} is not a whole number")
    if not (column.min is None or column.max is None or column.min <= value <= column.max):
        raise ParamsError(f"{where}: {value:g} is outside {column.min:g} to {column.max:g}")


def _check_absent(column_map: ColumnMap, schema: Schema, path: Path) -> None:
    inputs = schema.names("input")
    for name in column_map.absent:
        if name in column_map.columns:
            raise ParamsError(f"{path}: '{name}' stands both under columns and under absent")
        if name not in inputs and name not in schema.groups:
            hint = nearest(name, (*inputs, *schema.groups))
            only = " (only inputs can be absent)" if name in schema.names() else ""
            raise ParamsError(f"{path}: unknown column or group '{name}' under absent{only}{hint}")
