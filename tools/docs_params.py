"""The reference page of params.yaml, from the pydantic models that read it."""

from __future__ import annotations

import types
import typing
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from dwcp_ml import models
from dwcp_ml.params import Params

HEAD = """\
# Parameters

Generated from the models that read `params.yaml` by `python tools/docs.py`; edit those, not this
page.

An unknown key is refused with the nearest known one, and so is a value outside of its range. A
default holds where `params.yaml` says nothing. Change one for an experiment with
`dvc exp run -S SECTION.KEY=VALUE`.
"""
# What a name means wherever it stands without words of its own.
MEANING = {
    "attention": "let the steps of the window look at each other",
    "base_log_sd": "spread of the groups' medians, in logarithms",
    "base_median_ms": "median latency of a typical group",
    "batch_size": "examples of one gradient step",
    "boosting_iterations": "trees of gradient boosting at most",
    "boosting_leaves": "leaves of one tree",
    "boosting_learning_rate": "shrinkage of one tree",
    "by": "one boundary in time for all series, or one within each series",
    "compression": "payloads and senders, below",
    "confidence": "of the intervals of a gate",
    "consensus": "consensus latency, below",
    "cpu_share": "smallest and largest share of a core that compression gets",
    "daily_amplitude": "of log load over a day",
    "dense_units": "units of the dense layer",
    "drift_log_sd": "slow drift of a group's level, in logarithms",
    "drop_hold_steps": "mean length of a drop",
    "dropout": "share of units left out in training",
    "episodes_per_3600": "episodes of high latency in 3600 steps",
    "epochs": "passes over the training examples at most",
    "evaluate": "bootstrap and limits, below",
    "forest_rows_per_tree": "rows that one tree of the isolation forest sees",
    "forest_trees": "trees of the isolation forest",
    "fresh": "fleets for the second verdict, below",
    "fresh_stride": "the same, of a fresh fleet",
    "head_weights": "weight of throughput, RTT, loss and jitter in the training loss",
    "incidents": "node incidents, below",
    "learning_rate": "of Adam",
    "load_peaks_a_day": "harmless peaks of load of a node",
    "load_sd": "spread of log load",
    "lstm_units": "units of the LSTM layers",
    "max_false_positive_rate": "bound of the gate on false positives",
    "max_mape_pct": "bound of the gate on MAPE of the next throughput",
    "max_mean_regret_pct": "bound of the gate on regret against the oracle",
    "max_row_p99_ms": "bound of the gate on the latency of a single row",
    "max_size_mb": "bound of the gate on the ONNX file",
    "max_spike_alarms": "bound of the gate on alarms at normal spikes",
    "max_training_hours": "bound of the gate on training time",
    "median_steps": "median length of an incident",
    "min_average_precision": "bound of the gate on average precision",
    "min_class_change_accuracy": "bound of the gate where the class of a link changes",
    "min_episode_recall": "bound of the gate on episodes found",
    "min_skill_over_persistence": "bound of the gate on WAPE gained over persistence",
    "min_type_recall": "bound of the gate on each type of incident",
    "min_within_link_r": "bound of the gate on the correlation within a link",
    "models": "models to train; leave one out where a source lacks its columns",
    "network": "links, below",
    "nodes": "nodes of a fleet, each with one link and one consensus group",
    "nodes_per_part": "nodes of one Parquet file",
    "noise_lag1": "smallest and largest memory of the noise from step to step",
    "noise_log_sd": "smallest and largest log noise of a group",
    "patience": "epochs without gain on validation before training stops",
    "prevalence": "share of rows within an incident",
    "rate_noise": "error of one timing of a compressor, fraction",
    "ratio_noise": "error of one measured ratio, fraction",
    "resamples": "bootstrap samples of whole links, nodes or clusters",
    "restarts_a_day": "harmless restarts of a node",
    "seed": "of every random choice; a model's own defaults to the common one",
    "seeds": "one fleet each",
    "severity_factors": "shift of an incident by its severity, times `shift_sd`",
    "simulate": "the simulated fleet, below",
    "slice_max_mape_pct": "the same bound for every slice",
    "slice_min_balanced_accuracy": "least balanced accuracy of every slice",
    "slice_min_clear_agreement": "least agreement with a clear oracle of every slice",
    "slice_min_recall": "least recall of every slice",
    "spikes_per_3600": "harmless spikes in 3600 steps",
    "split": "fractions of time, below",
    "start": "of the simulated clock, with its time zone",
    "step_s": "length of a step",
    "steps": "length of every series",
    "target_accuracy": "bound of the model's accuracy-like gate",
    "test": "newest part, judged once",
    "test_rows": "rows taken from the test part and from a fresh fleet",
    "test_stride": "the same, of the test part",
    "train": "oldest part",
    "units": "units of the dense layers",
    "validation": "part between, for thresholds and early stopping",
    "validation_rows": "rows taken from the validation part",
    "validation_stride": "the same, of the validation part",
    "validation_windows": "windows taken from the validation part",
}
# Longest first; a name that counts something needs no unit.
UNITS = {
    "_per_3600": "per 3600 steps",
    "_a_day": "per day",
    "_hours": "h",
    "_steps": "steps",
    "_stride": "steps",
    "_percentile": "percentile",
    "_pct": "%",
    "_mb": "MB",
    "_ms": "ms",
    "_sd": "sd",
    "_s": "s",
}


def params_page() -> str:
    """The whole page."""
    parts = [HEAD, _section("Top level", "", Params)]
    for key, info in Params.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            parts.append(_section(key, key, info.annotation))
    parts += [_section(name, name, m.params_type) for name, m in models.available().items()]
    return "\n".join(parts)


def _section(title: str, prefix: str, kind: type[BaseModel]) -> str:
    fields = {k: f for k, f in kind.model_fields.items() if not f.exclude}
    lines = [f"## {title}", "", " ".join((kind.__doc__ or "").split()), ""]
    lines += ["| key | type | unit | default | range | meaning |", "|---|---|---|---|---|---|"]
    lines += [_row(key, field) for key, field in fields.items()]
    inner = [
        _section(f"{prefix}.{key}", f"{prefix}.{key}", field.annotation)
        for key, field in fields.items()
        if prefix and isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
    ]
    return "\n".join([*lines, "", *inner])


def _row(key: str, field: FieldInfo) -> str:
    unit = next((unit for end, unit in UNITS.items() if key.endswith(end)), "")
    meaning = field.description or MEANING[key]
    return (
        f"| `{key}` | {_type(field.annotation)} | {unit} | {_default(field)} | {_range(field)} "
        f"| {meaning} |"
    )


def _type(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in inner)
    if origin is tuple and inner[-1] is Ellipsis:
        return f"list of {_type(inner[0])}"
    if origin is tuple:
        return f"{len(inner)} x {_type(inner[0])}"
    if origin is dict:
        return f"mapping to {_type(inner[1])}"
    if origin in (typing.Union, types.UnionType):
        return " or ".join(map(_type, inner))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    names = {bool: "yes or no", int: "whole number", float: "number", str: "text"}
    return names.get(annotation, annotation.__name__)


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is PydanticUndefined:
        return "all known" if field.annotation == tuple[str, ...] else "none"
    if isinstance(value, BaseModel):
        return ""
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    if isinstance(value, tuple):
        return f"`[{', '.join(map(_number, value))}]`"
    if isinstance(value, dict):
        return f"`{{{', '.join(f'{k}: {_number(v)}' for k, v in value.items())}}}`"
    return f"`{_number(value)}`"


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.12g}"
    return str(value.isoformat()) if hasattr(value, "isoformat") else str(value)


def _range(field: FieldInfo) -> str:
    words = {Ge: "at least", Gt: "above", Le: "at most", Lt: "below"}
    bounds = [(type(m), m) for m in field.metadata if type(m) in words]
    return ", ".join(f"{words[k]} {_number(getattr(m, k.__name__.lower()))}" for k, m in bounds)
