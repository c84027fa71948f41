"""Windows over part files: every example that a model can make of the telemetry, node by node.

A node with all its links is the smallest piece that the models need to see at once: no window
crosses a link or a gap, and a cluster's latency is taken from its node's first link alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dwcp_ml import models
from dwcp_ml.errors import ScaleError, UnreadableFileError
from dwcp_ml.files import as_json
from dwcp_ml.scale.places import Place, place, published
from dwcp_ml.scale.work import Receipt, over_parts
from dwcp_ml.telemetry.dataset import MANIFEST, Part
from dwcp_ml.telemetry.parquet import RowGroups, open_parquet
from dwcp_ml.telemetry.split import SUMMARY
from dwcp_ml.telemetry.windows import as_columns

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa
    from pyspark.sql import SparkSession

    from dwcp_ml.models.base import Examples, ModelParams
    from dwcp_ml.params import Params

ALL = 10**15  # examples: no thinning
LIMITS = ("test_rows", "test_windows")  # by which a model's parameters thin its examples


@dataclass(frozen=True)
class Telemetry:
    """Part files of telemetry, each of whole nodes."""

    place: Place
    names: tuple[str, ...]
    step_s: int


@dataclass(frozen=True)
class Batch:
    """Examples of one node: ``entity`` (n,) is the link, node or cluster of each."""

    entity: np.ndarray
    examples: Examples


def read_telemetry(where: str, role: str) -> Telemetry:
    """Raw telemetry, or one part of a split.

    Args:
        where: raw folder, or folder of a split; a path or s3://BUCKET/PREFIX.
        role: which part of a split; raw telemetry has none.

    Raises:
        UnreadableFileError: neither is there.
    """
    found = place(where)
    for mark, below in ((SUMMARY, f"{role}.parquet"), (MANIFEST, "telemetry")):
        text = found.read(mark)
        if text is None:
            continue
        names = found.names(below) or [below]
        if not found.has(names[0]):
            raise UnreadableFileError(f"{where} holds no {below}; run the stage before again")
        try:
            return Telemetry(found, tuple(names), int(json.loads(text)["step_s"]))
        except (ValueError, KeyError, TypeError) as error:
            raise UnreadableFileError(f"{where}/{mark} is damaged") from error
    raise UnreadableFileError(
        f"{where} holds neither {SUMMARY} of a split nor {MANIFEST} of raw telemetry; run "
        "'dwcp scale simulate' or 'dwcp scale split' first"
    )


def unthinned(params: Params, model: str) -> ModelParams:
    """A model's parameters without the limit on its examples."""
    section = models.section(params, model)
    limits = [name for name in LIMITS if name in type(section).model_fields]
    if not limits:
        raise ScaleError(f"{model} has none of {', '.join(LIMITS)}, which thin its examples")
    return section.model_copy(update=dict.fromkeys(limits, ALL))


@dataclass(frozen=True)
class Windows:
    """Makes the examples of a part file.

    Every series counts as of a fleet that no training saw, so that none is left out: a model that
    holds clusters back for its test decides that by the whole fleet, which no part knows.
    """

    telemetry: Telemetry
    model: str
    params: ModelParams

    def of_part(self, number: int, scratch: Path) -> Iterator[Batch]:
        """Examples node by node; one node at a time is gathered.

        Raises:
            MissingColumnError: a column that the model reads is not there.
        """
        file = self.telemetry.place.fetch(self.telemetry.names[number], scratch)
        with open_parquet(file) as opened:
            table = opened.read()
        for node in _runs(table, "node_id"):
            examples = self._examples(node, scratch)
            yield Batch(self._entity(node, examples, scratch), examples)

    def _examples(self, rows: pa.Table, scratch: Path) -> Examples:
        import pyarrow.parquet as pq

        file = scratch / "node.parquet"
        pq.write_table(rows, file, compression="none")
        part = Part(file, None, None, self.telemetry.step_s, "fresh")
        return models.get(self.model).examples(part, self.params)

    def _entity(self, node: pa.Table, examples: Examples, scratch: Path) -> np.ndarray:
        """Names of the examples' groups; those that a model has numbered are its node's links."""
        if examples.group.dtype.kind not in "iu":
            return examples.group.astype(str).astype(object)
        links = list(_runs(node, "peer_id"))
        counts = [len(examples)]
        if len(links) > 1:
            counts = [len(self._examples(link, scratch)) for link in links]
        columns = [as_columns(link.select(["node_id", "peer_id"]).slice(0, 1)) for link in links]
        names = [c.link(np.array([0]))[0] for c in columns]
        return np.repeat(np.array(names, object), counts)


def _runs(table: pa.Table, name: str) -> Iterator[pa.Table]:
    """Rows with the same value one after the other."""
    codes = as_columns(table.select([name]))[name]
    changes = np.append(True, codes[1:] != codes[:-1])[: len(codes)]
    starts = np.flatnonzero(changes).tolist()
    for start, stop in zip(starts, [*starts[1:], len(codes)], strict=True):
        yield table.slice(start, stop - start)


def windows(
    spark: SparkSession,
    data: str,
    model: str,
    params: Params,
    out: str,
    *,
    role: str = "test",
    replace: bool = False,
    tick: Callable[[int, int], None] = lambda _done, _total: None,
) -> int:
    """Write every example of a model: entity, timestamp, features and targets; their number.

    Features of more than one dimension lie row by row in a list of fixed length; windows.json
    tells their shape.

    Raises:
        MissingColumnError: a column that the model reads is not there.
        StorageError: the output exists, or cannot be written.
    """
    found = read_telemetry(data, role)
    section = unthinned(params, model)
    with published(out, replace=replace) as target:
        work = _WindowFiles(Windows(found, model, section), target)
        done = over_parts(spark, len(found.names), work, tick)
        shapes = [r.facts["shape"] for r in done if r.facts["shape"]]
        rows = sum(receipt.rows for receipt in done)
        about = {
            "model": model,
            "rows": rows,
            "step_s": found.step_s,
            "features_shape": shapes[0] if shapes else None,
        }
        target.write("windows.json", as_json(about))
    return rows


@dataclass(frozen=True)
class _WindowFiles:
    windows: Windows
    target: Place

    def __call__(self, number: int, scratch: Path) -> Receipt:
        shapes: list[list[int]] = []

        def columns(batch: Batch) -> dict[str, np.ndarray]:
            shapes.append(list(batch.examples.features.shape[1:]))
            targets = {f"target_{k}": v for k, v in batch.examples.targets.items()}
            return {"features": batch.examples.features, **targets}

        rows, size = write_part(self.windows, self.target, number, scratch, columns)
        return Receipt(number, rows, size, {"shape": shapes[0] if shapes else None})


def write_part(
    made: Windows,
    target: Place,
    number: int,
    scratch: Path,
    columns: Callable[[Batch], dict[str, np.ndarray]],
) -> tuple[int, int]:
    """Write part-NUMBER.parquet with entity, timestamp and further columns; rows and bytes."""
    import pyarrow as pa

    file, writer, rows = scratch / f"part-{number:05d}.parquet", None, 0
    for batch in made.of_part(number, scratch):
        if not len(batch.examples):
            continue
        found = {
            "entity": pa.array(batch.entity, pa.string()),
            "timestamp": pa.array(batch.examples.time_s * 10**6, pa.timestamp("us", tz="UTC")),
            **{name: _arrow(values) for name, values in columns(batch).items()},
        }
        table = pa.table(found)
        writer = writer or RowGroups(file, table.schema)
        writer.write(table)
        rows += table.num_rows
    if writer is None:
        return 0, 0
    writer.close()
    target.put(file, file.name)
    return rows, file.stat().st_size


def _arrow(values: np.ndarray) -> pa.Array:
    import pyarrow as pa

    if values.ndim == 1:
        return pa.array(values)
    width = int(np.prod(values.shape[1:]))
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), width)
