"""The search space of a model, read from tuning/spaces.yaml and checked against its parameters."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, ValidationError, model_validator

from dwcp_ml import models
from dwcp_ml.errors import ParamsError, nearest
from dwcp_ml.models.base import ModelParams
from dwcp_ml.params import Section, parse, read_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from optuna.trial import Trial

DIGITS = 3  # of a number that is tried and written; more would say what a trial cannot tell
Value = Any  # of a parameter: a number, a flag, or a list of numbers


class Vary(Section):
    """One key: a range of numbers, or choices."""

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    step: int | float | None = Field(None, gt=0)
    choices: tuple[Value, ...] = ()

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.choices:
            if self.model_fields_set != {"choices"}:
                raise ValueError("choices stand alone, without low, high, log and step")
            if len(self.choices) != len({as_text(c) for c in self.choices}):
                raise ValueError("two choices are the same")
            return self
        if self.low is None or self.high is None or self.low >= self.high:
            raise ValueError("give low < high, or choices")
        if self.log and (self.step or self.low <= 0):
            raise ValueError("log needs low > 0 and no step")
        if self.step and not _multiple(self.high - self.low, self.step):
            raise ValueError("high must be low plus a multiple of step")
        return self

    @property
    def whole(self) -> bool:
        """Whether its numbers are integers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def extremes(self) -> tuple[Value, ...]:
        """The values that its model must accept."""
        return self.choices or (self.low, self.high)

    def suggest(self, trial: Trial, key: str) -> Any:
        """Optuna's choice; a list is offered as its text, which every storage holds."""
        if self.choices:
            return trial.suggest_categorical(key, [as_text(c) for c in self.choices])
        low, high, step = self.low or 0, self.high or 0, self.step
        if self.whole:
            return trial.suggest_int(key, int(low), int(high), step=int(step or 1), log=self.log)
        return trial.suggest_float(key, low, high, step=step, log=self.log)

    def stored(self, value: Value) -> Any:
        """A parameter's value as Optuna keeps it."""
        return as_text(value) if self.choices else value

    def value(self, stored: Any) -> Value:
        """What Optuna keeps as the parameter's value, with few digits."""
        if self.choices:
            return next(c for c in self.choices if as_text(c) == stored)
        if self.whole or self.low is None or self.high is None:
            return stored
        return min(max(float(f"{stored:.{DIGITS}g}"), float(self.low)), float(self.high))


class Space(Section):
    """What is varied of one model."""

    stop_early_on: str | None = None
    vary: dict[str, Vary] = Field(min_length=1)

    def suggest(self, trial: Trial) -> dict[str, Value]:
        """Values of one trial."""
        return {key: vary.value(vary.suggest(trial, key)) for key, vary in self.vary.items()}

    def stored(self, values: Mapping[str, Value]) -> dict[str, Any]:
        """Values as Optuna keeps them."""
        return {key: vary.stored(values[key]) for key, vary in self.vary.items()}


def read_space(path: Path, name: str, section: ModelParams) -> Space:
    """The space of a model.

    Args:
        path: tuning/spaces.yaml.
        name: of the model.
        section: its present parameters, which the space must hold: a study compares with them.

    Raises:
        UnreadableFileError: no such file, or it is not YAML.
        ParamsError: an unknown model or key, an impossible range, or a key that is not for tuning.
    """
    spaces = read_yaml(path)
    known = models.available()
    for found in spaces:
        if found not in known:
            raise ParamsError(f"{path}: unknown model '{found}'{nearest(str(found), known)}")
    if name not in spaces:
        raise ParamsError(f"{path} has no space for {name}; add a section '{name}:'")
    space = parse(Space, spaces[name], f"{path}: {name}")
    for key, vary in space.vary.items():
        _check(f"{path}: {name}: {key}", key, vary, section)
    return space


def with_values(section: ModelParams, values: Mapping[str, Value], where: str) -> ModelParams:
    """The section with other values; ParamsError names an unknown key or an impossible value."""
    return parse(type(section), section.model_dump() | dict(values), where)


def _check(where: str, key: str, vary: Vary, section: ModelParams) -> None:
    fields = type(section).model_fields
    if key not in fields:
        raise ParamsError(f"{where}: unknown key{nearest(key, fields)}")
    if key in ModelParams.model_fields:
        raise ParamsError(f"{where}: is not for tuning: it does not make a model better")
    for value in vary.extremes:
        try:
            type(section).model_validate(section.model_dump() | {key: value})
        except ValidationError as error:
            raise ParamsError(
                f"{where}: {value} is impossible: {error.errors()[0]['msg']}"
            ) from error
    now = getattr(section, key)
    if isinstance(now, int) and not vary.choices and not vary.whole:
        raise ParamsError(f"{where}: is a whole number; give low and high without a point")
    if isinstance(now, float) and vary.whole:
        raise ParamsError(f"{where}: is a fraction; give low and high with a point")
    stored = vary.stored(now)
    if not _holds(vary, stored):
        raise ParamsError(
            f"{where}: the space leaves out {as_text(now)}, which params.yaml has now and a study "
            "compares with; widen it"
        )


def _holds(vary: Vary, stored: Any) -> bool:
    if vary.choices:
        return stored in {as_text(c) for c in vary.choices}
    if vary.low is None or vary.high is None or not vary.low <= stored <= vary.high:
        return False
    if vary.step is None:
        return True
    return _multiple(stored - vary.low, vary.step)


def _multiple(span: float, step: float) -> bool:
    return math.isclose(span / step, round(span / step), abs_tol=1e-9)


def as_text(value: Value) -> str:
    """Compact, without spaces: it also travels through a container's command line."""
    return json.dumps(value, separators=(",", ":"))
