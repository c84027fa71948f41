"""The suite: every expectation on telemetry, written from the schema.

Each one looks at a small frame (see ``frames.py``): Great Expectations copies a whole frame for
each expectation, so that narrow frames are several times faster than one wide table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dwcp_ml.telemetry.schema import KEY, Column, Schema, arrow_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dwcp_ml.telemetry.dataset import Manifest

ORDER, PAIRS, LAYOUT, WHOLE = "order", "pairs", "layout", "whole"
ONCE = (LAYOUT, WHOLE)  # frames about the files, not about rows
HOURS_TOLERANCE = 0.01  # hours may be stored rounded; a wrong time zone is off by a quarter or more


@dataclass(frozen=True)
class Expected:
    """One expectation.

    Attributes:
        frame: the frame it looks at: a group of the schema, or one of the frames above.
        type: Great Expectations' name of it.
        kwargs: its arguments.
        columns: the columns of telemetry that it is about.
        title: what it says, in words.
        mostly: the fraction of the checked values that must agree.
    """

    frame: str
    type: str
    kwargs: dict[str, Any]
    columns: tuple[str, ...]
    title: str
    mostly: float = 1.0


def suite(schema: Schema, manifest: Manifest) -> list[Expected]:
    """All expectations on a telemetry folder, in the order of the schema."""
    present = [c for c in schema.columns if c.name not in manifest.missing_labels]
    found = [e for column in present for e in _column(column, schema.max_missing_fraction)]
    found += _order(schema, manifest)
    for low, high in schema.ordered_columns:
        if low not in manifest.absent_columns and high not in manifest.absent_columns:
            found.append(_pair(low, high))
    found += _layout(schema, present)
    found += _whole(manifest)
    return found


def between(
    frame: str, column: str, least: float | None, most: float | None, **rest: Any
) -> Expected:
    """Values of one column of a frame lie in a range."""
    kwargs = {"column": column, "min_value": least, "max_value": most}
    return Expected(frame, "expect_column_values_to_be_between", kwargs, **rest)


def _column(column: Column, allowed: float) -> Iterator[Expected]:
    name, about = column.name, (column.name,)
    if column.required:
        allowed = 0 if column.role == "key" else allowed
        title = f"at most {allowed:.0%} of the values are missing" if allowed else "never missing"
        kind, mostly = "expect_column_values_to_not_be_null", 1 - allowed
        yield Expected(column.group, kind, {"column": name, "mostly": mostly}, about, title, mostly)
    if column.enum:
        kwargs = {"column": name, "value_set": list(column.enum)}
        title = f"one of {', '.join(column.enum)}"
        yield Expected(column.group, "expect_column_values_to_be_in_set", kwargs, about, title)
    if column.min is not None or column.max is not None:
        title = f"within {_bound(column.min)} to {_bound(column.max)} {column.unit}"
        yield between(column.group, name, column.min, column.max, columns=about, title=title)


def _bound(value: float | None) -> str:
    return "any" if value is None else f"{value:g}"


def _order(schema: Schema, manifest: Manifest) -> Iterator[Expected]:
    step = manifest.step_s
    unique = {"column_list": list(KEY), "ignore_row_if": "never"}
    kind = "expect_compound_columns_to_be_unique"
    yield Expected(ORDER, kind, unique, KEY, "no key occurs twice")
    # Ingest refuses gaps unless its column map allows them; the simulator has none.
    mostly = 1 - schema.max_missing_fraction if manifest.source == "ingest" else 1.0
    share = "" if mostly == 1 else f" in at least {mostly:.0%} of the rows (the others are gaps)"
    yield between(
        *(ORDER, "step_s", step, step),
        columns=("timestamp",),
        title=f"each row is {step} s after the one before{share}",
        mostly=mostly,
    )
    yield between(
        *(ORDER, "step_s", step, None),
        columns=("timestamp",),
        title=f"time runs forward by {step} s or more within a series",
    )
    yield between(
        *(ORDER, "sorted", 1, 1),
        columns=KEY,
        title="rows are sorted by node_id, peer_id, timestamp",
    )
    for name, off in (("epoch_time", 0.0), ("time_of_day", HOURS_TOLERANCE), ("day_of_week", 0.0)):
        yield between(
            *(ORDER, f"{name}_error", -off, off),
            columns=(name, "timestamp"),
            title="agrees with the timestamp",
        )


def _pair(low: str, high: str) -> Expected:
    kwargs = {
        "column_A": high,
        "column_B": low,
        "or_equal": True,
        "ignore_row_if": "either_value_is_missing",
    }
    kind = "expect_column_pair_values_a_to_be_greater_than_b"
    return Expected(PAIRS, kind, kwargs, (low, high), f"{low} is at most {high}")


def _layout(schema: Schema, present: list[Column]) -> Iterator[Expected]:
    types = arrow_schema(schema)
    kind = "expect_column_values_to_be_in_set"
    for column in present:
        wanted = str(types.field(column.name).type)
        kwargs = {"column": column.name, "value_set": [wanted]}
        yield Expected(LAYOUT, kind, kwargs, (column.name,), f"stored as {wanted}")
    kwargs = {"column": "unknown_columns", "value_set": ["none"]}
    yield Expected(LAYOUT, kind, kwargs, (), "no column that the schema does not know")
    yield between(LAYOUT, "follows", 1, 1, columns=KEY, title="each part begins after the last one")


def _whole(manifest: Manifest) -> Iterator[Expected]:
    for name, value in (("rows", manifest.rows), ("series", manifest.series)):
        yield between(
            *(WHOLE, name, max(value, 1), value),
            columns=(),
            title=f"as many {name} as the manifest says: {value:,}",
        )
