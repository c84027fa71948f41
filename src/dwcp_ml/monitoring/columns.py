"""Columns over time, and two tables of them brought to the same columns and categories."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from dwcp_ml.errors import DriftError, MissingColumnError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dwcp_ml.monitoring.drift import Values

Kind = Literal["input", "output", "missing"]
MISSING = "missing:"  # start of the name of a column that tells which values are not there
THERE = ("there", "missing")


@dataclass(frozen=True)
class Column:
    """What the values of a column are.

    Attributes:
        name: of the column.
        kind: something asked, something answered, or whether a value is there.
        words: of categories, which the values number from 0; None for numbers.
    """

    name: str
    kind: Kind = "input"
    words: tuple[str, ...] | None = None

    @property
    def categorical(self) -> bool:
        """Whether its values have no order or distance."""
        return self.words is not None


@dataclass(frozen=True)
class Table:
    """Columns in time order: what they are, (n,) epoch seconds, (n, columns); NaN is missing."""

    columns: tuple[Column, ...]
    time_s: Values
    values: Values

    @classmethod
    def of_numbers(cls, names: Sequence[str], time_s: Values, values: Values) -> Table:
        """Numbers that were measured."""
        return cls(tuple(Column(name) for name in names), time_s, values)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns."""
        return tuple(column.name for column in self.columns)

    def windows(self, seconds: float) -> Iterator[tuple[float, Values]]:
        """Start and rows of each window, aligned to multiples of ``seconds`` since the epoch."""
        number = np.floor(self.time_s / seconds).astype(np.int64)
        starts = np.flatnonzero(np.append(True, number[1:] != number[:-1]))[: len(number)]
        for start, rows in zip(starts, np.split(self.values, starts[1:]), strict=True):
            yield float(number[start] * seconds), rows

    def only(self, names: Sequence[str]) -> Table:
        """Some of the columns; MissingColumnError with the nearest name."""
        for name in names:
            if name not in self.names:
                raise MissingColumnError(f"there is no column '{name}'{nearest(name, self.names)}")
        places = [self.names.index(name) for name in names]
        return Table(tuple(self.columns[p] for p in places), self.time_s, self.values[:, places])


def categories(
    name: str, values: Values, words: Mapping[int, str], kind: Kind
) -> tuple[Column, Values]:
    """A column of whole numbers that stand for something, and its values numbered from 0.

    Args:
        name: of the column.
        values: (n,), NaN is missing.
        words: what the numbers stand for; one that is not there stands for itself.
        kind: of the column.
    """
    there = np.isfinite(values)
    known, codes = np.unique(values[there].astype(np.int64), return_inverse=True)
    found = np.full(len(values), np.nan)
    found[there] = codes
    return Column(name, kind, tuple(words.get(code, str(code)) for code in known.tolist())), found


def aligned(reference: Table, live: Table) -> tuple[Table, Table, dict[str, str]]:
    """Both with the columns that can be compared, in the same order and with the same categories.

    An input of which either side misses values brings a column of its own along that says so.

    Returns:
        Reference, live table, and of each column that cannot be compared the reason.

    Raises:
        DriftError: nothing can be compared.
    """
    left_out = _left_out(reference, live)
    names = [name for name in reference.names if name not in left_out]
    if not names:
        few = "; ".join(f"{name}: {why}" for name, why in list(left_out.items())[:5])
        raise DriftError(f"reference and live table have no column in common; {few}")
    was, now = _same_words(reference.only(names), live.only(names))
    gaps = [
        i
        for i, column in enumerate(was.columns)
        if column.kind == "input" and any(np.isnan(side.values[:, i]).any() for side in (was, now))
    ]
    return _with_gaps(was, gaps), _with_gaps(now, gaps), left_out


def _left_out(reference: Table, live: Table) -> dict[str, str]:
    found = {name: "only in the reference" for name in reference.names if name not in live.names}
    found |= {name: "only in the live table" for name in live.names if name not in reference.names}
    of_live = dict(zip(live.names, live.columns, strict=True))
    for i, column in enumerate(reference.columns):
        if column.name in found:
            continue
        if column.categorical != of_live[column.name].categorical:
            found[column.name] = "words on one side, numbers on the other"
        elif not np.isfinite(reference.values[:, i]).any():
            found[column.name] = "no value in the reference"
    return found


def _same_words(was: Table, now: Table) -> tuple[Table, Table]:
    """Categories numbered alike, those that only the live side has behind the others."""
    columns, values = [], now.values.copy()
    for i, (old, new) in enumerate(zip(was.columns, now.columns, strict=True)):
        if old.words is None or new.words is None:
            columns.append(old)
            continue
        words = old.words + tuple(word for word in new.words if word not in old.words)
        number: Mapping[str, int] = {word: place for place, word in enumerate(words)}
        there = np.isfinite(values[:, i])
        codes = np.array([number[word] for word in new.words], dtype=float)
        values[there, i] = codes[values[there, i].astype(int)]
        columns.append(replace(old, words=words))
    both = tuple(columns)
    return replace(was, columns=both), replace(now, columns=both, values=values)


def _with_gaps(table: Table, places: Sequence[int]) -> Table:
    more = tuple(Column(MISSING + table.columns[i].name, "missing", THERE) for i in places)
    gaps = np.isnan(table.values[:, places]).astype(float)
    return replace(
        table, columns=table.columns + more, values=np.concatenate([table.values, gaps], axis=1)
    )
