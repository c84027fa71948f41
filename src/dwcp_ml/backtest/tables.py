"""Tables of measurements from CSV or Parquet, checked before anything is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dwcp_ml.errors import BacktestError, MissingColumnError, UnreadableFileError, nearest

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from dwcp_ml.backtest.task import Task

TIME = "timestamp"
ENTITIES = ("link_id", "entity_id", "cluster_id", "machine", "payload")


def read_table(file: Path, task: Task) -> pd.DataFrame:
    """The rows of a file, sorted by entity and time.

    Entities are text, ``timestamp`` int64 epoch seconds or a float of them where steps are
    shorter, all else float64.

    Args:
        file: .csv, .csv.gz or .parquet.
        task: says which columns are needed.

    Raises:
        UnreadableFileError: no such file, not a table, or no row.
        MissingColumnError: a needed column is not there.
        BacktestError: a value is not a number or not a time.
    """
    table = _read(file)
    if not len(table):
        raise UnreadableFileError(f"{file}: it holds no row")
    for name in task.needs:
        if name not in table:
            hint = nearest(name, [str(c) for c in table.columns])
            needed = ", ".join(task.needs)
            raise MissingColumnError(
                f"{file}: column '{name}' is not there{hint}; a backtest of {task.name} needs "
                f"{needed}"
            )
    for name in table.columns:
        if name in ENTITIES:
            table[name] = table[name].astype(str)
        elif name == TIME:
            table[name] = _times(table[name], file)
        else:
            table[name] = _numbers(table[name], file)
    keys = [name for name in (*ENTITIES, TIME) if name in table]
    return table.sort_values(keys, kind="stable", ignore_index=True)


def _read(file: Path) -> pd.DataFrame:
    import pandas as pd

    if not file.is_file():
        raise UnreadableFileError(f"{file}: no such file")
    try:
        if file.suffix == ".parquet":
            return pd.read_parquet(file)
        return pd.read_csv(file, dtype=dict.fromkeys(ENTITIES, str))
    except (ValueError, OSError, EOFError) as error:
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UnreadableFileError(f"{file}: not a readable CSV or Parquet table: {line}") from None


def _times(column: pd.Series, file: Path) -> pd.Series:
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column):
        times = column.astype(float)
    else:
        read = pd.to_datetime(column, utc=True, errors="coerce", format="ISO8601")
        times = (read - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)
    wrong = np.flatnonzero(~np.isfinite(times.to_numpy()))
    if len(wrong):
        raise BacktestError(
            f"{file}: row {wrong[0] + 2}: '{column.iloc[wrong[0]]}' is no time; give epoch seconds "
            "or ISO 8601"
        )
    return times


def _numbers(column: pd.Series, file: Path) -> pd.Series:
    import pandas as pd

    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    wrong = np.flatnonzero(numbers.isna().to_numpy() & column.notna().to_numpy())
    if len(wrong):
        raise BacktestError(
            f"{file}: row {wrong[0] + 2}, column '{column.name}': "
            f"'{column.iloc[wrong[0]]}' is not a number"
        )
    return numbers
