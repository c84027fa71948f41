"""The models that are served, kept in step with the registry's ``latest`` links."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dwcp_ml.errors import DwcpError, RegistryError, SigstoreError, nearest
from dwcp_ml.serving.loader import load
from dwcp_ml.serving.logs import event, log
from dwcp_ml.serving.manifest import METADATA, ONNX, read_manifest
from dwcp_ml.serving.refusals import NotReadyError, UnknownError

if TYPE_CHECKING:
    from pathlib import Path

    from dwcp_ml.serving.metrics import ServerMetrics
    from dwcp_ml.serving.model import ServedModel
    from dwcp_ml.serving.options import ServeOptions
    from dwcp_ml.serving.samples import SampleLog

LATEST = "latest"
Stamp = tuple[object, ...]  # changes whenever a version's files or the link to it change


@dataclass(frozen=True)
class Slot:
    """A name that is served.

    Attributes:
        model: what answers; None while nothing was loaded.
        stamp: state of the files at the last attempt.
        problem: why that attempt failed; a model from before then goes on answering.
    """

    model: ServedModel | None
    stamp: Stamp
    problem: str | None


class Repository:
    """Names and their models; a slot is swapped as a whole, so a request sees one version."""

    def __init__(
        self, options: ServeOptions, metrics: ServerMetrics, samples: SampleLog | None = None
    ) -> None:
        """Nothing is loaded yet; ``refresh`` does that."""
        self._options = options
        self._metrics = metrics
        self._samples = samples
        self.slots: dict[str, Slot] = {}

    @property
    def ready(self) -> bool:
        """Whether there are models and each answers."""
        return bool(self.slots) and all(slot.model for slot in self.slots.values())

    def get(self, name: str, version: str | None = None) -> ServedModel:
        """The model of that name.

        Raises:
            UnknownError: no such name or version.
            NotReadyError: says why it could not be loaded.
        """
        slot = self.slots.get(name)
        if slot is None:
            hint = nearest(name[:100], self.slots)
            raise UnknownError(f"no model of that name is served here{hint}")
        if slot.model is None:
            raise NotReadyError(f"{name} is not ready: {slot.problem}")
        if version is not None and version.removeprefix("v") != slot.model.version[1:]:
            raise UnknownError(f"{name} is served as {slot.model.version} only")
        return slot.model

    def refresh(self) -> None:
        """Load what is new or changed, drop what is gone; never raises for a bad model."""
        found = self._folders()
        for name, folder in found.items():
            stamp = _stamp(folder)
            before = self.slots.get(name)
            if before is None or before.stamp != stamp:
                self.slots[name] = self._loaded(name, folder, stamp, before)
        for name in set(self.slots) - set(found):
            gone = self.slots.pop(name)
            if gone.model:
                gone.model.metrics.ready = False
            event("model gone", logging.WARNING, model=name)

    def _folders(self) -> dict[str, Path]:
        """Name -> folder of the version to serve."""
        root = self._options.models
        if (root / METADATA).exists() or (root / ONNX).exists():
            if self._options.name:
                return {self._options.name: root}
            if self.slots:  # named at the first look
                return dict.fromkeys(self.slots, root)
            try:
                return {read_manifest(root).name: root}
            except RegistryError:
                return {"model": root}
        folders = [p for p in root.iterdir() if p.is_dir() and not p.name.startswith(".")]
        return {folder.name: folder / LATEST for folder in sorted(folders)}

    def _loaded(self, name: str, folder: Path, stamp: Stamp, before: Slot | None) -> Slot:
        old = before.model if before else None
        self._metrics.load_failures.setdefault(name, 0)
        try:
            if not folder.is_dir():
                raise RegistryError(f"'{LATEST}' points at no version")
            model = load(
                folder.resolve(),
                self._expected(folder),
                self._options,
                self._metrics,
                self._samples,
            )
        except Exception as error:  # one model must not keep the others from being served
            problem = str(error) if isinstance(error, DwcpError) else "it could not be loaded"
            if not isinstance(error, DwcpError):
                log.error("loading failed", exc_info=error, extra={"facts": {"model": name}})
            self._metrics.load_failures[name] += 1
            event("model refused", logging.ERROR, model=name, why=problem,
                  still_served=old.version if old else None)  # fmt: skip
            again = isinstance(error, SigstoreError)  # the network may be back at the next look
            return Slot(old, () if again else stamp, problem)
        if old:
            old.metrics.ready = False
        model.metrics.ready = True
        event("model ready", model=name, version=model.version, digest=model.manifest.digest,
              instead_of=old.version if old else None)  # fmt: skip
        return Slot(model, stamp, None)

    def _expected(self, folder: Path) -> str | None:
        return folder.parent.name if folder.name == LATEST else None


def _stamp(folder: Path) -> Stamp:
    try:
        target = folder.readlink() if folder.is_symlink() else None
        files = [(folder / file).stat() for file in (ONNX, METADATA)]
    except OSError as error:
        return (error.errno,)
    return (target, *((f.st_ino, f.st_mtime_ns, f.st_size) for f in files))
