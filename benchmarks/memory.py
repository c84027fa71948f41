"""Peak memory of every step on fleets of growing size, written to docs/memory.{json,md}.

    python benchmarks/memory.py --fleets 58x17280 289x17280 1157x17280 4x1250000

A fleet is NODESxSTEPS. Every step is a process of its own (`dwcp ...`), and its peak is what the
kernel saw as its largest resident set. Training is cut short: an epoch needs as much memory as
ten. Fleets measured before stay in the JSON, so that they can be run one at a time. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
DEFAULT = ("58x17280", "289x17280", "1157x17280", "4x1250000")
BYTES_A_ROW = 550  # on disk, while ingest sorts
SHORT = {"epochs": 2, "boosting_iterations": 20}  # set where a model has them
PAGE = """# Peak memory

Largest resident set of every step in MiB, the interpreter and its libraries included; every step is
a process of its own. A fleet is nodes x steps, one series a node. Training ran with {short};
everything else as in `params.yaml`. Measured on {cores} cores of {machine} by

    {command}

{table}

Why it stays flat: simulate holds one node, ingest one bucket, validate and split one batch of
rows. Trainers, export and evaluate read a part of the split in blocks of about 131,072 rows and
keep only the examples of their sample, whose size is a parameter (`train_windows`, `train_rows`,
`test_windows` and so on). The candidates of all blocks are counted first and then taken evenly, so
that the sample does not depend on blocks, row groups or files. Peaks grow until the samples are
full, and no more.

What they do grow with:
- the longest series, since a block holds whole series: see for yourself with `--fleets 4x1250000`;
- the sizes of the samples and, in evaluate, of the fresh fleets (`fresh` in `params.yaml`), which
  are scored beside the test part.
"""


def main() -> int:
    """Measure the fleets asked for and write both files; exit code 1 if a step failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fleets", nargs="+", default=DEFAULT, help="NODESxSTEPS")
    parser.add_argument("--work", type=Path, default=Path(gettempdir()), help="folder for the data")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="folder of the page")
    arguments = parser.parse_args()
    data = arguments.out / "memory.json"
    known = json.loads(data.read_text()) if data.exists() else {"fleets": {}}
    for fleet in arguments.fleets:
        needed, free = BYTES_A_ROW * _rows(fleet), shutil.disk_usage(arguments.work).free
        if needed > free:
            parser.error(f"{fleet} takes {needed / 1e9:.0f} GB of disk, {free / 1e9:.0f} are free")
        with TemporaryDirectory(dir=arguments.work, prefix="memory-") as folder:
            known["fleets"][fleet] = measured(fleet, Path(folder))
        known |= {"cores": os.cpu_count(), "machine": platform.machine(), "short": SHORT}
        known["fleets"] = dict(sorted(known["fleets"].items(), key=lambda f: _order(f[0])))
        data.write_text(json.dumps(known, indent=2) + "\n")
        (arguments.out / "memory.md").write_text(page(known))
    return int(any(s["exit_code"] for steps in known["fleets"].values() for s in steps))


def measured(fleet: str, work: Path) -> list[dict[str, Any]]:
    """Run every step on a fleet in ``work``; what each one took."""
    nodes, steps = (int(n) for n in fleet.split("x"))
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["simulate"] |= {"nodes": nodes, "steps": steps}
    for name in params["models"]:
        params[name] |= {key: value for key, value in SHORT.items() if key in params[name]}
    (work / "params.yaml").write_text(yaml.safe_dump(params))
    (work / "columns.yaml").write_text(yaml.safe_dump({"step_s": params["simulate"]["step_s"]}))
    found = []
    for step, *arguments in _steps(params["models"]):
        if step == "ingest":
            arguments += sorted(str(p.relative_to(work)) for p in work.glob("data/raw/telemetry/*"))
        found.append({"step": step, **_peak(arguments, work)})
        print(fleet, found[-1], file=sys.stderr, flush=True)
        if step == "ingest":
            shutil.rmtree(work / "ingested", ignore_errors=True)
    return found


def _steps(models: list[str]) -> list[list[str]]:
    """Name of each step and its command line, without ``dwcp``."""
    return [
        ["simulate", "simulate"],
        ["ingest", "ingest", "--map", "columns.yaml", "--out", "ingested"],
        ["fresh", "fresh"],
        ["validate", "validate"],
        ["split", "split"],
        *(["train " + m, "train", m] for m in models),
        *(["export " + m, "export", m] for m in models),
        *(["evaluate " + m, "evaluate", m, "--fresh", "data/fresh"] for m in models),
    ]


def _peak(arguments: list[str], work: Path) -> dict[str, Any]:
    """Run `dwcp` in ``work``: exit code, largest resident set and time.

    The kernel counts what the parent held when it started the child too, so this script imports
    nothing large.
    """
    began = time.monotonic()
    with (work / "log.txt").open("w+b") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "dwcp_ml.cli", *arguments],
            cwd=work,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            log.seek(0)
            sys.stderr.buffer.write(log.read()[-2000:])
    return {
        "peak_mib": round(usage.ru_maxrss / 1024),
        "seconds": round(time.monotonic() - began, 1),
        "exit_code": child.returncode,
    }


def page(known: dict[str, Any]) -> str:
    """The Markdown page."""
    fleets = list(known["fleets"])
    command = "python benchmarks/memory.py --fleets " + " ".join(fleets)
    short = " and ".join(f"`{key}: {value}`" for key, value in known["short"].items())
    facts = {key: known[key] for key in ("cores", "machine")}
    return PAGE.format(command=command, short=short, table=table(known["fleets"]), **facts)


def table(fleets: dict[str, list[dict[str, Any]]]) -> str:
    """One row a step, one column a fleet."""
    heads = [f"{name}: {_rows(name) / 1e6:.1f} million rows" for name in fleets]
    lines = ["| step | " + " | ".join(heads) + " |", "|---|" + "---:|" * len(heads)]
    for i, step in enumerate(next(iter(fleets.values()))):
        cells = [_cell(steps[i]) for steps in fleets.values()]
        lines.append(f"| {step['step']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(step: dict[str, Any]) -> str:
    return f"exit code {step['exit_code']}" if step["exit_code"] else f"{step['peak_mib']:,}"


def _rows(fleet: str) -> int:
    nodes, steps = fleet.split("x")
    return int(nodes) * int(steps)


def _order(fleet: str) -> tuple[int, int]:
    """Fleets with long series last."""
    return int(fleet.split("x")[1]), _rows(fleet)


if __name__ == "__main__":
    sys.exit(main())
