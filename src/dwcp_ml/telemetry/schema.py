"""The data contract: columns, units, ranges, codes and targets, read from one JSON file."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA_NAME = "dwcp_training_schema.json"
KEY = ("node_id", "peer_id", "timestamp")  # the sort order of every telemetry file
SERIES = ("node_id", "peer_id")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Column(_Frozen):
    """One column of the telemetry table."""

    name: str
    group: str
    type: Literal["timestamp", "string", "float32", "int64", "int32", "int16", "int8"]
    unit: str
    min: float | None = None
    max: float | None = None
    enum: tuple[str, ...] | None = None
    codes: tuple[int, ...] | None = None
    required: bool
    role: Literal["key", "derived", "input", "label"]
    neutral: float | int | str | None = None
    description: str


class Target(_Frozen):
    """What a model learns, and for a class how it is cut."""

    name: str
    model: str
    kind: str
    unit: str | None = None
    label: str | None = None
    description: str | None = None
    codes: dict[str, int] | None = None
    boundaries: tuple[float, float] | None = None
    reference_mbps: dict[str, tuple[float, float, float]] | None = None


class IncidentRules(_Frozen):
    """Keys and allowed words of labeled_incidents.json."""

    required: tuple[str, ...]
    type: tuple[str, ...]
    severity: tuple[str, ...]


class Schema(_Frozen):
    """The whole contract."""

    title: str
    version: str
    description: str
    key: tuple[str, ...]
    max_missing_fraction: float
    groups: tuple[str, ...]
    columns: tuple[Column, ...]
    targets: tuple[Target, ...]
    ordered_columns: tuple[tuple[str, str], ...] = Field(
        description="pairs (a, b) with a <= b in every row"
    )
    incident: IncidentRules

    def names(self, *roles: str) -> tuple[str, ...]:
        """Names of all columns, or of those with one of the roles."""
        return tuple(c.name for c in self.columns if not roles or c.role in roles)

    def column(self, name: str) -> Column:
        """The column of that name; KeyError if there is none."""
        return {c.name: c for c in self.columns}[name]

    def target(self, name: str) -> Target:
        """The target of that name; KeyError if there is none."""
        return {t.name: t for t in self.targets}[name]

    def code(self, name: str) -> dict[str, int]:
        """Number of each word of an enum column, as models take it."""
        column = self.column(name)
        return dict(zip(column.enum or (), column.codes or (), strict=True))


@cache
def load_schema(path: Path | None = None) -> Schema:
    """Read the contract; without a path the one of this package."""
    return Schema.model_validate(json.loads((path or _packaged()).read_text()))


def _packaged() -> Path:
    """The file inside an installed wheel, or of the source tree."""
    inside = Path(str(files("dwcp_ml"))) / "schemas" / SCHEMA_NAME
    return inside if inside.exists() else Path(__file__).parents[3] / "schemas" / SCHEMA_NAME


def arrow_schema(schema: Schema, *, labels: bool = True) -> pa.Schema:
    """Arrow types of the telemetry table, columns in schema order."""
    import pyarrow as pa

    types = {
        "timestamp": pa.timestamp("us", tz="UTC"),
        "string": pa.dictionary(pa.int32(), pa.string()),
        "float32": pa.float32(),
        "int64": pa.int64(),
        "int32": pa.int32(),
        "int16": pa.int16(),
        "int8": pa.int8(),
    }
    kept = [c for c in schema.columns if labels or c.role != "label"]
    return pa.schema([pa.field(c.name, types[c.type]) for c in kept])
