"""Values over time from what there is: raw telemetry, samples of a server, any CSV or Parquet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from dwcp_ml.errors import DriftError, MissingColumnError, UnreadableFileError, nearest
from dwcp_ml.monitoring.columns import Column, Table
from dwcp_ml.telemetry.schema import load_schema

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray

    from dwcp_ml.monitoring.drift import Values

    Rows = NDArray[np.generic]

TIME = "timestamp"
MOST_WORDS = 50  # of a column of categories; one with more is a name
NEVER = {"version", "revision"}  # of samples: who answered is no property of what was asked


def read_values(path: Path) -> Table:
    """All columns under a path that can drift: numbers, and words of which there are few.

    Of telemetry's own columns those that tell when and where are left out: every day is another.

    Args:
        path: a CSV (plain or .gz) or Parquet file, or a folder of Parquet files at any depth: raw
            telemetry, a split's part, or what ``dwcp serve --samples`` wrote. Of a column of lists
            (a window of steps) the newest step counts, one column for each of its features, by name
            where the file tells it.

    Raises:
        UnreadableFileError: nothing there can be read.
        MissingColumnError: no timestamp.
        DriftError: no row, or no column that can drift.
    """
    frame = _frame(path)
    if TIME not in frame:
        hint = nearest(TIME, [str(c) for c in frame.columns])
        raise MissingColumnError(f"{path}: no column '{TIME}'{hint}")
    if not len(frame):
        raise DriftError(f"{path}: the table has no row")
    time_s = _seconds(frame.pop(TIME), path)
    found = [made for name in frame if (made := _column(str(name), frame[name])) is not None]
    if not found:
        raise DriftError(f"{path}: no column of numbers or of few words beside '{TIME}'")
    order = np.argsort(time_s, kind="stable")
    values = np.column_stack([numbers for _, numbers in found])
    return Table(tuple(column for column, _ in found), time_s[order], values[order])


def _column(name: str, values: pd.Series) -> tuple[Column, Values] | None:
    """A column and its numbers; None where nothing of it can drift."""
    import pandas as pd

    known = {column.name: column for column in load_schema().columns}
    if name in NEVER or (name in known and known[name].group == "temporal"):
        return None
    if pd.api.types.is_numeric_dtype(values):
        return Column(name), values.to_numpy(dtype="float64", na_value=np.nan)
    if name in known and not known[name].enum:
        return None  # a name or a place
    marks = pd.Categorical(values)
    if len(marks.categories) > MOST_WORDS:
        return None
    codes = np.where(marks.codes < 0, np.nan, marks.codes)
    return Column(name, words=tuple(map(str, marks.categories))), codes


def column_names(path: Path) -> list[str]:
    """Names of the columns under a path, from its first file."""
    import pandas as pd
    import pyarrow.parquet as pq

    with _told(path):
        file = _files(path)[0]
        if file.suffix == ".parquet":
            return list(pq.read_schema(file).names)
        return [str(name) for name in pd.read_csv(file, nrows=0).columns]


def lists(path: Path, name: str, others: Sequence[str]) -> tuple[Rows, dict[str, Rows]]:
    """Whole rows of a log, (n, ...) each in the shape that the file tells.

    Args:
        path: of Parquet files that ``dwcp serve --samples`` wrote.
        name: an input.
        others: outputs.

    Raises:
        UnreadableFileError: a file cannot be read, or rows of an input differ in shape.
        MissingColumnError: a column is not there.
    """
    import pyarrow.parquet as pq

    names = [name, *others]
    parts: dict[str, list[Rows]] = {one: [] for one in names}
    with _told(path):
        for file in _files(path):
            table = pq.read_table(file)
            shapes = table.schema.metadata or {}
            for one in names:
                if one not in table.column_names:
                    raise MissingColumnError(f"{file}: no column '{one}'")
                told = shapes.get(one.encode(), b"").decode()
                shape = [int(size) for size in told.split(",")] if told else []
                rows = table[one].to_pylist() if told else table[one].to_numpy()
                parts[one].append(np.asarray(rows).reshape(-1, *shape))
        together = {one: np.concatenate(found) for one, found in parts.items()}
    return together[name], {one: together[one] for one in others}


def _frame(path: Path) -> pd.DataFrame:
    import pandas as pd

    with _told(path):
        if path.is_file() and path.suffix != ".parquet":
            return pd.read_csv(path)
        return pd.concat([_parquet(file) for file in _files(path)], ignore_index=True)


def _files(path: Path) -> list[Path]:
    """The file, or the Parquet files of a folder but for a simulator's truth."""
    if not path.is_dir():
        return [path]
    found = sorted(p for p in path.rglob("*.parquet") if "truth" not in p.parts)
    if not found:
        raise UnreadableFileError(f"{path}: no Parquet file in this folder")
    return found


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what a reader raises into one sentence."""
    try:
        yield
    except (OSError, ValueError, EOFError) as error:
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UnreadableFileError(f"{path}: not a readable table: {line}") from None


def _parquet(file: Path) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(flat(file).to_pandas())


def flat(file: Path) -> pa.Table:
    """A Parquet file whose lists are columns: of a window of steps the newest step."""
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
    return table


def _seconds(column: pd.Series, path: Path) -> Values:
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(dtype=float)
    times = pd.to_datetime(column, utc=True, errors="coerce")
    if times.isna().any():
        raise UnreadableFileError(f"{path}: '{TIME}' holds what is no time")
    seconds = (times - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)
    return np.asarray(seconds.to_numpy(dtype=float))
