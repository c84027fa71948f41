"""The links from data to version that a version's metadata knows."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def chain(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The links from data to version that the metadata knows; None where it does not."""
    data = metadata.get("data") or {}
    return {
        "data": _one_digest(data.get("sha256")),
        "data_revision": data.get("dvc_revision"),
        "params": metadata.get("params_sha256"),
        "code": metadata.get("git_commit"),
        "tools": metadata.get("tools") or {},
        "onnx": metadata.get("onnx_sha256"),
        "version": metadata.get("version"),
        "created": metadata.get("created"),
    }


def _one_digest(files: Mapping[str, str] | None) -> str | None:
    """One digest for the digests of several files."""
    if not files:
        return None
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
