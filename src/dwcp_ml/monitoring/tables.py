"""Values over time from what there is: raw telemetry, samples of a server, any CSV or Parquet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dwcp_ml.errors import DriftError, MissingColumnError, UnreadableFileError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pandas as pd

    from dwcp_ml.monitoring.drift import Values

TIME = "timestamp"


@dataclass(frozen=True)
class Table:
    """Columns of numbers in time order: names, (n,) epoch seconds, (n, columns)."""

    names: tuple[str, ...]
    time_s: Values
    values: Values

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
                raise MissingColumnError(
                    f"there is no numeric column '{name}'{nearest(name, self.names)}"
                )
        places = [self.names.index(name) for name in names]
        return Table(tuple(names), self.time_s, self.values[:, places])


def read_values(path: Path) -> Table:
    """All numeric columns under a path.

    Args:
        path: a CSV (plain or .gz) or Parquet file, or a folder of Parquet files at any depth: raw
            telemetry, a split's part, or what ``dwcp serve --samples`` wrote. Of a column of lists
            (a window of steps) the newest step counts, one column for each of its features, by name
            where the file tells it.

    Raises:
        UnreadableFileError: nothing there can be read.
        MissingColumnError: no timestamp.
        DriftError: no numeric column.
    """
    frame = _frame(path)
    if TIME not in frame:
        hint = nearest(TIME, [str(c) for c in frame.columns])
        raise MissingColumnError(f"{path}: no column '{TIME}'{hint}")
    time_s = _seconds(frame.pop(TIME), path)
    numbers = frame.select_dtypes(include=["number", "bool"]).astype("float64")
    if not len(numbers.columns) or not len(numbers):
        raise DriftError(f"{path}: no row or no numeric column beside '{TIME}'")
    order = np.argsort(time_s, kind="stable")
    names = tuple(str(name) for name in numbers.columns)
    return Table(names, time_s[order], numbers.to_numpy()[order])


def _frame(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        if path.is_dir():
            files = sorted(p for p in path.rglob("*.parquet") if "truth" not in p.parts)
            if not files:
                raise UnreadableFileError(f"{path}: no Parquet file in this folder")
            return pd.concat([_parquet(file) for file in files], ignore_index=True)
        if path.suffix == ".parquet":
            return _parquet(path)
        return pd.read_csv(path)
    except (OSError, ValueError, EOFError) as error:
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UnreadableFileError(f"{path}: not a readable table: {line}") from None


def _parquet(file: Path) -> pd.DataFrame:
    """A file with its lists spread over columns."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(file)
    shapes = table.schema.metadata or {}
    for name in [f.name for f in table.schema if pa.types.is_list(f.type)]:
        told = shapes.get(name.encode(), b"").decode()
        lists = table[name].to_pylist()
        table = table.drop_columns([name])
        if not told:
            continue  # rows of changing length have no columns to compare
        width = int(told.split(",")[-1])
        said = shapes.get(f"{name}.features".encode(), b"").decode().split(",")
        names = said if len(said) == width else [f"{name}[{place}]" for place in range(width)]
        newest = np.array([row[-width:] for row in lists], dtype=float).reshape(-1, width)
        for place in range(width):
            table = table.append_column(names[place], pa.array(newest[:, place]))
    return pd.DataFrame(table.to_pandas())


def _seconds(column: pd.Series, path: Path) -> Values:
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(dtype=float)
    times = pd.to_datetime(column, utc=True, errors="coerce")
    if times.isna().any():
        raise UnreadableFileError(f"{path}: '{TIME}' holds what is no time")
    seconds = (times - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)
    return np.asarray(seconds.to_numpy(dtype=float))
