"""The data contract as a Markdown page; ``COMMAND`` below writes docs/schema.md."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from dwcp_ml.telemetry.schema import Column, Schema, Target, load_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SOURCE = "schemas/dwcp_training_schema.json"
COMMAND = "python -m dwcp_ml.telemetry.schema_doc > docs/schema.md"


def markdown(schema: Schema) -> str:
    """The whole page: one table a group, the targets, the rules across columns, incidents."""
    lines = [
        f"# {schema.title}, version {schema.version}",
        "",
        f"Generated from `{SOURCE}` by `{COMMAND}`; edit that file, not this page.",
        "",
        schema.description,
        "",
        f"{len(schema.columns)} columns in {len(schema.groups)} groups. The key is "
        f"({', '.join(f'`{k}`' for k in schema.key)}). At most "
        f"{100 * schema.max_missing_fraction:g} % of a required column may be missing.",
    ]
    for group in schema.groups:
        rows = [_row(c) for c in schema.columns if c.group == group]
        lines += ["", f"## {group}", "", *_table(_HEAD, rows)]
    lines += ["", "## Targets", "", *_table(_TARGET_HEAD, map(_target, schema.targets))]
    for target in schema.targets:
        lines += _classes(target)
    lines += ["", "## Rules across columns", ""]
    lines += [f"- `{low}` <= `{high}`" for low, high in schema.ordered_columns]
    return "\n".join([*lines, *_incidents(schema)]) + "\n"


_HEAD = ("column", "type", "unit", "range", "required", "role", "neutral", "meaning")
_TARGET_HEAD = ("target", "model", "kind", "label column", "unit")


def _row(column: Column) -> tuple[str, ...]:
    return (
        f"`{column.name}`",
        column.type,
        column.unit,
        _range(column),
        "yes" if column.required else "no",
        column.role,
        "" if column.neutral is None else _number(column.neutral),
        column.description,
    )


def _range(column: Column) -> str:
    """Words with their codes, or the smallest and largest number."""
    if column.enum:
        return ", ".join(f"{w} {c}" for w, c in zip(column.enum, column.codes or (), strict=True))
    if column.min is None or column.max is None:
        return ""
    return f"{_number(column.min)} to {_number(column.max)}"


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.12g}"


def _target(target: Target) -> tuple[str, ...]:
    label = f"`{target.label}`" if target.label else ""
    return (f"`{target.name}`", target.model, target.kind, label, target.unit or "")


def _classes(target: Target) -> list[str]:
    """How a class is cut, for a target that has classes."""
    if not (target.codes and target.boundaries and target.reference_mbps):
        return []
    first, second = target.boundaries
    codes = ", ".join(f"{word} {code}" for word, code in target.codes.items())
    tiers = range(1, 1 + len(next(iter(target.reference_mbps.values()))))
    rows = [(link, *map(_number, rates)) for link, rates in target.reference_mbps.items()]
    return [
        "",
        f"`{target.name}`: {codes}. {target.description} Boundaries {first:g} and {second:g}; "
        "reference in Mbit/s:",
        "",
        *_table(("link type", *(f"tier{t}" for t in tiers)), rows),
    ]


def _incidents(schema: Schema) -> list[str]:
    rules = schema.incident
    return [
        "",
        "## labeled_incidents.json",
        "",
        f"A list of objects with the keys {', '.join(f'`{k}`' for k in rules.required)}.",
        "",
        f"- `type`: {', '.join(rules.type)}",
        f"- `severity`: {', '.join(rules.severity)}",
    ]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


if __name__ == "__main__":
    sys.stdout.write(markdown(load_schema()))
