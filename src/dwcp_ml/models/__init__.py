"""The models of DWCP, one module each; a module with a ``MODEL`` attribute is found by itself."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from dwcp_ml.errors import ParamsError, nearest
from dwcp_ml.params import Params, load_params, parse

if TYPE_CHECKING:
    from pathlib import Path

    from dwcp_ml.models.base import Model, ModelParams


@cache
def available() -> dict[str, Model]:
    """All models by name."""
    modules = (import_module(f"{__name__}.{m.name}") for m in iter_modules(__path__))
    found = [module.MODEL for module in modules if hasattr(module, "MODEL")]
    return {model.name: model for model in sorted(found, key=lambda m: m.name)}


def get(name: str) -> Model:
    """The model of that name; ParamsError with the nearest name otherwise."""
    if name not in available():
        raise ParamsError(f"unknown model '{name}'{nearest(name, available())}")
    return available()[name]


def read_params(path: Path) -> Params:
    """Read params.yaml and check every model's section as well."""
    params = load_params(path, tuple(available()))
    for name in params.sections:
        section(params, name)
    return params


def section(params: Params, name: str) -> ModelParams:
    """The typed section of one model; its seed defaults to the common one."""
    raw = {"seed": params.seed, **params.sections.get(name, {})}
    return parse(get(name).params_type, raw, f"{params.source}: {name}")


def gap_steps(params: Params) -> int:
    """Steps to leave out between two parts of a split: the longest window plus horizon."""
    spans = [get(name).span(section(params, name)) for name in params.models]
    return max(window + horizon for window, horizon in spans)
