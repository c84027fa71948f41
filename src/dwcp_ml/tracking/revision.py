"""The revision of the data that a trained model came from, as dvc.lock knows it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from dwcp_ml.evaluation.artifact import ONNX

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RAW, SPLITS = "data/raw", "data/splits"
LOCK = Path("dvc.lock")


def data_revision(artifacts: Path, names: Sequence[str], lock: Path = LOCK) -> str | None:
    """The revision that all these models came from; None where it is unknown or not one.

    Args:
        artifacts: folder of NAME/model.onnx.
        names: models that belong together.
        lock: dvc.lock.
    """
    found = {revision_of(artifacts / name / ONNX, lock) for name in names}
    return found.pop() if len(found) == 1 else None


def revision_of(onnx: Path, lock: Path = LOCK) -> str | None:
    """md5 of data/raw that the ONNX file was made of, such as "md5:0f...".

    Only if the lock knows every link between the two: a file trained by hand, or a lock that is
    further than the file, gives None.

    Args:
        onnx: artifacts/NAME/model.onnx.
        lock: dvc.lock.
    """
    try:
        stages = yaml.safe_load(lock.read_text(encoding="utf-8"))["stages"]
        made = hashlib.md5(onnx.read_bytes(), usedforsecurity=False).hexdigest()
        split, exported = stages["split"], stages[f"export@{onnx.parent.name}"]
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return None
    outs = _digests(exported, "outs")
    splits = _digests(exported, "deps").get(SPLITS)
    if made not in outs.values() or splits is None or splits != _digests(split, "outs").get(SPLITS):
        return None
    raw = _digests(split, "deps").get(RAW)
    return f"md5:{raw.removesuffix('.dir')}" if raw else None


def _digests(stage: Mapping[str, Any], side: str) -> dict[str, str]:
    return {entry["path"]: entry.get("md5", "") for entry in stage.get(side) or ()}
