"""Several stages in one go, on plain paths: what `dwcp train all` and the wide commands do."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwcp_ml import models
from dwcp_ml.errors import DwcpError, ParamsError, UnreadableFileError, nearest
from dwcp_ml.evaluation.single_file import file_as_raw
from dwcp_ml.telemetry.dataset import MANIFEST
from dwcp_ml.telemetry.split import split

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dwcp_ml.models.base import TrainingLog
    from dwcp_ml.params import Params
    from dwcp_ml.registry.register import Registered

OVERRIDES = {"window_size": "window"}  # an option's name where the parameter is called otherwise


@dataclass(frozen=True)
class Plan:
    """What to train, from where, to where."""

    params: Params
    data: Path
    out: Path
    incidents: Path | None = None
    jobs: int = 1
    saved_model: bool = False
    tensorboard: Path | None = None
    options: tuple[str, ...] = ()  # the command line's own, for processes that train one model

    @property
    def splits(self) -> Path:
        """Folder of the split: the data itself, or what is cut from it."""
        return self.data if (self.data / "split.json").exists() else self.out / "splits"


def read_plan(params_path: Path, data: Path, out: Path, given: Mapping[str, Any]) -> Plan:
    """A plan from the options of `dwcp train`.

    Raises:
        ParamsError: an unknown model, or an option that none of the chosen models has.
    """
    params = models.read_params(params_path)
    if given["models"]:
        names = tuple(n.strip() for n in given["models"].split(","))
        for name in names:
            models.get(name)
        params = params.model_copy(update={"models": names})
    changed = {
        key: given[key]
        for key in ("seed", "window_size", "batch_size", "epochs", "target_accuracy")
        if given[key] is not None
    }
    return Plan(
        params=override(params, changed),
        data=data,
        out=out,
        incidents=given["incidents_path"],
        jobs=given["jobs"] if given["parallel"] else 1,
        saved_model=given["export_format"] == "savedmodel",
        tensorboard=given["tensorboard"],
        options=_options(params_path, changed, given["tensorboard"]),
    )


def override(params: Params, changed: Mapping[str, Any]) -> Params:
    """Set parameters in the section of every model that has them.

    Raises:
        ParamsError: no chosen model has such a parameter, or the value is impossible.
    """
    sections = {name: dict(params.sections.get(name, {})) for name in models.available()}
    for option, value in changed.items():
        key = OVERRIDES.get(option, option)
        having = [n for n in params.models if key in models.get(n).params_type.model_fields]
        if not having:
            known = {f for n in params.models for f in models.get(n).params_type.model_fields}
            raise ParamsError(f"no chosen model has a parameter '{key}'{nearest(key, known)}")
        for name in having:
            sections[name][key] = value
    changed_params = params.model_copy(update={"sections": sections})
    for name in params.models:
        models.section(changed_params, name)
    return changed_params


def ensure_splits(plan: Plan) -> Path:
    """The split to train on; a raw folder or a single file is cut into one under ``plan.out``."""
    if plan.splits == plan.data:
        return plan.data
    raw = plan.data
    if plan.data.is_file():
        raw = plan.out / "raw"
        file_as_raw(plan.data, raw, plan.incidents)
    elif not (plan.data / MANIFEST).exists():
        raise UnreadableFileError(
            f"{plan.data} is neither a folder of splits, nor raw telemetry, nor a file; run "
            "'dwcp split', 'dwcp simulate' or 'dwcp ingest', or name a CSV or Parquet file"
        )
    split(raw, plan.params.split, plan.splits, gap_steps=models.gap_steps(plan.params))
    return plan.splits


def train_one(plan: Plan, name: str, log: TrainingLog) -> None:
    """The training stage of one model."""
    from dwcp_ml.models.train import train

    models.get(name)
    train(
        name,
        ensure_splits(plan),
        plan.params,
        plan.out,
        log=log,
        tensorboard=plan.tensorboard,
        started=now(),
    )


def train_all(plan: Plan, tick: Callable[[int, int], None]) -> dict[str, Any]:
    """Train, export and evaluate every model, ``plan.jobs`` processes at a time; master report.

    Raises:
        DwcpError: of the first model that failed, after the others have ended.
    """
    from dwcp_ml.evaluation.evaluate import evaluate
    from dwcp_ml.evaluation.report import report
    from dwcp_ml.models.export import export

    splits, names = ensure_splits(plan), plan.params.models
    total = 3 * len(names) + 1
    tick(0, total)
    _train_in_processes(plan, splits, lambda done: tick(done, total))
    for i, name in enumerate(names):
        export(name, plan.out, splits, plan.params, saved_model=plan.saved_model)
        tick(len(names) + 2 * i + 1, total)
        evaluate(name, plan.out, splits, plan.out, plan.params)
        tick(len(names) + 2 * i + 2, total)
    master = report(plan.out, names)
    tick(total, total)
    return master


def _train_in_processes(plan: Plan, splits: Path, tick: Callable[[int], None]) -> None:
    waiting = list(plan.params.models)
    running: dict[str, subprocess.Popen[str]] = {}
    failed: list[tuple[str, int, str]] = []
    done = 0
    while waiting or running:
        while waiting and len(running) < plan.jobs:
            name = waiting.pop(0)
            running[name] = _start(plan, name, splits)
        name, process = next(iter(running.items()))
        _, text = process.communicate()
        del running[name]
        done += 1
        tick(done)
        if process.returncode:
            failed.append((name, process.returncode, text.strip().splitlines()[-1]))
    if failed:
        raise ProcessFailedError(failed)


class ProcessFailedError(DwcpError):
    """One or more training processes failed; carries the first one's exit code."""

    def __init__(self, failed: Sequence[tuple[str, int, str]]) -> None:
        super().__init__("; ".join(f"{n}: {text.removeprefix('error: ')}" for n, _, text in failed))
        self.exit_code = failed[0][1]


def _start(plan: Plan, name: str, splits: Path) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "dwcp_ml.cli",
        "train",
        name,
        "--data-path",
        str(splits),
        "--output-dir",
        str(plan.out),
        *plan.options,
    ]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def _options(
    params_path: Path, changed: Mapping[str, Any], tensorboard: Path | None
) -> tuple[str, ...]:
    options = ["--params", str(params_path)]
    for key, value in changed.items():
        options += [f"--{key.replace('_', '-')}", str(value)]
    if tensorboard is not None:
        options += ["--tensorboard", str(tensorboard)]
    return tuple(options)


def register(
    reports: Path, artifacts: Path, registry: Path, names: Sequence[str]
) -> list[Registered]:
    """The stage of that name, told what only this machine knows: time, code and data."""
    from dwcp_ml.registry import register as stage
    from dwcp_ml.tracking.revision import data_revision

    return stage(
        reports,
        artifacts,
        registry,
        names,
        created=now(),
        git_commit=git_commit(),
        data_revision=data_revision(artifacts, names),
    )


def now() -> str:
    """This moment, ISO 8601 in UTC; only commands ask, stages are told."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def git_commit() -> str | None:
    """Commit of the code, None where nobody knows; "-dirty" when the code differs from it.

    An image carries the commit it was built from inside the package; elsewhere the checkout is
    asked. Parameters and dvc.lock do not count: a run writes the lock, and the versions of
    parameters and data are known by their own digests.
    """
    built_from = Path(__file__).with_name("REVISION")
    if built_from.exists():
        return built_from.read_text(encoding="utf-8") or None
    head = _git("rev-parse", "HEAD")
    changed = _git("status", "--porcelain", "--", "src", "schemas", "uv.lock") if head else ""
    return f"{head}-dirty" if changed else head or None


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
