"""The evaluation stage: one model's ONNX file against its targets, rivals and ceiling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dwcp_ml.evaluation.dataset import Dataset, pooled
from dwcp_ml.evaluation.figures import write_figures
from dwcp_ml.evaluation.flat import flat_metrics
from dwcp_ml.evaluation.limits import row_p99_ms
from dwcp_ml.evaluation.record import record
from dwcp_ml.evaluation.run import start
from dwcp_ml.evaluation.sources import Sources, stage_sources
from dwcp_ml.files import as_json, whole_file, write_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dwcp_ml.params import Params


def evaluate(
    name: str,
    artifacts: Path,
    splits: Path,
    out: Path,
    params: Params,
    *,
    fresh: Path | None = None,
    champion: Path | None = None,
    tick: Callable[[int, int], None] = lambda _done, _total: None,
) -> dict[str, Any]:
    """Score a model's ONNX file and write NAME_report.json with its figures.

    Args:
        name: the model.
        artifacts: folder that holds NAME/model.onnx, metadata.json and history.json.
        splits: folder of the split; baselines are tuned on its training and validation parts.
        out: reports folder; receives NAME_report.json, metrics/NAME.json (for DVC) and
            figures/NAME/*.csv.
        params: all parameters.
        fresh: folder of seed-XXXX/ telemetry for the second verdict, or None.
        champion: folder of the registered version to compare with, such as models/NAME/latest;
            None or a folder that does not exist means that there is none.
        tick: progress as (done, total).

    Returns:
        The report. A failed gate is recorded in it, never raised.

    Raises:
        UnreadableFileError: the model was not exported, or a part cannot be read.
    """
    sources = stage_sources(splits, fresh)
    return assess(name, artifacts / name, sources, out, params, champion=champion, tick=tick)


def assess(
    name: str,
    folder: Path,
    sources: Sources,
    out: Path,
    params: Params,
    *,
    champion: Path | None = None,
    tick: Callable[[int, int], None] = lambda _done, _total: None,
) -> dict[str, Any]:
    """Like ``evaluate``, on one model's folder and parts that are already found.

    The report is held from the beginning and appears last, so that two runs at once cannot mix
    their files.
    """
    with whole_file(out / f"{name}_report.json") as draft:
        report = _assessed(name, folder, sources, out, params, champion, tick)
        draft.write_text(as_json(report), encoding="utf-8")
    return report


def _assessed(
    name: str,
    folder: Path,
    sources: Sources,
    out: Path,
    params: Params,
    champion: Path | None,
    tick: Callable[[int, int], None],
) -> dict[str, Any]:
    steps = len(sources.fresh) + 4
    run = start(name, folder, sources, params, champion)
    tick(1, steps)
    test = run.dataset("test", sources.test)
    seeds: list[Dataset] = []
    for seed, part in sources.fresh.items():
        tick(2 + len(seeds), steps)
        seeds.append(run.dataset(seed, part))
    judged = [test]
    if seeds:
        fresh, seeds = pooled("fresh", seeds)
        judged.append(fresh)
    p99_ms = row_p99_ms(run.session, test.examples.features)
    tick(steps - 2, steps)
    gates = run.gates(judged, p99_ms)
    tick(steps - 1, steps)
    report = record(run, judged, seeds, gates, p99_ms)
    report["figures"] = write_figures(run.figures(test), out / "figures" / name)
    write_json(out / "metrics" / f"{name}.json", flat_metrics(report))
    tick(steps, steps)
    return report
