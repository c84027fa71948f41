"""Compare the simulator with public measurements and bring docs/calibration.md up to date.

    python benchmarks/calibration.py --shared ../shared --out docs

The prose of the page is written by hand; this script draws the pictures and fills in what
stands between ``<!-- NAME begins -->`` and ``<!-- NAME ends -->``.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import calibration_checks as checks
import calibration_data as sets
from calibration_checks import Check, Spread
from calibration_plots import draw

from dwcp_ml.files import write_text

PAGE = "calibration.md"
HEAD = "| subject | statistic | measured | simulated | band | |\n|---|---|---|---|---|---|"


def main() -> int:
    """Write the page and its pictures; exit code 1 if a figure left its band."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="holds data/")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder of the page")
    arguments = parser.parse_args()
    data = arguments.shared / "data"
    if not data.is_dir():
        parser.error(f"{data} is not there; give the folder of the measurements with --shared")
    with TemporaryDirectory() as folder:
        fleet = sets.simulated(Path(folder) / "raw")
    rows = checks.all_checks(data, fleet)
    draw(data, fleet, arguments.out / "img")
    page = arguments.out / PAGE
    write_text(page, filled(page.read_text(), "table", table(rows)))
    return 0 if all(row.passed for row in rows) else 1


def table(rows: list[Check]) -> str:
    """Markdown table of all checks."""
    return "\n".join([HEAD, *map(_row, rows)])


def filled(page: str, name: str, text: str) -> str:
    """The page with ``text`` between the marks of ``name``; ValueError without the marks."""
    begins, ends = f"<!-- {name} begins -->", f"<!-- {name} ends -->"
    found, count = re.subn(
        f"{begins}.*{ends}", lambda _: f"{begins}\n{text}\n{ends}", page, flags=re.DOTALL
    )
    if count != 1:
        raise ValueError(f"the page must hold '{begins}' and '{ends}' once")
    return found


def _row(check: Check) -> str:
    low, high = check.band
    where = {True: "", False: "outside the measured spread", None: ""}[check.inside]
    verdict = where if check.passed else "**left its band**"
    cells = (_spread(check.measured), _spread(check.simulated), f"{_short(low)} to {_short(high)}")
    return f"| {check.subject} | {check.statistic} | {' | '.join(cells)} | {verdict} |"


def _spread(values: Spread) -> str:
    low, mid, high = values
    return _short(mid) if low == high else f"{_short(mid)} ({_short(low)} to {_short(high)})"


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    sys.exit(main())
