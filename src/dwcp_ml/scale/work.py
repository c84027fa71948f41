"""Work on part files, one task each, whose answers are counted once."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwcp_ml import errors
from dwcp_ml.errors import DwcpError, ScaleError, StorageError
from dwcp_ml.scale.spark import watched

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

SCHEMA = "receipt string"
FAILED = "failed"  # fact of a part that could not be done: class and message


@dataclass(frozen=True)
class Receipt:
    """What a task did; ``facts`` are JSON."""

    part: int
    rows: int
    bytes: int = 0
    facts: dict[str, Any] = field(default_factory=dict)


Work = Callable[[int, Path], Receipt]  # number of the part, empty scratch folder


@dataclass(frozen=True)
class _Each:
    """Runs the work for every number of a batch; what Spark sends to its Python workers."""

    work: Work

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        for batch in batches:
            for part in batch.column(0).to_pylist():
                text = json.dumps(asdict(self._done(part)), allow_nan=False)
                yield pa.RecordBatch.from_pydict({"receipt": pa.array([text], pa.string())})

    def _done(self, part: int) -> Receipt:
        with tempfile.TemporaryDirectory(prefix="dwcp-") as scratch:
            try:
                return self.work(part, Path(scratch))
            except StorageError:
                raise  # another attempt, elsewhere, may succeed
            except DwcpError as error:  # but bad input stays bad input
                return Receipt(part, 0, facts={FAILED: [type(error).__name__, str(error)]})


def over_parts(
    spark: SparkSession, parts: int, work: Work, tick: Callable[[int, int], None]
) -> list[Receipt]:
    """Run ``work`` for the numbers 0 to ``parts`` - 1, a task each; receipts in that order.

    A task may run twice, after a lost worker or by speculation: the receipts of one attempt
    alone come back, and its files are those of the other, byte for byte.

    Raises:
        DwcpError: one that a worker raised.
        ScaleError: the job failed, or a receipt is missing.
    """
    tasks = spark.range(0, parts, 1, parts).mapInArrow(_Each(work), SCHEMA)
    rows = watched(spark, tasks.collect, tick, parts)
    found = sorted((Receipt(**json.loads(row.receipt)) for row in rows), key=lambda r: r.part)
    for receipt in found:
        if FAILED in receipt.facts:
            name, said = receipt.facts[FAILED]
            raise getattr(errors, name)(said)
    if [receipt.part for receipt in found] != list(range(parts)):
        raise ScaleError(f"{len(found)} receipts came back for {parts} parts; run it again")
    return found
