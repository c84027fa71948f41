"""Variants of the models beside the default, on the same splits: docs/variants.{json,md}.

    python benchmarks/variants.py                                  # all of them
    python benchmarks/variants.py node_reliability --only default rolling_48

Each goes through the stages of `dwcp`: train, export with its parity check, evaluate with its own
gates. A variant is nothing but parameters in the model's section of params.yaml. Figures measured
before stay in the JSON, so that variants can be run one at a time.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from dwcp_ml import models
from dwcp_ml.evaluation.evaluate import evaluate
from dwcp_ml.export.session import open_session, row_latency
from dwcp_ml.files import write_json
from dwcp_ml.models.export import ONNX, export, validation_features
from dwcp_ml.models.train import train

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dwcp_ml.params import Params

ROOT = Path(__file__).resolve().parents[1]
DEFAULT = "default"
# Parameters that a variant sets; a model's own section of params.yaml holds all others.
VARIANTS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "bandwidth_predictor": {
        "attention_30": {"window": 30, "attention": True},
        "daily_phase": {"daily_phase": True},
        "ensemble_4": {"ensemble": 4},
    },
    "compression_selector": {
        "ensemble_4": {"ensemble": 4},
        "no_dropout": {"dropout": 0.0},
    },
    "node_reliability": {
        "rolling_12": {"history_steps": 12},
        "rolling_48": {"history_steps": 48},
    },
    "consensus_latency": {
        "own_spread": {"spread_floor": 0.05},
        "context_attention": {"window": 30, "context": True, "attention": True},
    },
}
PAGE = """# Variants

Every row was trained, exported and evaluated on the same splits, by

    python benchmarks/variants.py

A variant is parameters in the model's section of `params.yaml`, given in the last column. Shown are
the figures of the test part with their 95 % intervals; a row's time is the median of one row on one
thread.
"""
TABLE = """
## {title}

| variant | {heads} | gates | training, s | file, KiB | a row, us | parameters |
|---|{lines}---|---:|---:|---:|---|
{rows}
"""


def measured(name: str, variant: str, params: Params, splits: Path) -> dict[str, Any]:
    """Train, export and evaluate one variant; its figures."""
    changes = {} if variant == DEFAULT else dict(VARIANTS[name][variant])
    changed = params.model_copy(
        update={"sections": {**params.sections, name: {**params.sections.get(name, {}), **changes}}}
    )
    with TemporaryDirectory() as folder:
        work = Path(folder)
        history = train(name, splits, changed, work)
        about = export(name, work, splits, changed)
        report = evaluate(name, work, splits, work / "reports", changed)
        file = work / name / ONNX
        rows = validation_features(models.get(name), splits, models.section(changed, name))
        latency = row_latency(open_session(file), rows)
        size = file.stat().st_size
    failed = [f"{g['name']} ({g['slice']})" for g in report["gates"] if not g["passed"]]
    return {
        "parameters": changes,
        "metrics": {
            row["metric"]: [row["value"], row["ci_low"], row["ci_high"]]
            for row in report["metrics"]
            if row["predictor"] == "model" and row["dataset"] == "test"
        },
        "gates": len(report["gates"]),
        "failed": failed,
        "training_time_seconds": history["training_time_seconds"],
        "size_bytes": size,
        "row_p50_us": 1000 * latency.p50_ms,
        "inputs": about["inputs"],
    }


def page(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The Markdown page."""
    text = PAGE
    for name, variants in found.items():
        shown = list(next(iter(variants.values()))["metrics"])
        rows = [_row(variant, figures, shown) for variant, figures in variants.items()]
        text += TABLE.format(
            title=models.get(name).title,
            heads=" | ".join(shown),
            lines="---:|" * len(shown),
            rows="\n".join(rows),
        )
    return text


def _row(variant: str, figures: Mapping[str, Any], shown: list[str]) -> str:
    gates = (
        "failed: " + ", ".join(figures["failed"])
        if figures["failed"]
        else f"all {figures['gates']} passed"
    )
    settings = ", ".join(f"`{k}: {v}`" for k, v in figures["parameters"].items()) or "as they are"
    cells = [_value(figures["metrics"].get(metric)) for metric in shown]
    return (
        f"| {variant} | {' | '.join(cells)} | {gates} | {figures['training_time_seconds']:.0f} | "
        f"{figures['size_bytes'] / 1024:.0f} | {figures['row_p50_us']:.0f} | {settings} |"
    )


def _value(figure: list[float | None] | None) -> str:
    if figure is None or figure[0] is None:
        return "-"
    if figure[1] is None:
        return f"{figure[0]:.4g}"
    return f"{figure[0]:.4g} ({figure[1]:.4g} to {figure[2]:.4g})"


def main() -> None:
    """Run the variants that were asked for and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=list(VARIANTS), help="all by default")
    parser.add_argument("--only", nargs="+", help="names of variants, 'default' among them")
    parser.add_argument("--splits", type=Path, default=ROOT / "data" / "splits")
    parser.add_argument("--params", type=Path, default=ROOT / "params.yaml")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="folder of variants.json")
    asked = parser.parse_args()
    params = models.read_params(asked.params)
    target = asked.out / "variants.json"
    found = json.loads(target.read_text(encoding="utf-8")) if target.exists() else {}
    for name in asked.models:
        for variant in asked.only or (DEFAULT, *VARIANTS[name]):
            figures = measured(name, variant, params, asked.splits)
            found.setdefault(name, {})[variant] = figures
            write_json(target, found)
            print(name, variant, {k: v[0] for k, v in figures["metrics"].items()})
    (asked.out / "variants.md").write_text(page(found), encoding="utf-8")


if __name__ == "__main__":
    main()
