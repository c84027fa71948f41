"""Which version answered: `dwcp serve --samples` keeps a folder for each."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dwcp_ml.errors import DriftError

if TYPE_CHECKING:
    from pathlib import Path

VERSION = re.compile(r"v\d+\.\d+")


def answered_last(log: Path) -> str | None:
    """The version with the newest file; None where there is no folder of a version."""
    newest = {
        folder.name: max(file.name for file in folder.glob("*.parquet")) for folder in _folders(log)
    }
    return max(newest, key=lambda version: newest[version], default=None)


def of_version(log: Path, version: str) -> Path:
    """The answers of one version alone: others answer in another way, which is no drift.

    Of a model that has no version, as before it is registered, the log as it is.

    Raises:
        DriftError: there are answers of other versions only.
    """
    names = sorted(folder.name for folder in _folders(log))
    if not names or not VERSION.fullmatch(version):
        return log
    if version not in names:
        raise DriftError(
            f"{log.name} holds answers of {', '.join(names)} and none of {version}; name the "
            f"version that answered, as in NAME@{names[-1]}"
        )
    return log / version


def _folders(log: Path) -> list[Path]:
    """Folders of versions that hold files, a server's names of which begin with the time."""
    if not log.is_dir():
        return []
    found = (path for path in log.iterdir() if VERSION.fullmatch(path.name))
    return [path for path in found if any(path.glob("*.parquet"))]
