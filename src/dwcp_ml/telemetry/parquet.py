"""Reading and writing Parquet: clear errors, page checksums, large row groups."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from dwcp_ml.errors import MissingColumnError, UnreadableFileError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa
    import pyarrow.parquet as pq

ROW_GROUP = 131_072
# What the system says where a thread's stack, or a buffer, finds no memory.
NO_MEMORY = ("Resource temporarily unavailable", "Cannot allocate memory")
MAGIC = b"PAR1"


def table_files(telemetry: Path) -> list[Path]:
    """The file itself, or the part files of a folder in their order.

    Raises:
        UnreadableFileError: there is no file.
    """
    if not telemetry.is_dir():
        return [telemetry]
    files = sorted(telemetry.glob("part-*.parquet"))
    if not files:
        raise UnreadableFileError(f"{telemetry} holds no part-*.parquet file")
    return files


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn the failures of reading a Parquet file into one sentence."""
    import pyarrow as pa

    try:
        yield
    except MemoryError:  # pyarrow's own is an ArrowException too, but no fault of the file
        raise
    except (pa.ArrowException, OSError) as error:
        if any(words in str(error) for words in NO_MEMORY):
            raise MemoryError(str(error)) from error
        raise UnreadableFileError(f"{path}: {explain(path, error)}") from error


def explain(path: Path, error: Exception) -> str:
    """Why a file is not readable Parquet."""
    if not path.exists():
        return "there is no such file"
    if path.is_dir():
        return "is a folder, not a Parquet file"
    if path.stat().st_size == 0:
        return "the file is empty"
    with path.open("rb") as stream:
        head = stream.read(len(MAGIC))
        stream.seek(-min(len(MAGIC), path.stat().st_size), 2)
        tail = stream.read()
    if head != MAGIC:
        return "is not Parquet: it does not begin with 'PAR1'"
    if tail != MAGIC:
        return "the Parquet file is truncated: its end is missing; copy or write it again"
    return f"the Parquet file is damaged ({str(error).splitlines()[0]}); copy or write it again"


@contextmanager
def open_parquet(path: Path) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file; whatever fails inside the block is told as one sentence.

    Raises:
        UnreadableFileError: missing, empty, truncated, damaged or not Parquet.
    """
    import pyarrow.parquet as pq

    with (
        reading(path),
        path.open("rb") as stream,
        pq.ParquetFile(stream, page_checksum_verification=True) as file,
    ):
        yield file


def stream(path: Path, rows: int, names: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Batches of at most ``rows`` rows, of all columns or of some.

    What the consumer fails at, such as a full disk, is not taken for a fault of this file.

    Raises:
        MissingColumnError: a column is not there.
        UnreadableFileError: missing, empty, truncated, damaged or not Parquet.
    """
    with open_parquet(path) as file:
        _check_names(path, file, names or ())
        yield from file.iter_batches(batch_size=rows, columns=names)


def read_table(path: Path, names: Sequence[str]) -> pa.Table:
    """Read some columns of a file.

    Raises:
        MissingColumnError: a column is not there.
        UnreadableFileError: missing, empty, truncated, damaged or not Parquet.
    """
    with open_parquet(path) as file:
        _check_names(path, file, names)
        return file.read(columns=list(dict.fromkeys(names)))


def _check_names(path: Path, file: pq.ParquetFile, names: Sequence[str]) -> None:
    known = file.schema_arrow.names
    for name in names:
        if name not in known:
            raise MissingColumnError(f"{path} has no column '{name}'{nearest(name, known)}")


def open_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """A writer of one zstd file whose pages carry checksums.

    Only words are worth a dictionary: measured values hardly repeat. Splitting the bytes of
    fractions makes the file smaller and is twice as fast.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=[f.name for f in schema if pa.types.is_dictionary(f.type)],
        use_byte_stream_split=[f.name for f in schema if pa.types.is_floating(f.type)],
        write_page_checksum=True,
    )


class RowGroups:
    """Writes tables of any size to one zstd Parquet file in row groups of a good size."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._writer = open_writer(path, schema)
        self._waiting: list[pa.Table] = []
        self.rows = 0

    def write(self, table: pa.Table) -> None:
        """Append rows, which are cast to the schema of the file."""
        self.rows += table.num_rows
        self._waiting.append(table)
        if sum(t.num_rows for t in self._waiting) >= ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._waiting:
            table = pa.concat_tables(self._waiting).unify_dictionaries()
            self._writer.write_table(table.cast(self._writer.schema), row_group_size=ROW_GROUP)
        self._waiting = []

    def close(self) -> None:
        """Write what waits and finish the file."""
        self._flush()
        self._writer.close()

    def __enter__(self) -> Self:
        """The writer itself."""
        return self

    def __exit__(self, *failure: object) -> None:
        """Close; after a failure the file is left unfinished for its caller to remove."""
        if failure[0] is None:
            self.close()
        else:
            self._writer.close()
