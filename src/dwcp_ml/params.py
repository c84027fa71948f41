"""params.yaml as frozen models: unknown keys are refused with the nearest known one.

A model's own section is typed by the model itself (``dwcp_ml.models``), so that a new
model does not touch this file.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dwcp_ml.errors import ParamsError, UnreadableFileError, nearest


class Section(BaseModel):
    """A frozen section of params.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class NetworkParams(Section):
    """Links: capacity, load, drops and what announces them. Times are in steps."""

    load_tau_steps: float = Field(400, gt=1, description="time constant of log load")
    load_sd: float = Field(0.25, gt=0)
    daily_amplitude: float = Field(0.4, ge=0)
    measurement_sd: float = Field(0.045, ge=0, description="log noise of measured throughput")
    drop_rate: float = Field(0.005, ge=0, le=1, description="level drops a step")
    drop_depth: float = Field(0.6, gt=0, description="mean log depth of a drop")
    drop_hold_steps: float = Field(40, ge=1)
    drop_recovery: float = Field(0.9, gt=0, lt=1, description="left of a drop after one step")
    lead_steps_max: int = Field(
        3, ge=0, description="a drop is announced 1 to this many steps ahead"
    )
    lead_depth_error: float = Field(0.4, ge=0, description="error of the announced depth, fraction")


class IncidentParams(Section):
    """Node incidents and their harmless lookalikes."""

    prevalence: float = Field(0.05, gt=0, lt=0.5)
    median_steps: float = Field(45, gt=1)
    shift_sd: float = Field(6.0, gt=0, description="shift of a medium incident, in noise sd")
    severity_factors: dict[str, float] = {"low": 0.8, "medium": 1.0, "high": 1.5, "critical": 2.2}
    restarts_a_day: float = Field(1.5, ge=0)
    load_peaks_a_day: float = Field(1.5, ge=0)
    base_spread_sd: float = Field(0.4, ge=0, description="spread between nodes, in noise sd")


class ConsensusParams(Section):
    """Consensus latency of one group. Times are in steps."""

    base_median_ms: float = Field(30, gt=0)
    base_log_sd: float = Field(1.2, ge=0)
    noise_log_sd: tuple[float, float] = (0.03, 0.13)
    noise_lag1: tuple[float, float] = (0.3, 0.8)
    drift_log_sd: float = Field(0.08, ge=0)
    spikes_per_3600: float = Field(5, ge=0)
    episodes_per_3600: float = Field(3, ge=0)


class CompressionParams(Section):
    """Payloads, senders and what the level-1 probe measures."""

    payload_steps: float = Field(30, ge=1, description="mean steps a link keeps one payload kind")
    cpu_share: tuple[float, float] = (0.2, 1.0)
    rate_noise: float = Field(0.025, ge=0)
    ratio_noise: float = Field(0.02, ge=0)


class SimulateParams(Section):
    """Size, clock and processes of the simulated fleet."""

    nodes: int = Field(120, ge=4)
    steps: int = Field(17280, ge=100)
    step_s: int = Field(60, ge=1)
    start: datetime = datetime.fromisoformat("2025-01-06T00:00:00+00:00")
    nodes_per_part: int = Field(8, ge=1)
    seed: int = 42
    network: NetworkParams = NetworkParams()
    incidents: IncidentParams = IncidentParams()
    consensus: ConsensusParams = ConsensusParams()
    compression: CompressionParams = CompressionParams()

    @model_validator(mode="after")
    def _zoned(self) -> Self:
        if self.start.tzinfo is None:
            raise ValueError("start needs a time zone, for example 2025-01-06T00:00:00+00:00")
        return self


class FreshParams(Section):
    """Fleets from seeds never trained on, for the second verdict."""

    seeds: tuple[int, ...] = (1001, 1002)
    nodes: int = Field(120, ge=4)
    steps: int = Field(3600, ge=100)


class SplitParams(Section):
    """Fractions of time; the gap between two parts follows from the models' windows.

    ``by`` is "time" for one boundary for all, "series_time" for boundaries within each series,
    which suits recordings made at different times.
    """

    by: Literal["time", "series_time"] = "time"

    train: float = Field(0.70, gt=0, lt=1)
    validation: float = Field(0.15, gt=0, lt=1)
    test: float = Field(0.15, gt=0, lt=1)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if abs(self.train + self.validation + self.test - 1) > 1e-9:
            raise ValueError("train + validation + test must be 1")
        return self


class EvaluateParams(Section):
    """Bootstrap and limits common to all models."""

    resamples: int = Field(400, ge=20)
    confidence: float = Field(0.95, gt=0, lt=1)
    max_size_mb: float = Field(10, gt=0)
    max_row_p99_ms: float = Field(5, gt=0)
    max_training_hours: float = Field(2, gt=0)
    champion_tolerance: float = Field(
        0.1, ge=0, description="fraction by which a primary metric may be worse than the champion's"
    )


class Params(Section):
    """All of params.yaml but the models' own sections, which stay raw in ``sections``."""

    seed: int = 42
    models: tuple[str, ...]
    simulate: SimulateParams = SimulateParams()
    fresh: FreshParams = FreshParams()
    split: SplitParams = SplitParams()
    evaluate: EvaluateParams = EvaluateParams()
    sections: dict[str, dict[str, Any]] = Field(default={}, exclude=True)
    source: str = Field("params.yaml", exclude=True, description="file they came from")


S = TypeVar("S", bound=BaseModel)


def parse(kind: type[S], value: Any, where: str) -> S:
    """Validate ``value`` as ``kind``; ParamsError names the key and the nearest one."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise ParamsError(f"{where}: {_explain(kind, error)}") from error


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping."""
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UnreadableFileError(f"cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UnreadableFileError(f"{path} is not YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(value, dict):
        raise UnreadableFileError(f"{path} must hold a mapping of keys to values")
    return value


def load_params(path: Path, known_models: tuple[str, ...]) -> Params:
    """Read params.yaml; top-level keys are those of Params and the names of known models."""
    value = read_yaml(path)
    common = set(Params.model_fields) - {"sections", "source"}
    for key in value:
        if key not in common and key not in known_models:
            hint = nearest(key, [*common, *known_models])
            raise ParamsError(f"{path}: unknown key '{key}'{hint}")
    sections = {key: value.pop(key) or {} for key in known_models if key in value}
    given = {"models": known_models, **value, "sections": sections, "source": str(path)}
    params = parse(Params, given, str(path))
    for name in params.models:
        if name not in known_models:
            raise ParamsError(f"{path}: unknown model '{name}'{nearest(name, known_models)}")
    return params


def _explain(kind: type[BaseModel], error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return (
            f"unknown key '{where}'{nearest(str(first['loc'][-1]), _fields_at(kind, first['loc']))}"
        )
    if first["type"] == "missing":
        return f"key '{where}' is missing"
    message = first["msg"].removeprefix("Value error, ")
    return f"{where or 'values'}: {message}, got {first['input']!r}" if where else message


def _fields_at(kind: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    for part in loc[:-1]:
        inner = kind.model_fields[str(part)].annotation if str(part) in kind.model_fields else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        kind = inner
    return list(kind.model_fields)
