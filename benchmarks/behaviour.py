"""Behaviour of the registered models: writes OUT/behaviour.md and OUT/behaviour.json.

    python benchmarks/behaviour.py                       after make run
    python benchmarks/behaviour.py --seeds 42 43 44 45 46 --work build/behaviour

The first checks the ONNX graphs of the registry and takes a minute. With --seeds every model is
trained once a seed, which takes as long as so many trainings; --work keeps each one, so that a
run that was cut short goes on where it ended.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import behaviour_checks as checks
import numpy as np
from behaviour_calibration import calibration
from behaviour_page import page
from behaviour_seeds import DECISIONS, stability, train_seeds

from dwcp_ml import models
from dwcp_ml.export.session import open_session, score
from dwcp_ml.files import sha256, whole_file, write_json
from dwcp_ml.models.node_features import LABEL, counted
from dwcp_ml.telemetry.split import parts

if TYPE_CHECKING:
    from dwcp_ml.models.base import Examples
    from dwcp_ml.params import Params

ROWS = 6000  # of the test part that the checks change
BATCHED = 2000


def main() -> None:
    """Read the options and write both files."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--models", type=Path, default=Path("models"))
    options.add_argument("--splits", type=Path, default=Path("data/splits"))
    options.add_argument("--params", type=Path, default=Path("params.yaml"))
    options.add_argument("--out", type=Path, default=Path("docs"))
    options.add_argument("--seeds", type=int, nargs="*", default=[])
    options.add_argument("--work", type=Path, default=Path("build/behaviour"))
    given = options.parse_args()
    params = models.read_params(given.params)
    report: dict[str, Any] = {"models": {}, "checks": [], "stability": {}}
    for model in DECISIONS:
        file = given.models / model / "latest" / "model.onnx"
        report["models"][model] = {"version": file.parent.resolve().name, "sha256": sha256(file)}
        _one(model, file, given.splits, params, report)
    given.work.mkdir(parents=True, exist_ok=True)
    for model in DECISIONS if given.seeds else ():
        train_seeds(model, given.splits, params, given.seeds, given.work)
        report["stability"][model] = stability(model, given.seeds, given.work)
    write_json(given.out / "behaviour.json", report)
    with whole_file(given.out / "behaviour.md") as draft:
        draft.write_text(page(report), encoding="utf-8")


def _one(model: str, file: Path, splits: Path, params: Params, report: dict[str, Any]) -> None:
    """Add the checks of one model, and the calibration where it is the node detector's."""
    section = models.section(params, model)
    test = models.get(model).examples(parts(splits)["test"], section)
    session = open_session(file.read_bytes())

    def answer(features: checks.Features) -> Any:
        return score(session, features)

    rows = spread(test, ROWS)
    found = checks.same_rows(model, answer, rows.features[:: max(len(rows) // BATCHED, 1)])
    if model == "node_reliability":
        normal = rows.features[rows.targets[LABEL] == 0]
        found += checks.node(answer, rows.features, normal)
        report["calibration"] = _calibration(answer, test, splits, section)
    else:
        found += getattr(checks, model.split("_")[0])(answer, rows.features)
    report["checks"] += [check.as_dict() for check in found]


def spread(examples: Examples, most: int) -> Examples:
    """At most so many examples, evenly over all of them."""
    return examples.take(np.linspace(0, len(examples) - 1, min(len(examples), most)).astype(int))


def _calibration(answer: Any, test: Examples, splits: Path, section: Any) -> dict[str, Any]:
    train = models.get("node_reliability").examples(parts(splits)["train"], section)
    known = train.targets[LABEL] >= 0
    judged = test.take(counted(test))
    return calibration(
        np.asarray(answer(judged.features)["anomaly_score"], float),
        judged.targets[LABEL],
        float(train.targets[LABEL][known].mean()),
        judged.group,
    )


if __name__ == "__main__":
    main()
