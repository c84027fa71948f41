"""Where part files come from and go to: a folder that all workers see, or S3.

A part file appears whole or not at all, and an attempt that runs twice writes the same bytes
twice: neither a lost worker nor a second attempt can double or lose rows.
"""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

from dwcp_ml.errors import StorageError, UnreadableFileError
from dwcp_ml.files import whole_folder, write_text
from dwcp_ml.registry.objects import SCHEME, objects

if TYPE_CHECKING:
    from collections.abc import Iterator

SUCCESS = "_SUCCESS"  # where other tools of Spark's world look


class Place(Protocol):
    """A folder of files with relative names, reached by the driver and by every worker."""

    def names(self, below: str) -> list[str]:
        """Sorted names of the Parquet parts of a folder, relative to the place."""
        ...

    def has(self, name: str) -> bool:
        """Whether there is such a file or folder."""
        ...

    def read(self, name: str) -> bytes | None:
        """Content of a file, None where there is none."""
        ...

    def fetch(self, name: str, scratch: Path) -> Path:
        """A local file with this content; it may be the file itself, so it is not written to."""
        ...

    def put(self, file: Path, name: str) -> None:
        """Make a whole file appear under a name, in the place of an earlier one."""
        ...

    def write(self, name: str, text: str) -> None:
        """Write a whole text file, from the driver."""
        ...


@dataclass(frozen=True)
class Shared:
    """A folder that every worker sees under the same path."""

    root: Path

    def names(self, below: str) -> list[str]:
        """See ``Place``."""
        found = (self.root / below).glob("part-*.parquet")
        return sorted(str(path.relative_to(self.root)) for path in found)

    def has(self, name: str) -> bool:
        """See ``Place``."""
        return (self.root / name).exists()

    def read(self, name: str) -> bytes | None:
        """See ``Place``."""
        path = self.root / name
        return path.read_bytes() if path.is_file() else None

    def fetch(self, name: str, scratch: Path) -> Path:
        """See ``Place``."""
        return self.root / name

    def put(self, file: Path, name: str) -> None:
        """Copy beside the target and rename: a killed worker leaves at most a hidden draft.

        Raises:
            StorageError: the folder is not there any more, not writable or full.
        """
        target = self.root / name
        draft = target.with_name(f".{target.name}.{uuid4().hex}")
        try:
            # Not the folders above: a straggler must not bring back what the driver has removed.
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(file, draft)
            draft.replace(target)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise StorageError(f"a worker cannot write {target}: {error.strerror}") from error

    def write(self, name: str, text: str) -> None:
        """See ``Place``."""
        write_text(self.root / name, text)


@dataclass(frozen=True)
class Bucket:
    """Objects below s3://BUCKET/PREFIX; a put is one request and therefore whole."""

    uri: str

    def names(self, below: str) -> list[str]:
        """See ``Place``."""
        found = objects(self.uri).names(below)
        return sorted(n for n in found if Path(n).match("part-*.parquet"))

    def has(self, name: str) -> bool:
        """See ``Place``."""
        return self.read(name) is not None or bool(objects(self.uri).names(name))

    def read(self, name: str) -> bytes | None:
        """See ``Place``."""
        return objects(self.uri).read(name)

    def fetch(self, name: str, scratch: Path) -> Path:
        """See ``Place``."""
        objects(self.uri).download([name], scratch)
        return scratch / name

    def put(self, file: Path, name: str) -> None:
        """See ``Place``."""
        objects(self.uri).write(name, file.read_bytes())

    def write(self, name: str, text: str) -> None:
        """See ``Place``."""
        objects(self.uri).write(name, text.encode())


def place(where: str) -> Place:
    """The place of a path or of s3://BUCKET/PREFIX."""
    return Bucket(where) if where.startswith(SCHEME) else Shared(Path(where).absolute())


def source(where: str, mark: str, make: str) -> Place:
    """The place of input that ``mark`` shows to be complete.

    Raises:
        UnreadableFileError: the mark is missing; ``make`` is the command that writes it.
    """
    found = place(where)
    if not found.has(mark):
        raise UnreadableFileError(f"{where} holds no {mark}; run '{make}' first")
    return found


@contextmanager
def published(where: str, *, replace: bool) -> Iterator[Place]:
    """An empty place whose files appear together, or on S3 whose mark appears last.

    Raises:
        StorageError: there is something already and it is not to be replaced, or nothing can be
            written there.
    """
    target = place(where)
    if isinstance(target, Bucket):
        if objects(where).names():
            raise StorageError(f"{where} is not empty; remove it or name another prefix")
        yield target
        objects(where).write(SUCCESS, b"")
        return
    path = Path(where).absolute()
    if path.exists() and not replace:
        raise StorageError(f"{where} exists already; name another folder or say --replace")
    with whole_folder(path) as draft:
        yield Shared(draft)
        for left in draft.rglob(".part-*"):  # drafts of workers that were lost
            left.unlink()
        (draft / SUCCESS).touch()
