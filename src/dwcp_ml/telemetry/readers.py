"""A user's files, CSV (plain or .gz) or Parquet, as a stream of Arrow batches."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dwcp_ml.errors import MissingColumnError, UnreadableFileError
from dwcp_ml.telemetry.parquet import open_parquet, stream

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import pyarrow as pa

CSV_ENDINGS = (".csv", ".csv.gz")
PARQUET_ENDINGS = (".parquet", ".pq")
CSV_BLOCK_BYTES = 8 << 20
PARQUET_ROWS = 65_536
Kind = Literal["number", "text"]


@dataclass(frozen=True)
class SourceFile:
    """One file of a user and the names of its columns."""

    path: Path
    names: tuple[str, ...]

    @property
    def is_csv(self) -> bool:
        """Whether it is text, where the reader decides a column's type."""
        return self.path.name.lower().endswith(CSV_ENDINGS)

    def batches(self, kinds: Mapping[str, Kind]) -> Iterator[pa.RecordBatch]:
        """Stream the columns named in ``kinds``; a CSV column gets the kind's type.

        Raises:
            UnreadableFileError: no rows, truncated, damaged, or a row of another width.
            MissingColumnError: a number was expected and something else stands there.
        """
        rows = 0
        for batch in (
            _csv(self, kinds) if self.is_csv else stream(self.path, PARQUET_ROWS, [*kinds])
        ):
            rows += batch.num_rows
            yield batch
        if rows == 0:
            raise UnreadableFileError(f"{self.path}: the file has column names but no rows")


def open_source(path: Path) -> SourceFile:
    """Look at a file: its format by name, its columns.

    Raises:
        UnreadableFileError: missing, empty, truncated, not the format its name says.
    """
    name = path.name.lower()
    if not path.exists():
        raise UnreadableFileError(f"{path}: there is no such file")
    if path.is_dir():
        raise UnreadableFileError(f"{path} is a folder; name its files, for example {path}/*.csv")
    if not name.endswith((*CSV_ENDINGS, *PARQUET_ENDINGS)):
        endings = ", ".join((*CSV_ENDINGS, *PARQUET_ENDINGS))
        raise UnreadableFileError(f"{path}: the name must end in one of {endings}")
    names = _csv_names(path) if name.endswith(CSV_ENDINGS) else _parquet_names(path)
    for column in names:
        if names.count(column) > 1:
            raise UnreadableFileError(f"{path}: two columns have the name '{column}'; rename one")
    return SourceFile(path, names)


def _parquet_names(path: Path) -> tuple[str, ...]:
    with open_parquet(path) as file:
        return tuple(file.schema_arrow.names)


def _csv_names(path: Path) -> tuple[str, ...]:
    import pyarrow.csv as csv

    with _reading_csv(path, ()):
        names = tuple(csv.open_csv(path).schema.names)
    for mark in (";", "\t", "|"):
        if len(names) == 1 and mark in names[0]:
            raise UnreadableFileError(
                f"{path}: its columns are separated by {mark!r}; write them with commas"
            )
    return names


def _csv(source: SourceFile, kinds: Mapping[str, Kind]) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    import pyarrow.csv as csv

    types = {name: pa.float64() if k == "number" else pa.string() for name, k in kinds.items()}
    with _reading_csv(source.path, source.names):
        yield from csv.open_csv(
            source.path,
            read_options=csv.ReadOptions(block_size=CSV_BLOCK_BYTES),
            # An empty text is missing, but "NA" may be a region: text is left as it stands.
            convert_options=csv.ConvertOptions(
                column_types=types, include_columns=list(kinds), strings_can_be_null=False
            ),
        )


@contextmanager
def _reading_csv(path: Path, names: tuple[str, ...]) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        text = str(error).splitlines()[0].removeprefix("CSV parse error: ")
        if "conversion error" in text and "UTF8" not in text:
            raise MissingColumnError(f"{path}: {_named(text, names)}") from error
        if path.stat().st_size == 0 or "Empty CSV" in text:
            raise UnreadableFileError(f"{path}: the file is empty") from error
        if "Truncated compressed" in text:
            raise UnreadableFileError(f"{path} is truncated; copy it again") from error
        raise UnreadableFileError(f"{path} is not readable CSV: {text[:200]}") from error


def _named(text: str, names: tuple[str, ...]) -> str:
    """Say the column's name where Arrow says its number."""
    place, _, rest = text.partition(": ")
    number = place.removeprefix("In CSV column #")
    if not number.isdigit() or int(number) >= len(names):
        return text
    rest = rest.replace("CSV conversion error to double", "not a number")
    return f"column '{names[int(number)]}', {rest}; use 'map' for words"
