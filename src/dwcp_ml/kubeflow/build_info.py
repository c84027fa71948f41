"""Which commit the installed code was built from."""

from __future__ import annotations

from importlib.resources import files

from dwcp_ml import session


def git_commit() -> str | None:
    """What the image's build wrote down, else the checkout's commit; None where nobody knows."""
    written = files("dwcp_ml").joinpath("REVISION")
    if written.is_file() and (commit := written.read_text(encoding="utf-8").strip()):
        return commit
    return session.git_commit()
