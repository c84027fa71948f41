"""Whole files or none: every output is written under a temporary name, synced and renamed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwcp_ml.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it over ``path`` if the body succeeds."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    _sweep(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield draft
        _sync(draft)
        draft.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise _storage(path, error) from error
    finally:
        with suppress(NotADirectoryError):
            draft.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; swap it in for ``path`` if the body succeeds."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    old = path.with_name(f".{path.name}.{os.getpid()}.old")
    _sweep(path)
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        yield draft
        for file in draft.rglob("*"):
            _sync(file)
        if path.exists():
            path.rename(old)
        draft.rename(path)
        _sync(path.parent)
    except OSError as error:
        if old.exists() and not path.exists():
            old.rename(path)
        raise _storage(path, error) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _sweep(path: Path) -> None:
    """Remove the drafts of processes that were killed; put back what one had moved aside."""
    for left in path.parent.glob(f".{path.name}.*.*"):
        pid, kind = left.name.split(".")[-2:]
        if not pid.isdigit() or _alive(int(pid)):
            continue
        if kind == "old" and not path.exists():
            left.rename(path)
        elif left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def write_text(path: Path, text: str) -> None:
    """Write a whole text file or none."""
    with whole_file(path) as draft:
        draft.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON; NaN and infinity are refused, not written as invalid JSON."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


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
    if error.errno == errno.ENOSPC:
        return StorageError(f"no space left to write {path}; free some and run again")
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return StorageError(f"cannot write {path}: {error.strerror}; choose a writable folder")
    if error.errno in (errno.ENOTDIR, errno.EISDIR, errno.EEXIST):
        return StorageError(f"cannot write {path}: {error.filename} is in the way; move it away")
    return error
