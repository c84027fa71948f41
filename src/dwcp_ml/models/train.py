"""The training stage, the same for every model."""

from __future__ import annotations

import json
import random
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from dwcp_ml import models
from dwcp_ml.errors import MissingColumnError, TrainingError, UnreadableFileError
from dwcp_ml.files import whole_folder, write_json
from dwcp_ml.models.log import History, TensorBoardLog

if TYPE_CHECKING:
    from pathlib import Path

    from dwcp_ml.models.base import Examples, Model, ModelParams, TrainingLog
    from dwcp_ml.params import Params
    from dwcp_ml.telemetry.dataset import Part

NATIVE, HISTORY = "native", "history.json"
PROBE = 256  # validation examples that the trained model must answer with finite values


def train(
    name: str,
    splits: Path,
    params: Params,
    out: Path,
    *,
    log: TrainingLog | None = None,
    tensorboard: Path | None = None,
    started: str | None = None,
) -> dict[str, Any]:
    """Train one model and write ``out/NAME``, replacing what was there.

    Args:
        name: of the model.
        splits: folder of the split.
        params: all parameters; the model's own section counts.
        out: receives NAME/native/ (the model, no pickle) and NAME/history.json.
        log: is told every epoch.
        tensorboard: folder that receives TensorBoard's event files in NAME/.
        started: date for the record, since a stage does not read the clock.

    Returns:
        The content of history.json. Only training_time_seconds differs between two runs.

    Raises:
        MissingColumnError: the data lacks a column or label that the model cannot do without.
        TrainingError: no examples, or training ended not finite or not converging.
    """
    listeners = [log] if log is not None else []
    if tensorboard is not None:
        listeners.append(TensorBoardLog(tensorboard / name))
    section = models.section(params, name)
    return train_model(models.get(name), splits, section, out, History(*listeners), started)


def train_model(
    model: Model,
    splits: Path,
    section: ModelParams,
    out: Path,
    history: History,
    started: str | None = None,
) -> dict[str, Any]:
    """``train`` for a model object and its typed parameters."""
    from dwcp_ml.telemetry.split import parts

    check_columns(model, read_split(splits))
    found = parts(splits)
    training = _examples(model, found["train"], section)
    validation = _examples(model, found["validation"], section)
    _seed(section.seed)
    begin = time.perf_counter()
    fitted = model.fit(training, validation, section, history)
    seconds = time.perf_counter() - begin
    history.check_converged()
    answers = model.predict(fitted, validation.features[:PROBE])
    for name, values in answers.items():
        if not np.isfinite(values).all():
            raise TrainingError(f"the trained {model.name} answers '{name}' with NaN or infinity")
    record = {
        "name": model.name,
        "training_date": started,
        "training_time_seconds": round(seconds, 3),
        "seed": section.seed,
        "rows": {"train": len(training), "validation": len(validation)},
        "parameters": section.model_dump(mode="json"),
        "epochs": history.epochs,
    }
    with whole_folder(out / model.name) as draft:
        (draft / NATIVE).mkdir()
        model.save(fitted, draft / NATIVE)
        write_json(draft / HISTORY, record)
    return record


def read_split(splits: Path) -> dict[str, Any]:
    """The content of split.json; UnreadableFileError says how to make it."""
    path = splits / "split.json"
    try:
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UnreadableFileError(
            f"{splits} holds no split.json; run 'dwcp split' first"
        ) from error
    except (OSError, ValueError) as error:
        raise UnreadableFileError(f"{path} cannot be read: {error}") from error
    return value


def check_columns(model: Model, split: dict[str, Any]) -> None:
    """MissingColumnError if the source lacks a key column or the label of a model."""
    absent = {*split["absent_columns"], *split["missing_labels"]}
    wanted = [*model.key_columns, *([model.label_column] if model.label_column else [])]
    missing = [column for column in wanted if column in absent]
    if missing:
        raise MissingColumnError(
            f"{model.name} cannot be trained without {', '.join(missing)}, which the data does "
            f"not have; ingest it, or leave {model.name} out of 'models:' in params.yaml"
        )


def _examples(model: Model, part: Part, section: ModelParams) -> Examples:
    examples = model.examples(part, section)
    if not len(examples):
        window, horizon = model.span(section)
        raise TrainingError(
            f"{model.name} finds no example in the {part.role} part; it needs series of at least "
            f"{window + horizon} steps without a gap"
        )
    return examples


def _seed(seed: int) -> None:
    """Seed what a library may draw from unseen; Keras is seeded by the model that starts it."""
    random.seed(seed)
    np.random.seed(seed)
