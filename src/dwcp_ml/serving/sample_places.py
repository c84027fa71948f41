"""Where a server's samples go: a folder that is kept below a size, or a prefix on S3.

On S3 nothing is removed: several servers write there, and how long objects stay is a lifecycle
rule of the bucket. Address, region and keys are AWS's own settings (environment, shared files, the
pod's account), as everywhere else; pyarrow brings the client, so the server needs no other.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from dwcp_ml.errors import StorageError
from dwcp_ml.files import whole_file

if TYPE_CHECKING:
    import pyarrow as pa

SCHEME = "s3://"
COMPRESSION = "zstd"


class SamplePlace(Protocol):
    """Takes whole files."""

    def check(self) -> None:
        """Refuse at the start what would drop every sample later."""
        ...

    def put(self, name: str, table: pa.Table) -> None:
        """Write one file under a relative name, whole or not at all."""
        ...


@dataclass(frozen=True)
class Folder:
    """A folder whose files together stay below a size; the oldest go first."""

    root: Path
    max_bytes: int

    def check(self) -> None:
        """Make the folder and a file in it.

        Raises:
            StorageError: it cannot be written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root):
                pass
        except OSError as error:
            raise StorageError(
                f"samples cannot be written to {self.root}: {error.strerror}"
            ) from error

    def put(self, name: str, table: pa.Table) -> None:
        """See ``SamplePlace``."""
        import pyarrow.parquet as pq

        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as draft:
            pq.write_table(table, draft, compression=COMPRESSION)
        self._make_room()

    def _make_room(self) -> None:
        """Remove the oldest files until the rest fits."""
        files = sorted(self.root.rglob("*.parquet"), key=lambda p: p.name)
        sizes = [file.stat().st_size for file in files]
        over = sum(sizes) - self.max_bytes
        for file, size in zip(files[:-1], sizes, strict=False):
            if over <= 0:
                return
            file.unlink(missing_ok=True)
            over -= size


@dataclass(frozen=True)
class Bucket:
    """Objects below s3://BUCKET/PREFIX. A store that is down drops samples, and stops no server."""

    uri: str

    def check(self) -> None:
        """Look at the address alone: the store may come up later than the server.

        Raises:
            StorageError: it names no bucket.
        """
        if not self.uri.removeprefix(SCHEME).partition("/")[0]:
            raise StorageError(f"'{self.uri}' is no place for samples; write s3://BUCKET/PREFIX")

    def put(self, name: str, table: pa.Table) -> None:
        """See ``SamplePlace``; an object appears when its last byte has arrived."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        content = pa.BufferOutputStream()
        pq.write_table(table, content, compression=COMPRESSION)
        root = self.uri.removeprefix(SCHEME).strip("/")
        with self._client.open_output_stream(f"{root}/{name}") as stream:
            stream.write(content.getvalue())

    @cached_property
    def _client(self) -> Any:
        from pyarrow import fs

        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        return fs.S3FileSystem(
            endpoint_override=os.environ.get("AWS_ENDPOINT_URL"),
            region=region or "us-east-1",
            allow_delayed_open=True,  # a small object is one request
            background_writes=False,  # the server's only other threads are those that answer
        )


def sample_place(where: str, max_bytes: int) -> SamplePlace:
    """The place of a path or of s3://BUCKET/PREFIX."""
    if where.startswith(SCHEME):
        return Bucket(where)
    return Folder(Path(where), max_bytes)
