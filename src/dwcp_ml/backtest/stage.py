"""The backtest stage: every data set of data/public, one entry each in reports/backtest.json."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from dwcp_ml import backtest
from dwcp_ml.backtest.score import run
from dwcp_ml.errors import ParamsError, UnreadableFileError
from dwcp_ml.files import write_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from dwcp_ml.models.base import TrainingLog
    from dwcp_ml.params import Params

SOURCES, REPORT = "sources.yaml", "backtest.json"


class PublicData(BaseModel):
    """One entry of data/public/sources.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str
    task: str
    title: str
    source: str
    licence: str
    by: Literal["time", "entity"] = "time"


def public_sources(folder: Path) -> tuple[PublicData, ...]:
    """The data sets that a folder's sources.yaml lists.

    Raises:
        UnreadableFileError: there is no such file, or it is not YAML.
        ParamsError: an entry has an unknown or missing key, or names an unknown task.
    """
    import yaml

    path = folder / SOURCES
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise UnreadableFileError(f"{path}: {str(error).splitlines()[0]}") from None
    try:
        found = tuple(PublicData.model_validate(entry) for entry in entries or ())
    except (ValidationError, TypeError) as error:
        raise ParamsError(f"{path}: {' '.join(str(error).split())}") from None
    if not found:
        raise ParamsError(f"{path}: it lists no data set")
    for entry in found:
        backtest.get(entry.task)
    return found


def backtest_all(
    folder: Path,
    out: Path,
    params: Params,
    log: Callable[[str], TrainingLog],
    *,
    task: str | None = None,
) -> dict[str, Any]:
    """Backtest the data sets of a folder and write OUT/backtest.json.

    Args:
        folder: holds sources.yaml and the files it lists.
        out: reports folder.
        params: all parameters.
        log: gives the training log of a data set, by its title.
        task: only data sets of this task.

    Returns:
        What was written: {"backtests": [...]}; a missed bound is recorded, never raised.
    """
    wanted = [s for s in public_sources(folder) if task in (None, s.task)]
    found = [run(s.task, folder / s.file, s.by, params, log(s.title)) |
             s.model_dump(include={"title", "source", "licence"}) for s in wanted]  # fmt: skip
    report = {"backtests": found}
    write_json(out / REPORT, report)
    return report
