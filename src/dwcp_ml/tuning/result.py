"""What a study found, in words."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dwcp_ml.errors import StudyError
from dwcp_ml.tuning.objective import primary
from dwcp_ml.tuning.space import as_text
from dwcp_ml.tuning.study import ERROR, VALUES, finished

if TYPE_CHECKING:
    from collections.abc import Mapping

    from optuna import Study
    from optuna.trial import FrozenTrial

    from dwcp_ml.tuning.work import Task


@dataclass(frozen=True)
class Result:
    """The best trial beside the one with the values of params.yaml, in lines to print."""

    lines: tuple[str, ...]
    values: Mapping[str, Any]  # of the best trial; empty if params.yaml has the best ones


def result(study: Study, task: Task) -> Result:
    """The result of a study.

    Raises:
        StudyError: no trial is complete.
    """
    from optuna.trial import TrialState as State

    trials = finished(study)
    states = Counter(t.state for t in trials)
    failed = [t for t in trials if ERROR in t.user_attrs]
    complete = [t for t in trials if t.state == State.COMPLETE]
    if not complete:
        why = f"; trial {failed[0].number}: {failed[0].user_attrs[ERROR]}" if failed else ""
        raise StudyError(f"none of {len(trials)} trials of '{task.place.name}' is complete{why}")
    metric = primary(task.model)
    sign = 1 if metric.better == "lower" else -1
    present = [t for t in complete if t.user_attrs.get(VALUES) == task.present]
    # Of equals the present values win, then the oldest.
    best = min(complete, key=lambda t: (sign * _value(t), t not in present, t.number))
    unit = "" if metric.unit == "1" else f" {metric.unit}"
    lines = [
        f"{task.name}: {len(trials)} trials, {len(complete)} complete, "
        f"{states[State.PRUNED]} ended early, {len(failed)} failed",
        f"{metric.name} on validation, {metric.better} is better:",
        f"  {_value(present[0]):.5g}{unit} with the values of params.yaml"
        if present
        else "  unknown with the values of params.yaml: that trial did not end",
    ]
    if best in present:
        return Result((*lines, "no trial is better"), {})
    lines.append(f"  {_value(best):.5g}{unit} in trial {best.number}, the best:")
    values = best.user_attrs[VALUES]
    lines += [f"    {k}: {as_text(v)}" for k, v in values.items() if task.present[k] != v]
    lines.append(
        "chosen on validation, so the figure flatters; the test part was not read, and the gates "
        "of 'dwcp evaluate' decide"
    )
    return Result(tuple(lines), values)


def _value(trial: FrozenTrial) -> float:
    assert trial.value is not None  # noqa: S101 (complete)
    return trial.value
