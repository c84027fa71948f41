"""Whole files or none: every output is written under a temporary name, synced and renamed.

While a process writes PATH it holds a lock on ``.PATH.lock`` beside it, so that two runs at once
never mix their outputs, and so that a draft which nobody holds is known to be a dead process's.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from dwcp_ml.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FORBIDDEN = (errno.EACCES, errno.EROFS, errno.EPERM)
IN_THE_WAY = (errno.ENOTDIR, errno.EISDIR, errno.EEXIST)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it over ``path`` if the body succeeds.

    Raises:
        StorageError: the folder cannot be written, is full, or another process writes ``path``.
    """
    draft = path.with_name(f".{path.name}.part")
    with _only_writer(path):
        try:
            yield draft
            _sync(draft)
            draft.replace(path)
            _sync(path.parent)
        finally:
            draft.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; swap it in for ``path`` if the body succeeds.

    Raises:
        StorageError: as of ``whole_file``.
    """
    draft, old = (path.with_name(f".{path.name}.{end}") for end in ("part", "old"))
    with _only_writer(path):
        try:
            draft.mkdir()
            yield draft
            for file in draft.rglob("*"):
                _sync(file)
            if path.exists():
                path.rename(old)
            draft.rename(path)
            _sync(path.parent)
        finally:
            _put_in_order(path)


@contextmanager
def _only_writer(path: Path) -> Iterator[None]:
    """Hold the lock of ``path``, with what a killed writer left put in order before.

    The system frees the lock even if this process is killed.
    """
    try:
        with ExitStack() as stack:
            stack.enter_context(_folder(path.parent))
            name = path.with_name(f".{path.name}.lock")
            stack.enter_context(_locked(name, path))
            stack.callback(name.unlink, missing_ok=True)
            _put_in_order(path)
            yield
    except OSError as error:
        raise _storage(path, error) from error


@contextmanager
def _folder(folder: Path) -> Iterator[None]:
    """Make a folder and those above it; after a failure those that are empty go again."""
    missing = [p for p in (folder, *folder.parents) if not p.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for made in missing:
            with suppress(OSError):
                made.rmdir()
        raise


def _locked(name: Path, path: Path) -> TextIO:
    while True:
        lock = name.open("a+", encoding="utf-8")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            lock.close()
            raise StorageError(
                f"another run (process {holder}) is writing {path}; wait until it has ended, "
                "then run again"
            ) from error
        with suppress(FileNotFoundError):
            if os.path.samestat(name.stat(), os.fstat(lock.fileno())):
                break
        lock.close()  # its holder removed it just now: this is nobody's lock any more
    with suppress(OSError):  # a full disk holds the lock all the same, without a name in it
        os.ftruncate(lock.fileno(), 0)
        os.write(lock.fileno(), f"{os.getpid()}\n".encode())
    return lock


def _put_in_order(path: Path) -> None:
    """Put back what was moved aside and never replaced; remove drafts and what was replaced."""
    draft, old = (path.with_name(f".{path.name}.{end}") for end in ("part", "old"))
    if old.exists() and not path.exists():
        old.rename(path)
    for left in (draft, old):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a whole text file or none."""
    with whole_file(path) as draft:
        draft.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON; NaN and infinity are refused, not written as invalid JSON."""
    write_text(path, as_json(value))


def as_json(value: Any) -> str:
    """Indented JSON; ValueError for NaN and infinity."""
    return json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def sha256(path: Path) -> str:
    """Hex digest of a file; of a folder, the digest of its sorted relative paths and digests."""
    if path.is_dir():
        inner = sorted(p for p in path.rglob("*") if p.is_file())
        lines = "".join(f"{p.relative_to(path)} {sha256(p)}\n" for p in inner)
        return hashlib.sha256(lines.encode()).hexdigest()
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _storage(path: Path, error: OSError) -> Exception:
    if error.errno in FULL:
        return StorageError(f"no space left to write {path}; free some and run again")
    if error.errno in FORBIDDEN:
        return StorageError(f"cannot write {path}: {error.strerror}; choose a writable folder")
    if error.errno in IN_THE_WAY:
        return StorageError(f"cannot write {path}: {error.filename} is in the way; move it away")
    return error
