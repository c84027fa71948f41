"""The registry on S3: the layout of the local one, with an object `latest` instead of a link.

    PREFIX/NAME/vMAJOR.MINOR/{model.onnx, card.md, metadata.json}   written once, metadata last
    PREFIX/NAME/latest                                              text, for example v1.0

A version without metadata.json was never finished; nobody reads it. Rules and files come from the
local registry: what it has to know is brought into a folder, and what it made there is sent.
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from dwcp_ml.errors import RegistryError
from dwcp_ml.evaluation.artifact import METADATA, ONNX
from dwcp_ml.registry.objects import SCHEME, Objects, TakenError, objects
from dwcp_ml.registry.register import Registered, register
from dwcp_ml.registry.store import CARD, LATEST, Version, latest, move_latest, versions

if TYPE_CHECKING:
    from collections.abc import Sequence

ORDER = (ONNX, CARD, METADATA)  # metadata says that the version is whole


def registry_folder(uri: str) -> Path | None:
    """The folder of a registry that lies on this machine; None for one on S3."""
    return None if uri.startswith(SCHEME) else Path(uri.removeprefix("file://"))


def champions(uri: str, names: Sequence[str]) -> dict[str, str]:
    """The latest version of each model that has one.

    Raises:
        StorageError: the registry cannot be reached.
        RegistryError: `latest` names no version.
    """
    folder = registry_folder(uri)
    store = None if folder else objects(uri)
    found: dict[str, str] = {}
    for name in names:
        newest = latest(folder / name) if folder else _latest(store, name)
        if newest is not None:
            found[name] = str(newest)
    return found


def bring_version(uri: str, name: str, version: str, out: Path) -> Path:
    """The folder of one version, brought below ``out`` from S3.

    Raises:
        RegistryError: that version is not whole.
    """
    folder = registry_folder(uri)
    if folder is not None:
        return folder / name / version
    store = objects(uri)
    files = [f"{name}/{version}/{file}" for file in ORDER]
    if missing := sorted(set(files) - set(store.names(f"{name}/{version}"))):
        raise RegistryError(f"{uri} misses {', '.join(missing)}")
    store.download(files, out)
    return out / name / version


def register_at(
    uri: str, reports: Path, artifacts: Path, models: Sequence[str], **facts: Any
) -> list[Registered]:
    """``register`` for a registry in a folder or on S3; ``facts`` are its keywords.

    Raises:
        GateFailedError: a gate failed; nothing was written.
        StorageError: the registry cannot be read or written.
        RegistryError: somebody else took the version's number, or left it half written.
    """
    folder = registry_folder(uri)
    if folder is not None:
        return register(reports, artifacts, folder, models, **facts)
    store = objects(uri)
    with TemporaryDirectory() as scratch:
        root = Path(scratch)
        for name in models:
            _mirror(store, name, root)
        made = register(reports, artifacts, root, models, **facts)
        for entry in (e for e in made if e.new):
            _send(store, entry, root)
        for entry in made:
            newest = versions(root / entry.name)[-1]
            if _latest(store, entry.name) != newest:
                store.write(f"{entry.name}/{LATEST}", f"{newest}\n".encode())
    return made


def version_uri(uri: str, entry: Registered) -> str:
    """Where a registered version lies."""
    folder = registry_folder(uri)
    if folder:
        return f"{folder.resolve()}/{entry.name}/{entry.version}"
    # KServe downloads by prefix: without the slash v1.1 would bring v1.10 along.
    return f"{uri.rstrip('/')}/{entry.name}/{entry.version}/"


def _latest(store: Objects | None, name: str) -> Version | None:
    content = store.read(f"{name}/{LATEST}") if store else None
    if content is None:
        return None
    version = Version.parse(content.decode(errors="replace").strip())
    if version is None:
        raise RegistryError(f"{name}/{LATEST} names no version but {content[:40]!r}")
    return version


def _mirror(store: Objects, name: str, root: Path) -> None:
    """Bring the metadata of every whole version, and all files of the newest."""
    there = set(store.names(name))
    whole = sorted(
        version
        for file in there
        if file.endswith(f"/{METADATA}") and (version := Version.parse(file.split("/")[1]))
    )
    store.download([f"{name}/{version}/{METADATA}" for version in whole], root)
    if whole:
        store.download([f"{name}/{whole[-1]}/{file}" for file in (ONNX, CARD)], root)
        move_latest(root / name, whole[-1])


def _send(store: Objects, entry: Registered, root: Path) -> None:
    """Send a version: the model claims its number, the metadata declares it whole.

    A run that was cut off in between, or one beside this with the same model, is no obstacle.
    """
    for file in ORDER:
        name = f"{entry.name}/{entry.version}/{file}"
        content = (root / name).read_bytes()
        try:
            store.write(name, content, new=file != CARD)
        except TakenError as error:
            if not _same(file, store.read(name), content):
                raise RegistryError(
                    f"{entry.name} {entry.version} is being registered by somebody else, or was "
                    f"left half written; try again, or remove it if it has no {METADATA}"
                ) from error


def _same(file: str, there: bytes | None, ours: bytes) -> bool:
    """Whether both are of the same model; metadata also holds the time."""
    if there is None or file == ONNX:
        return there == ours
    key = "onnx_sha256"
    return bool(json.loads(there)[key] == json.loads(ours)[key])
