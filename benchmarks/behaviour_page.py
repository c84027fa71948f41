"""The page of the behaviour benchmark as Markdown."""

from __future__ import annotations

from typing import Any

import numpy as np

INTRODUCTION = """# Behaviour of the models

What the registered ONNX graphs do beyond their figures: what must not change an answer does not,
what should move it moves it the right way, and plain cases made by hand come out right. Every
row counts what went wrong. A behaviour that does not hold is shown as it is.

Made by `python benchmarks/behaviour.py --seeds 42 43 44 45 46` after `make run`; the figures lie
in [behaviour.json](behaviour.json), the cases in `benchmarks/behaviour_cases.py`.
"""
SAID = {True: "holds", False: "**does not hold**", None: ""}


def page(report: dict[str, Any]) -> str:
    """All sections."""
    parts = [INTRODUCTION, _checks(report)]
    if "calibration" in report:
        parts.append(_calibration(report["calibration"]))
    if report["stability"]:
        parts.append(_stability(report["stability"]))
    return "\n".join(parts)


def _checks(report: dict[str, Any]) -> str:
    lines = []
    for model, about in report["models"].items():
        mine = [c for c in report["checks"] if c["model"] == model]
        lines += [
            f"## {model} {about['version']}",
            "",
            "| kind | what goes wrong | value | bound | | cases |",
            "|---|---|---|---|---|---|",
        ]
        for c in mine:
            bound = "" if c["bound"] is None else f"{c['bound']:g}"
            extra = "; ".join([*c["wrong"], *([c["note"]] if c["note"] else [])])
            what = f"{c['what']} ({extra})" if extra else c["what"]
            lines.append(
                f"| {c['kind']} | {what} | {c['value']:.3g} | {bound} | {SAID[c['passed']]} "
                f"| {c['cases']:,} |"
            )
        lines.append("")
    return "\n".join(lines)


def _calibration(found: dict[str, Any]) -> str:
    served, corrected = found["as_served"], found["prevalence_corrected"]
    low, high = served["ece_interval"]
    lines = [
        "## Calibration of anomaly_score",
        "",
        f"{found['rows']:,} test rows, precursors left out; prevalence {found['prevalence']:.4f}, "
        f"{found['trained_prevalence']:.4f} in training.",
        "",
        "| | as served | odds corrected for the prevalence | base rate |",
        "|---|---|---|---|",
        f"| Brier score | {served['brier']:.5f} | {corrected['brier']:.5f} "
        f"| {found['brier_base_rate']:.5f} |",
        f"| Brier skill over the base rate | {served['brier_skill']:.3f} "
        f"| {corrected['brier_skill']:.3f} | 0 |",
        f"| expected calibration error | {served['expected_calibration_error']:.4f} "
        f"({low:.4f} to {high:.4f}) | {corrected['expected_calibration_error']:.4f} | |",
        "",
        "| score | rows | mean score | share of incidents |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {b['from']:.1f} to {b['to']:.1f} | {b['rows']:,} | {b['mean_score']:.3f} "
        f"| {b['share_positive']:.3f} |"
        for b in served["reliability"]
    ]
    return "\n".join([*lines, ""])


def _stability(found: dict[str, Any]) -> str:
    count = len(next(iter(found.values()))["seeds"])
    lines = [
        f"## Stability over {count} training seeds",
        "",
        "The same data and parameters, another seed. A row is not unanimous if any two of the "
        "models decide it differently.",
        "",
        "| model | decision | test rows | not unanimous | two seeds differ |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {model} | {s['decision']} | {s['rows']:,} | {s['rows_not_unanimous']:.2%} "
        f"| {s['mean_disagreement_of_two']:.2%} |"
        for model, s in found.items()
    ]
    lines += ["", "| model | metric | mean | sd | least | most |", "|---|---|---|---|---|---|"]
    for model, s in found.items():
        for metric, m in s["metrics"].items():
            low, high = np.min(m["values"]), np.max(m["values"])
            lines.append(
                f"| {model} | {metric} | {m['mean']:.4g} | {m['sd']:.2g} | {low:.4g} | {high:.4g} |"
            )
    return "\n".join([*lines, ""])
