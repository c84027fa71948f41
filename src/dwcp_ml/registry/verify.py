"""Is every registered version still what it was, and does it still answer the same?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dwcp_ml.errors import DwcpError, RegistryError
from dwcp_ml.evaluation.artifact import METADATA, ONNX, read_artifact
from dwcp_ml.registry.store import CARD, LATEST, Entry, Version, latest, names, versions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from onnxruntime import InferenceSession

RELATIVE, ABSOLUTE = 1e-4, 1e-5  # another instruction set rounds differently


def verify(root: Path) -> list[Entry]:
    """Check files, digests, metadata, golden pairs and the latest links.

    Returns:
        What was checked.

    Raises:
        RegistryError: names everything that is wrong.
    """
    checked, problems = [], []
    for name in names(root):
        folder = root / name
        newest = latest(folder)
        problems += [f"{name}: {problem}" for problem in _link(folder, newest)]
        for version in versions(folder):
            found = list(_problems(folder / str(version), name, version))
            problems += [f"{name} {version}: {problem}" for problem in found]
            if not found:
                about = read_artifact(folder / str(version)).metadata
                known = about["created"], about["onnx_sha256"]
                checked.append(Entry(name, version, version == newest, *known))
    if problems:
        raise RegistryError(f"{root} is damaged: {'; '.join(problems)}")
    return checked


def _link(folder: Path, newest: Version | None) -> Iterator[str]:
    known = versions(folder)
    if not known:
        yield "holds no version"
    elif newest is None:
        yield f"'{LATEST}' is missing or is no link to a version beside it"
    elif newest not in known:
        yield f"'{LATEST}' points at {newest}, which does not exist"


def _problems(folder: Path, name: str, version: Version) -> Iterator[str]:
    missing = [file for file in (ONNX, METADATA, CARD) if not (folder / file).is_file()]
    if missing:
        yield f"{', '.join(missing)} missing"
        return
    try:
        artifact = read_artifact(folder)
    except DwcpError as error:
        yield str(error)
        return
    about = artifact.metadata
    said = about.get("name"), about.get("version")
    if said != (name, str(version)):
        yield f"{METADATA} says it is {said[0]} {said[1]}"
    if not isinstance(about.get("created"), str):
        yield f"{METADATA} does not say when it was created"
    if about.get("onnx_sha256") != artifact.digest:
        yield f"{ONNX} has the sha256 {artifact.digest}, {METADATA} says {about.get('onnx_sha256')}"
        return  # an altered file is not loaded
    try:
        yield from _golden(artifact.session(), about.get("golden") or [])
    except Exception as error:  # the runtime's errors share no base of their own
        yield f"its golden pairs cannot be answered: {' '.join(str(error).split())}"


def _golden(session: InferenceSession, pairs: list[Mapping[str, Any]]) -> Iterator[str]:
    """Compare the answers to the recorded requests with the recorded responses."""
    if not pairs:
        yield f"{METADATA} holds no golden pair"
    types = {t.name: np.int64 if "int64" in t.type else np.float32 for t in session.get_inputs()}
    for number, pair in enumerate(pairs, start=1):
        request = {k: np.asarray(v, dtype=types[k]) for k, v in pair["request"].items()}
        outputs = [tensor.name for tensor in session.get_outputs()]
        answers = dict(zip(outputs, session.run(outputs, request), strict=True))
        for key, wanted in pair["response"].items():
            if key not in answers or not _alike(answers[key], np.asarray(wanted)):
                yield f"golden pair {number} answers another '{key}'"


def _alike(got: np.ndarray[Any, Any], wanted: np.ndarray[Any, Any]) -> bool:
    if got.shape != wanted.shape:
        return False
    if np.issubdtype(got.dtype, np.integer):
        return bool((got == wanted).all())
    return bool(np.allclose(got, wanted, rtol=RELATIVE, atol=ABSOLUTE))
