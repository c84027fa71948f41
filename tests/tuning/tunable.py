"""The toy model with parameters worth tuning: what an epoch says depends on them."""

from pathlib import Path

import numpy as np
from toy_model import NAME, Toy, ToyParams, write_raw

from dwcp_ml import models
from dwcp_ml.errors import TrainingError
from dwcp_ml.params import SplitParams, parse
from dwcp_ml.telemetry.split import split
from dwcp_ml.tuning.space import Space
from dwcp_ml.tuning.study import Place
from dwcp_ml.tuning.work import Task

VARY = {"gain": {"low": 0.5, "high": 2.0}}


class TunableParams(ToyParams):
    rounds: int = 8
    gain: float = 1.5
    lag: int = 1  # examples left out at the start
    breaks_above: float = 9.0


class Tunable(Toy):
    """Scales its answers by ``gain``, which is best at 1; every epoch it was told is kept."""

    params_type = TunableParams

    def __init__(self, primary="mape_pct"):
        self.primary_metric, self.told = primary, []

    def examples(self, part, params):
        return super().examples(part, params).take(slice(params.lag, None))

    def fit(self, train, validation, params, log):
        if params.gain > params.breaks_above:
            raise TrainingError("gain is too large")
        self.told.append([])
        weights = np.linalg.lstsq(train.features, train.targets["mbps"], rcond=None)[0]
        for i in range(1, params.rounds + 1):
            self.told[-1].append(i)
            log.epoch(i, params.rounds, {"loss": 1 / i, "val_loss": abs(params.gain - 1) + 1 / i})
        return weights.astype(np.float32) * np.float32(params.gain)


def make_splits(root: Path) -> Path:
    """Splits of the toy's telemetry without a test part."""
    write_raw(root / "raw", 42)
    split(root / "raw", SplitParams(), root / "splits", gap_steps=4)
    (root / "splits" / "test.parquet").unlink()
    return root / "splits"


def make_task(root: Path, splits: Path, trials: int, *, model=None, early="val_loss", vary=VARY,
              study="toy", **section) -> Task:  # fmt: skip
    """A task on a fresh model; the model is ``task.model``."""
    models.available()[NAME] = model or Tunable()
    space = parse(Space, {"stop_early_on": early, "vary": vary}, "space")
    place = Place(str(root / "studies.db"), study)
    return Task(NAME, TunableParams(**section), space, splits, place, trials)
