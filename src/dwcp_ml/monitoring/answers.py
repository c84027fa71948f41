"""What a model is asked and answers, as columns: from telemetry, or from what a server logged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dwcp_ml.errors import DriftError
from dwcp_ml.export.session import score
from dwcp_ml.models.base import Array, Examples
from dwcp_ml.models.sampling import sampled
from dwcp_ml.monitoring.columns import Column, Table, categories
from dwcp_ml.monitoring.tables import column_names, read_values
from dwcp_ml.telemetry.windows import SEGMENT_COLUMNS, gather, segments, window_ends

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from dwcp_ml.monitoring.columns import Kind
    from dwcp_ml.monitoring.drift import Values
    from dwcp_ml.monitoring.model import Watched
    from dwcp_ml.telemetry.blocks import Block
    from dwcp_ml.telemetry.dataset import Part

MOST_ROWS = 100_000  # of a side; evenly over all
MOST_NUMBERS = 8_000_000  # in the windows of all rows, which bounds the time that scoring takes


def answered(part: Part, watched: Watched) -> Table:
    """Rows of telemetry, thinned evenly: the newest step of each, and what the graph answers.

    A row without a whole window of values before it has no answer (NaN).

    Raises:
        MissingColumnError: telemetry lacks an input of the model.
        DriftError: there is no row.
    """
    most = min(MOST_ROWS, MOST_NUMBERS // (watched.window * len(watched.inputs)))

    def rows(block: Block) -> NDArray[np.int64]:
        return np.arange(len(block.columns))

    found = sampled(
        part,
        rows,
        lambda block, rows: _scored(block, rows, part.step_s, watched),
        most,
        needs=("timestamp",),
        more=(*SEGMENT_COLUMNS, *watched.inputs),
    )
    if not len(found):
        raise DriftError(f"{part.telemetry}: the telemetry has no row")
    found = found.take(np.argsort(found.time_s, kind="stable"))
    columns = [
        _column(name, found.features[:, i], watched, name) for i, name in enumerate(watched.inputs)
    ]
    for output in watched.outputs:
        columns += [
            _column(name, found.targets[name], watched, output)
            for name in watched.columns_of(output)
        ]
    return _table(found.time_s.astype(float), columns)


def is_log(path: Path, watched: Watched) -> bool:
    """Whether a path holds all outputs of the model: then somebody logged its answers.

    Telemetry may hold one of them by chance, as what DWCP itself decided.
    """
    return set(watched.outputs) <= set(column_names(path))


def logged(path: Path, watched: Watched) -> Table:
    """Inputs and outputs as a server logged them.

    Raises:
        DriftError: the log holds no input of the model.
    """
    table = read_values(path)
    places = {name: i for i, name in enumerate(table.names)}
    found = [
        _column(name, table.values[:, places[name]], watched, name)
        for name in watched.inputs
        if name in places
    ]
    if not found:
        raise DriftError(
            f"{path}: the log holds outputs of {watched.name} but none of its inputs "
            f"({', '.join(watched.inputs)})"
        )
    for output in watched.outputs:
        columns = watched.columns_of(output)
        own = [output] if len(columns) == 1 else [f"{output}[{i}]" for i in range(len(columns))]
        for name, column in zip(own, columns, strict=True):
            if name in places:
                found.append(_column(column, table.values[:, places[name]], watched, output))
    return _table(table.time_s, found)


def _column(name: str, values: Array, watched: Watched, about: str) -> tuple[Column, Values]:
    """A column of an input or output; what numbers words, or decides, is a category."""
    kind: Kind = "output" if about in watched.outputs else "input"
    numbers = np.asarray(values, np.float64)
    words = watched.codes.get(about, {})
    if words or (kind == "output" and watched.decides(about)):
        return categories(name, numbers, words, kind)
    return Column(name, kind), numbers


def _table(time_s: Values, columns: Sequence[tuple[Column, Values]]) -> Table:
    values = np.column_stack([numbers for _, numbers in columns])
    return Table(tuple(column for column, _ in columns), time_s, values)


def _scored(block: Block, rows: NDArray[np.int64], step_s: int, watched: Watched) -> Examples:
    """The rows with their answers, a target for each column of the outputs; NaN for no answer."""
    values = block.columns.matrix(watched.inputs)
    valid = np.asarray(np.isfinite(values).all(axis=1))
    whole = window_ends(segments(block.columns, step_s, valid), watched.window)
    place = np.flatnonzero(np.isin(rows, whole))
    names = {output: watched.columns_of(output) for output in watched.outputs}
    targets: dict[str, Array] = {
        name: np.full(len(rows), np.nan) for columns in names.values() for name in columns
    }
    if len(place):
        windows = gather(block.columns, watched.inputs, rows[place], watched.window)
        answers = score(watched.session, windows if watched.steps else windows[:, 0])
        for output, columns in names.items():
            numbers = answers[output].reshape(len(place), -1)
            for i, name in enumerate(columns):
                targets[name][place] = numbers[:, i]
    time_s = np.asarray(block.columns["timestamp"][rows], np.int64)
    return Examples(values[rows], targets, np.zeros(len(rows), np.int64), time_s)
