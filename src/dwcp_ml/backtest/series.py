"""Entities of a table as series of constant step, their split and their windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dwcp_ml.backtest.tables import TIME
from dwcp_ml.errors import BacktestError, GapError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from dwcp_ml.backtest.task import By

TRAIN, VALIDATION, TEST = 0, 1, 2
SHARES = (0.70, 0.15)  # of train and validation, as in params.yaml
JITTER = 0.25  # of a step that a row may lie beside the grid
FEW = 5  # entities below which intervals come from blocks of time
BLOCKS = 20


@dataclass(frozen=True)
class Series:
    """Rows of all entities, each entity's together and in time order.

    Attributes:
        entity: (n,) code of the entity.
        names: name of each code.
        time_s: (n,) epoch seconds.
        step_s: the table's step.
        run: (n,) number of the stretch without a gap; a new entity starts a new one.
        part: (n,) 0 train, 1 validation, 2 test.
    """

    entity: NDArray[np.int64]
    names: tuple[str, ...]
    time_s: NDArray[np.float64]
    step_s: float
    run: NDArray[np.int64]
    part: NDArray[np.int64]

    def ends(self, part: int, window: int, horizon: int, stride: int = 1) -> NDArray[np.int64]:
        """Newest rows of the windows that, with their target, lie in one stretch and one part."""
        key = self.run * 3 + self.part
        last = np.arange(window - 1, len(key) - horizon)
        whole = (key[last - window + 1] == key[last + horizon]) & (self.part[last] == part)
        return last[whole][::stride]

    def groups(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """What a bootstrap resamples: entities, or blocks of time where those are few."""
        if len(np.unique(self.entity[rows])) >= FEW:
            return self.entity[rows]
        time = self.time_s[rows]
        span = max(float(time.max() - time.min()), 1e-9) if len(rows) else 1.0
        block = np.minimum((time - time.min()) / span * BLOCKS, BLOCKS - 1).astype(np.int64)
        return self.entity[rows] * BLOCKS + block

    def interval_note(self, rows: NDArray[np.int64]) -> str:
        """What the intervals are drawn from."""
        count = len(np.unique(self.entity[rows]))
        if count >= FEW:
            return f"Intervals come from resampling {count} entities."
        word = "one entity only" if count == 1 else f"{count} entities only"
        return f"There is {word}, so intervals come from resampling {BLOCKS} blocks of time each."


def to_series(table: pd.DataFrame, entity: str, by: By, span: int, source: str) -> Series:
    """Check the step of a sorted table and cut it into parts.

    Args:
        table: of ``read_table``.
        entity: column of the entity.
        by: "time" cuts each entity's rows 70/15/15 in time; "entity" keeps every seventh
            entity for the test and one of seven for validation.
        span: rows that one example reads, its target included.
        source: name of the file.

    Raises:
        GapError: times repeat or do not lie on a grid of one step.
        BacktestError: too few entities or rows to split.
    """
    names, code = np.unique(table[entity].to_numpy(), return_inverse=True)
    time = table[TIME].to_numpy(dtype=float)
    new = np.append(True, code[1:] != code[:-1])
    step = _step(time, code, names, new, source)
    gap = np.append(0.0, np.diff(time))
    run = np.cumsum(new | (gap > (1 + JITTER) * step)) - 1
    part = _by_time(code) if by == "time" else _by_entity(code, len(names), entity, source)
    found = Series(code, tuple(str(n) for n in names), time, step, run, part)
    for number, word in enumerate(("training", "validation", "test")):
        if not len(found.ends(number, span, 0)):
            raise BacktestError(
                f"{source}: no stretch of {span} rows without a gap in the {word} part; give "
                "longer series"
            )
    return found


def refuse_constant(values: NDArray[np.float64], series: Series, column: str, source: str) -> None:
    """BacktestError if an entity's values are all the same: there is nothing to predict."""
    for code, name in enumerate(series.names):
        mine = values[series.entity == code]
        if len(mine) and np.ptp(mine) == 0:
            raise BacktestError(
                f"{source}: '{name}': {column} is {mine[0]:g} throughout; leave this constant "
                "series out"
            )


def _step(
    time: NDArray[np.float64],
    code: NDArray[np.int64],
    names: NDArray[np.str_],
    new: NDArray[np.bool_],
    source: str,
) -> float:
    inside = np.flatnonzero(~new)
    distance = time[inside] - time[inside - 1]
    if not len(distance):
        raise GapError(f"{source}: no entity has two rows, so the length of a step is unknown")
    again = np.flatnonzero(distance <= 0)
    if len(again):
        where = names[code[inside[again[0]]]]
        raise GapError(
            f"{source}: '{where}': two rows have the time {time[inside[again[0]]]:.0f}; leave one"
        )
    step = float(np.median(distance))
    multiple = distance / step
    off = np.flatnonzero(np.abs(multiple - np.round(multiple)) > JITTER * np.maximum(multiple, 1))
    off = off[multiple[off] < 1 + 1 / JITTER] if len(off) else off
    if len(off) > 0.01 * len(distance):
        where = names[code[inside[off[0]]]]
        raise GapError(
            f"{source}: '{where}' has no constant step: most rows are {step:g} s apart, "
            f"{len(off):,} of {len(distance):,} are not a multiple, such as {distance[off[0]]:g} s;"
            " resample it"
        )
    return step


def _by_time(code: NDArray[np.int64]) -> NDArray[np.int64]:
    """Each entity's rows 70/15/15 in their order."""
    count = np.bincount(code)
    first = np.concatenate([[0], np.cumsum(count)[:-1]])
    place = (np.arange(len(code)) - first[code]) / count[code]
    return np.searchsorted(np.cumsum(SHARES), place, side="right").astype(np.int64)


def _by_entity(code: NDArray[np.int64], count: int, entity: str, source: str) -> NDArray[np.int64]:
    if count < 3:
        word = "one entity only" if count == 1 else f"{count} entities only"
        raise BacktestError(
            f"{source}: {word} in '{entity}': none is left to test on; use --by time"
        )
    of = np.arange(count) % 7
    if count < 7:
        of = np.where(np.arange(count) == count - 1, 6, np.where(np.arange(count) == 1, 3, 0))
    part = np.where(of == 6, TEST, np.where(of == 3, VALIDATION, TRAIN))
    return np.asarray(part[code], np.int64)
