"""Registering approved models: all gates of all models passed, or nothing is written."""

from __future__ import annotations

import fcntl
import json
import shutil
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dwcp_ml.errors import GateFailedError, StorageError
from dwcp_ml.evaluation.artifact import METADATA, ONNX, Artifact, read_artifact
from dwcp_ml.evaluation.champion import signature
from dwcp_ml.evaluation.jsons import read_json
from dwcp_ml.evaluation.report import read_reports
from dwcp_ml.evaluation.report.master import QUALITY
from dwcp_ml.files import whole_folder
from dwcp_ml.registry.card import model_card
from dwcp_ml.registry.metadata import completed
from dwcp_ml.registry.store import CARD, Version, latest, move_latest, show, versions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from dwcp_ml.evaluation.report.rows import Report

LISTED = 6  # failed gates named in the error; the report has them all


@dataclass(frozen=True)
class Registered:
    """What became of one model."""

    name: str
    version: Version
    new: bool  # False where this very file was registered before

    def __str__(self) -> str:
        """For example "toy v1.1 registered"."""
        return f"{self.name} {self.version} {'registered' if self.new else 'was registered before'}"


def register(
    reports: Path,
    artifacts: Path,
    root: Path,
    models: Sequence[str],
    *,
    created: str,
    git_commit: str | None = None,
    data_revision: str | None = None,
) -> list[Registered]:
    """Give every model a version, if every gate of every model passed.

    A file that is registered already keeps its version and nothing is written for it. A new file
    raises the minor version, or the major one if its inputs or outputs changed.

    Args:
        reports: folder of NAME_report.json and, where a contract ran, data_quality.json.
        artifacts: folder of NAME/model.onnx and metadata.json.
        root: the registry.
        models: names of all models that belong together.
        created: ISO 8601 time that the versions will carry.
        git_commit: commit of the code, None where it is unknown.
        data_revision: DVC revision of the data, None where it is unknown.

    Raises:
        GateFailedError: a gate failed, or a report is missing or about another file.
        RegistryError: a version's metadata is damaged.
        StorageError: the registry cannot be written.
    """
    found = read_reports(reports, models)
    made = {name: read_artifact(artifacts / name) for name in models if name in found}
    _refuse(models, found, made, reports)
    facts = {"created": created, "git_commit": git_commit, "data_revision": data_revision}
    with _only_writer(root):
        result = [_placed(root, name, made[name]) for name in models]
        with ExitStack() as all_or_none:
            for entry in result:
                if entry.new:
                    folder = root / entry.name / str(entry.version)
                    draft = all_or_none.enter_context(whole_folder(folder))
                    _write(draft, entry, made[entry.name], found[entry.name], facts)
        for entry in result:
            # A run that was killed here has left the link on the version before.
            newest = versions(root / entry.name)[-1]
            if entry.version == newest != latest(root / entry.name):
                move_latest(root / entry.name, newest)
    return result


def _refuse(
    models: Sequence[str],
    reports: Mapping[str, Report],
    made: Mapping[str, Artifact],
    folder: Path,
) -> None:
    """Raise GateFailedError with every reason not to register."""
    reasons = [] if models else ["no model was named"]
    quality = folder / QUALITY
    if quality.exists() and not read_json(quality).get("success"):
        reasons.append(f"the data contract failed, see {quality}")
    for name in models:
        report = reports.get(name)
        if report is None:
            reasons.append(f"{name} has no report, run 'dwcp evaluate {name}'")
        elif report["onnx_sha256"] != made[name].digest:
            reasons.append(f"the report of {name} is about another model.onnx, evaluate again")
        elif not report["gates"]:
            reasons.append(f"no gate of {name} was evaluated")
        else:
            failed = [gate for gate in report["gates"] if not gate["passed"]]
            reasons += [f"{name} {g['name']} on {g['slice']}: {g['why']}" for g in failed]
    if reasons:
        more = f"; and {len(reasons) - LISTED} more" if len(reasons) > LISTED else ""
        raise GateFailedError(f"nothing was registered: {'; '.join(reasons[:LISTED])}{more}")


@contextmanager
def _only_writer(root: Path) -> Iterator[None]:
    """Hold the registry's lock; the system frees it even if this process is killed."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = (root / ".lock").open("a")
    except OSError as error:
        raise StorageError(f"cannot write {error.filename}: {error.strerror}") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in root.glob("*/.*.part"):  # of a run that was killed
            if leftover.is_dir() and not leftover.is_symlink():
                shutil.rmtree(leftover)
            else:
                leftover.unlink()
        yield


def _placed(root: Path, name: str, artifact: Artifact) -> Registered:
    """The version that already holds this file, or the one it will get."""
    folder = root / name
    known = versions(folder)
    for version in reversed(known):
        if show(root, name, str(version)).get("onnx_sha256") == artifact.digest:
            return Registered(name, version, new=False)
    if not known:
        return Registered(name, Version(1, 0), new=True)
    newest = known[-1]
    before = read_artifact(folder / str(newest))
    same = signature(before.session()) == signature(artifact.session())
    following = Version(newest.major, newest.minor + 1) if same else Version(newest.major + 1, 0)
    return Registered(name, following, new=True)


def _write(
    draft: Path, entry: Registered, artifact: Artifact, report: Report, facts: dict[str, Any]
) -> None:
    metadata = completed(artifact.metadata, report, str(entry.version), facts)
    shutil.copyfile(artifact.onnx, draft / ONNX)
    (draft / METADATA).write_text(json.dumps(metadata, indent=2, allow_nan=False) + "\n")
    (draft / CARD).write_text(model_card(metadata, report), encoding="utf-8")
    for file in draft.iterdir():
        file.chmod(0o444)
