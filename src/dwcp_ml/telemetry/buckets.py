"""Sorting rows that do not fit in memory: scatter by series, then sort each bucket by itself.

A series falls into one bucket, by a checksum of its key. Each bucket is sorted and checked in
memory and written as one record batch a series, so that the series can be picked up again in the
order of their keys without holding more than a few of them.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from dwcp_ml.telemetry.arrays import decode
from dwcp_ml.telemetry.schema import KEY, SERIES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

    from dwcp_ml.telemetry.series import SeriesCheck

SeriesKey = tuple[str, str]


@dataclass
class Buckets:
    """Temporary files in ``folder``; their schema holds the key columns as plain text."""

    folder: Path
    count: int
    schema: pa.Schema
    _index: dict[SeriesKey, tuple[int, int]] = field(default_factory=dict)

    def scatter(self, batches: Iterator[pa.RecordBatch]) -> None:
        """Append every row to the bucket of its series, in the order of arrival."""
        import pyarrow as pa

        self.folder.mkdir(parents=True, exist_ok=True)
        writers = [pa.ipc.new_stream(self._path(i), self.schema) for i in range(self.count)]
        try:
            for batch in batches:
                for i, rows in self._shares(batch):
                    writers[i].write_batch(rows)
        finally:
            for writer in writers:
                writer.close()

    def sort(self, bucket: int, check: SeriesCheck) -> None:
        """Sort one bucket by key, check its series and write them one batch each."""
        import pyarrow as pa

        with pa.OSFile(str(self._path(bucket))) as stream:
            table = pa.ipc.open_stream(stream).read_all()
        self._path(bucket).unlink()
        if table.num_rows == 0:
            return
        order = check.order(*(_codes(table, name) for name in KEY))
        table = table.take(order).combine_chunks()
        node, peer, _ = (_codes(table, name) for name in KEY)
        starts = np.flatnonzero(np.r_[True, (node[1:] != node[:-1]) | (peer[1:] != peer[:-1])])
        check.series(table, starts)
        batch = table.to_batches()[0]
        keys = [table.column(name).take(starts).to_pylist() for name in SERIES]
        stops = [*starts[1:], table.num_rows]
        with pa.ipc.new_file(str(self._sorted(bucket)), self.schema) as writer:
            for i, (start, stop) in enumerate(zip(starts, stops, strict=True)):
                writer.write_batch(batch.slice(start, stop - start))
                self._index[keys[0][i], keys[1][i]] = (bucket, i)

    def in_order(self) -> Iterator[tuple[SeriesKey, pa.RecordBatch]]:
        """All series by key, read one at a time.

        Not from a memory map, whose pages would add up to all rows.
        """
        import pyarrow as pa

        readers = {}
        for key, (bucket, i) in sorted(self._index.items()):
            if bucket not in readers:
                readers[bucket] = pa.ipc.open_file(pa.OSFile(str(self._sorted(bucket))))
            yield key, readers[bucket].get_batch(i)

    def _shares(self, batch: pa.RecordBatch) -> Iterator[tuple[int, pa.RecordBatch]]:
        if self.count == 1:
            yield 0, batch
            return
        home = self._home(batch)
        order = np.argsort(home, kind="stable")
        rows = batch.take(order)
        bounds = np.searchsorted(home[order], np.arange(self.count + 1))
        for i in range(self.count):
            if bounds[i] < bounds[i + 1]:
                yield i, rows.slice(bounds[i], bounds[i + 1] - bounds[i])

    def _home(self, batch: pa.RecordBatch) -> NDArray[np.int64]:
        """The bucket of each row."""
        import pyarrow as pa

        node, peer = (batch.column(name).dictionary_encode() for name in SERIES)
        pair = node.indices.to_numpy().astype(np.int64) * len(peer.dictionary)
        pair += peer.indices.to_numpy()
        unique, inverse = np.unique(pair, return_inverse=True)
        nodes = node.dictionary.take(pa.array(unique // len(peer.dictionary))).to_pylist()
        peers = peer.dictionary.take(pa.array(unique % len(peer.dictionary))).to_pylist()
        sums = [zlib.crc32(f"{a}\0{b}".encode()) for a, b in zip(nodes, peers, strict=True)]
        return np.array(sums, np.int64)[inverse] % self.count

    def _path(self, bucket: int) -> Path:
        return self.folder / f"bucket-{bucket:03d}.arrows"

    def _sorted(self, bucket: int) -> Path:
        return self.folder / f"sorted-{bucket:03d}.arrow"


def _codes(table: pa.Table, name: str) -> NDArray[np.int64]:
    """Numbers that sort as the column does; timestamps in microseconds."""
    import pyarrow as pa

    if name == "timestamp":
        micros: NDArray[np.int64] = table.column(name).cast(pa.int64()).to_numpy()
        return micros
    return decode(name, table.column(name))[0].astype(np.int64)
