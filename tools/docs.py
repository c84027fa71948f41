#!/usr/bin/env python3
"""Write the generated pages of docs/, or with --check say which are out of date.

The parameters come from the pydantic models, the commands from click, the exit codes from
errors.py, the phases of a rollout from the code of its state machine.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from docs_cli import cli_page
from docs_params import params_page
from docs_phases import diagram, phase_table

from dwcp_ml.files import whole_file
from dwcp_ml.telemetry.schema import load_schema
from dwcp_ml.telemetry.schema_doc import markdown

DOCS = Path(__file__).parents[1] / "docs"
BEGIN, END = "<!-- phases begin -->\n", "<!-- phases end -->\n"


def pages() -> dict[Path, str]:
    """Every generated file and what should stand in it."""
    explained = DOCS / "explanation" / "rollout.md"
    head, _, rest = explained.read_text(encoding="utf-8").partition(BEGIN)
    tail = rest.partition(END)[2]
    return {
        DOCS / "schema.md": markdown(load_schema()),
        DOCS / "reference" / "params.md": params_page(),
        DOCS / "reference" / "cli.md": cli_page(),
        DOCS / "img" / "rollout.svg": diagram(),
        explained: f"{head}{BEGIN}{phase_table()}{END}{tail}",
    }


def main() -> None:
    """Write what differs; with --check only tell, by exit code 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args().check
    for path, text in pages().items():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        name = path.relative_to(DOCS.parent)
        if check:
            sys.exit(f"{name} is out of date; run `python tools/docs.py`")
        with whole_file(path) as part:
            part.write_text(text, encoding="utf-8")
        print(f"wrote {name}")


if __name__ == "__main__":
    main()
