"""The registry on disk: what lies where, and reading it.

root/NAME/vMAJOR.MINOR/{model.onnx, metadata.json, card.md}   read-only, never changed
root/NAME/latest -> vMAJOR.MINOR                              relative link, moved atomically
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from dwcp_ml.errors import DwcpError, RegistryError, nearest
from dwcp_ml.evaluation.artifact import METADATA
from dwcp_ml.evaluation.jsons import read_json

if TYPE_CHECKING:
    from pathlib import Path

    from rich.table import Table

LATEST, CARD = "latest", "card.md"
_NAME = re.compile(r"v(\d+)\.(\d+)")


class Version(NamedTuple):
    """vMAJOR.MINOR; versions of one major answer the same requests."""

    major: int
    minor: int

    def __str__(self) -> str:
        """For example "v1.0"."""
        return f"v{self.major}.{self.minor}"

    @classmethod
    def parse(cls, text: str) -> Version | None:
        """The version a folder's name says, None if it says none."""
        match = _NAME.fullmatch(text)
        return cls(int(match[1]), int(match[2])) if match else None


@dataclass(frozen=True)
class Entry:
    """One registered version."""

    name: str
    version: Version
    latest: bool
    created: str | None
    sha256: str | None


def names(root: Path) -> list[str]:
    """Models with a folder in the registry.

    Raises:
        RegistryError: there is no registry at ``root``.
    """
    if not root.is_dir():
        raise RegistryError(f"there is no model registry at {root}; run 'dwcp register' first")
    return sorted(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


def versions(folder: Path) -> list[Version]:
    """Versions in a model's folder, oldest first."""
    if not folder.is_dir():
        return []
    return sorted(v for p in folder.iterdir() if p.is_dir() and (v := Version.parse(p.name)))


def latest(folder: Path) -> Version | None:
    """What the link of a model's folder names; None where there is no link."""
    link = folder / LATEST
    return Version.parse(os.fspath(link.readlink())) if link.is_symlink() else None


def move_latest(folder: Path, version: Version) -> None:
    """Point the link at ``version``; readers see the old or the new target, never none."""
    link = folder / LATEST
    if link.exists() and not link.is_symlink():
        raise RegistryError(f"{link} is no link; move it away, it must point at a version")
    draft = folder / f".{LATEST}.{os.getpid()}.part"
    draft.unlink(missing_ok=True)
    draft.symlink_to(str(version))
    draft.replace(link)


def show(root: Path, name: str, version: str | None = None) -> dict[str, Any]:
    """Metadata of a version, of the latest one without ``version``.

    Raises:
        RegistryError: the model or version is not registered, or its metadata is damaged.
    """
    wanted = resolve(root, name, version)
    try:
        metadata: dict[str, Any] = read_json(root / name / str(wanted) / METADATA)
    except DwcpError as error:
        raise RegistryError(f"{name} {wanted} is damaged: {error}") from error
    return metadata


def resolve(root: Path, name: str, version: str | None = None) -> Version:
    """The version of that name, or the latest.

    Raises:
        RegistryError: it is not registered.
    """
    if name not in names(root):
        raise RegistryError(f"no model '{name}' in {root}{nearest(name, names(root))}")
    known = versions(root / name)
    wanted = latest(root / name) if version in (None, LATEST) else Version.parse(str(version))
    if wanted is None or wanted not in known:
        have = ", ".join(map(str, known)) or "none"
        raise RegistryError(f"{name} has no version '{version or LATEST}'; registered: {have}")
    return wanted


def entries(root: Path) -> list[Entry]:
    """All versions, by model and age.

    Raises:
        RegistryError: there is no registry, or a version's metadata is damaged.
    """
    found = []
    for name in names(root):
        newest = latest(root / name)
        for version in versions(root / name):
            about = show(root, name, str(version))
            known = about.get("created"), about.get("onnx_sha256")
            found.append(Entry(name, version, version == newest, *known))
    return found


def entry_table(found: list[Entry]) -> Table:
    """What ``dwcp models list`` prints."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table("model", "version", "", "created", "sha256", box=SIMPLE_HEAD, pad_edge=False)
    for entry in found:
        mark = LATEST if entry.latest else ""
        digest = (entry.sha256 or "")[:12]
        table.add_row(entry.name, str(entry.version), mark, entry.created or "", digest)
    return table
