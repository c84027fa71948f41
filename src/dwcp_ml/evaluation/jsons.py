"""Reading JSON with one clear sentence where it cannot be read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dwcp_ml.errors import UnreadableFileError

if TYPE_CHECKING:
    from pathlib import Path


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        UnreadableFileError: the file is missing or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UnreadableFileError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise UnreadableFileError(f"{path} is not JSON: {error}") from error
