"""How a component fails: one sentence in its log and for the cluster, and its own exit code."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from dwcp_ml.errors import DwcpError

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")
# Kubernetes shows what a container leaves here; a local run names a file of its own.
REASON, REASON_FILE = "DWCP_REASON_FILE", "/dev/termination-log"
LONGEST = 2000  # characters; Kubernetes keeps 4096 bytes


def step(stage: Callable[P, T]) -> Callable[P, T]:
    """End the process with the failure's exit code, after telling its sentence."""

    @functools.wraps(stage)
    def told(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return stage(*args, **kwargs)
        except DwcpError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            _leave(f"{stage.__name__}: {error}")
            sys.exit(error.exit_code)
        except Exception as error:  # told, then raised again with its traceback
            _leave(f"{stage.__name__}: {type(error).__name__}: {error}")
            raise

    return told


def _leave(sentence: str) -> None:
    place = Path(os.environ.get(REASON, REASON_FILE))
    try:
        with place.open("a", encoding="utf-8") as stream:
            stream.write(f"{sentence[:LONGEST]}\n")
    except OSError:  # outside a container nobody reads it
        return
