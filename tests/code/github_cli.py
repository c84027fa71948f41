#!/usr/bin/env python3
"""Stands in for GitHub behind `gh`: issues, pull requests and runs in the file that GH_STATE names.

It knows the calls of .github/scripts and answers --jq by the real jq.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

STATE = Path(os.environ["GH_STATE"])


def option(name: str) -> str:
    """Value of an option of the call."""
    return sys.argv[sys.argv.index(f"--{name}") + 1]


def body() -> str:
    """Text of an issue or pull request."""
    return Path(option("body-file")).read_text() if "--body-file" in sys.argv else option("body")


def main() -> None:
    """One call."""
    state = json.loads(STATE.read_text())
    kind, verb = sys.argv[1:3]
    if kind == "label":
        return
    entries = state[kind]
    if verb == "list":
        done = subprocess.run(
            ["jq", "-r", option("jq")], input=json.dumps(entries), capture_output=True, text=True
        )
        sys.stderr.write(done.stderr)
        print(done.stdout, end="")
        sys.exit(done.returncode)
    if verb == "create":
        entries.append({"number": len(entries) + 1, "title": option("title"), "texts": [body()]})
    else:
        (entry,) = [one for one in entries if one["number"] == int(sys.argv[3])]
        entry["texts"].append(body())
    STATE.write_text(json.dumps(state))


main()
