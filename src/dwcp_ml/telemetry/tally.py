"""Counts of what is wrong with each column, and the sentence that follows from them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from dwcp_ml.errors import MissingColumnError, MissingValuesError, OutOfRangeError, nearest
from dwcp_ml.telemetry.units import likely_unit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dwcp_ml.telemetry.columns import ColumnMap
    from dwcp_ml.telemetry.schema import Column

WORDS_KEPT = 1000


@dataclass
class Tally:
    """What was seen of one column so far; ``low`` and ``high`` span its values."""

    rows: int = 0
    missing: int = 0
    outside: int = 0
    broken: int = 0  # not a whole number where one is needed
    low: float = np.inf
    high: float = -np.inf
    strange: Counter[str] = field(default_factory=Counter)

    def numbers(self, column: Column, values: NDArray[np.float64]) -> None:
        """Add values in the schema's unit; NaN is missing."""
        least, most = limits(column)
        self.rows += len(values)
        self.missing += int(np.isnan(values).sum())
        low = float(np.fmin.reduce(values, initial=np.inf))
        high = float(np.fmax.reduce(values, initial=-np.inf))
        if low < least or high > most:
            self.outside += int(((values < least) | (values > most)).sum())
        self.low, self.high = min(self.low, low), max(self.high, high)

    def words(self, values: Sequence[str], counts: NDArray[np.int64], missing: int) -> None:
        """Add words that the schema does not know, with their numbers."""
        self.missing += missing
        for word, count in zip(values, counts, strict=True):
            if count and (word in self.strange or len(self.strange) < WORDS_KEPT):
                self.strange[word] += int(count)


def limits(column: Column) -> tuple[float, float]:
    """Least and greatest allowed value; infinite where the schema sets none."""
    return (
        -np.inf if column.min is None else column.min,
        np.inf if column.max is None else column.max,
    )


def raise_first(tallies: dict[str, Tally], columns: dict[str, Column], rules: ColumnMap) -> None:
    """Raise for the gravest defect, naming every column that has it.

    Raises:
        MissingColumnError: whole numbers are needed and others stand there.
        OutOfRangeError: unknown words, or values outside the schema's range.
    """
    broken = [f"'{n}' ({t.broken:,} values)" for n, t in tallies.items() if t.broken]
    if broken:
        raise MissingColumnError(
            f"whole numbers are needed in {', '.join(broken)}; convert them with scale, or map "
            "another column"
        )
    strange = [_strange(columns[n], t) for n, t in tallies.items() if t.strange]
    outside = [
        _outside(columns[n], t, rules)
        for n, t in sorted(tallies.items(), key=lambda item: -item[1].outside)
        if t.outside
    ]
    if strange or outside:
        raise OutOfRangeError("; ".join([*strange, *outside]))


def raise_missing(tallies: dict[str, Tally], columns: dict[str, Column], allowed: float) -> None:
    """Raise MissingValuesError if a required column misses more than the fraction ``allowed``."""
    found = [
        f"'{name}' {t.missing / t.rows:.1%} ({t.missing:,} of {t.rows:,} rows)"
        for name, t in tallies.items()
        if columns[name].required and t.missing > allowed * t.rows
    ]
    if found:
        raise MissingValuesError(
            f"more than {allowed:.0%} of the values are missing in {', '.join(found)}; fill them "
            "at the source, or declare a column absent that is never measured"
        )


def _strange(column: Column, tally: Tally) -> str:
    word, _ = tally.strange.most_common(1)[0]
    return (
        f"column '{column.name}' holds {sum(tally.strange.values()):,} unknown words such as "
        f"'{word}'{nearest(word, column.enum or ())}; it takes {', '.join(column.enum or ())}, "
        "so translate the others with 'map'"
    )


def _outside(column: Column, tally: Tally, rules: ColumnMap) -> str:
    least, most = limits(column)
    worst = tally.high if tally.high - most > least - tally.low else tally.low
    return (
        f"column '{column.name}': {tally.outside:,} of {tally.rows:,} values are outside "
        f"{least:g} to {most:g} {column.unit}, the worst is {worst:g}"
        f"{_advice(column, tally, rules)}"
    )


def _advice(column: Column, tally: Tally, rules: ColumnMap) -> str:
    least, most = limits(column)
    if tally.low < least and tally.low == round(tally.low) and tally.high <= most:
        return f"; if {tally.low:g} means 'not measured', say missing: [{tally.low:g}]"
    unit = likely_unit(tally.low, tally.high, least, most, column.unit, rules.step_s)
    source = rules.columns.get(column.name)
    if unit is None or (source is not None and source.unit is not None):
        return ""
    return f"; it looks like {unit}: map it with unit: {unit}"
