"""Speed of the stages and models beside their bounds and peers, written to docs/speed.{json,md}.

    python benchmarks/bench.py --only onnx help

Every ratio is the median over rounds in which both sides took turns in one process. Parts measured
before stay in the JSON, so that they can be run one at a time. Nothing here ends with an error
because a machine was slow: the table says what was asked, what was measured, and whether it holds.
Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from bench_common import Figure
from bench_data import rows_figures, simulate_figures
from bench_models import onnx_figures, score_figures
from bench_train import train_figures

ROOT = Path(__file__).resolve().parents[1]
HELP_S = 0.3
PARTS = ("rows", "help", "simulate", "onnx", "score", "train")  # rows first, while little is held
PAGE = """# Speed

What was asked, what was measured, on {cores} cores of {machine} with Python {python}. One part at a
time: `python benchmarks/bench.py --only PART`; all of them: `make bench`. Ratios are medians of
rounds in which both sides took turns in one run.

{table}
"""


def main() -> None:
    """Measure the parts asked for and write both files."""
    given = _options()
    known: dict[str, Any] = {"parts": {}}
    data = given.out / "speed.json"
    if data.exists():
        known = json.loads(data.read_text())
    for part in PARTS:
        if part not in given.only:
            continue
        began = time.monotonic()
        figures = MEASURES[part](given)
        command = "python benchmarks/bench.py " + " ".join(_command(part))
        measured = {f.what: asdict(f) | {"met": f.met, "command": command} for f in figures}
        before = {f["what"]: f for f in known["parts"].get(part, {}).get("figures", [])}
        known["parts"][part] = {
            "seconds": round(time.monotonic() - began),
            "load": round(os.getloadavg()[0], 1),
            "figures": list((before | measured).values()),
        }
        for figure in figures:
            print(f"{figure.what:44} {figure.value:12,.2f} {figure.unit}", flush=True)
        facts = (os.cpu_count(), platform.machine(), platform.python_version())
        known |= dict(zip(("cores", "machine", "python"), facts, strict=True))
        data.write_text(json.dumps(known, indent=2) + "\n")
        (given.out / "speed.md").write_text(page(known))


def help_figures(given: argparse.Namespace) -> list[Figure]:
    """`dwcp --help` beside an interpreter that does nothing."""
    ours = [str(Path(sys.executable).with_name("dwcp")), "--help"]
    peer = [sys.executable, "-c", "pass"]
    times: dict[str, list[float]] = {"ours": [], "peer": []}
    for _ in range(4 * given.rounds + 1):
        for side, command in (("ours", ours), ("peer", peer)):
            began = time.perf_counter()
            subprocess.run(command, capture_output=True, check=True)
            times[side].append(time.perf_counter() - began)
    ours_s, peer_s = (statistics.median(taken[1:]) for taken in times.values())
    note = f"`python -c pass` takes {peer_s:.3f} s"
    return [Figure("dwcp --help", ours_s, "s", HELP_S, note=note)]


MEASURES = {
    "rows": rows_figures,
    "help": help_figures,
    "simulate": simulate_figures,
    "onnx": onnx_figures,
    "score": score_figures,
    "train": train_figures,
}


def page(known: dict[str, Any]) -> str:
    """The Markdown page."""
    facts = {key: known[key] for key in ("cores", "machine", "python")}
    return PAGE.format(table=table(known["parts"]), **facts)


def table(parts: dict[str, Any]) -> str:
    """One row a figure: asked, measured, whether it holds, how, by which command."""
    lines = ["| figure | asked | measured | met | how | command |", "|---|---:|---:|---|---|---|"]
    for part in (p for p in PARTS if p in parts):
        for f in parts[part]["figures"]:
            sign = "≥" if f["least"] else "≤"
            asked = "" if f["bound"] is None else f"{sign} {_number(f['bound'])} {f['unit']}"
            met = {True: "yes", False: "**no**", None: ""}[f["met"]]
            measured = f"{_number(f['value'])} {f['unit']}"
            cells = (f["what"], asked, measured, met, f["note"], f"`{f['command']}`")
            lines.append("| " + " | ".join(cell.strip() for cell in cells) + " |")
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _command(part: str) -> list[str]:
    """What was given, but for the parts and for paths."""
    left_out = {"--only", "--work", "--out", "--models", "--splits", "--params"}
    kept, keep = ["--only", part], True
    for word in sys.argv[1:]:
        keep = word not in left_out if word.startswith("--") else keep
        if keep:
            kept.append(word)
    return kept


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 2_000_000, 5_000_000])
    parser.add_argument("--simulate-rows", type=int, default=500_000)
    parser.add_argument("--calls", type=int, default=2000, help="of one row, a round")
    parser.add_argument("--score-s", type=float, default=0.5, help="seconds to score, a turn")
    parser.add_argument("--train", nargs="+", default=["bandwidth_predictor",
                        "compression_selector", "consensus_latency"], help="models")  # fmt: skip
    parser.add_argument("--train-rows", type=int, default=40_000)
    parser.add_argument("--epochs", type=int, help="of training; by default the model's own")
    parser.add_argument("--models", type=Path, default=Path("models"), help="registry")
    parser.add_argument("--splits", type=Path, default=Path("data/splits"))
    parser.add_argument("--params", type=Path, default=ROOT / "params.yaml")
    parser.add_argument("--work", type=Path, default=Path(gettempdir()), help="for the data")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="folder of the page")
    return parser.parse_args()


if __name__ == "__main__":
    main()
