"""Backtests: each model's own code trained and scored on tables of real measurements."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from dwcp_ml.errors import ParamsError, nearest

if TYPE_CHECKING:
    from dwcp_ml.backtest.task import Task


@cache
def available() -> dict[str, Task]:
    """All tasks by name."""
    modules = (import_module(f"{__name__}.{m.name}") for m in iter_modules(__path__))
    found = [module.TASK for module in modules if hasattr(module, "TASK")]
    return {task.name: task for task in sorted(found, key=lambda t: t.name)}


def get(name: str) -> Task:
    """The task of that name; ParamsError with the nearest name otherwise."""
    if name not in available():
        raise ParamsError(f"unknown backtest '{name}'{nearest(name, available())}")
    return available()[name]
