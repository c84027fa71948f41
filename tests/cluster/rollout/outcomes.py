"""Collects what happened in each fault and writes docs/rollout-faults.md."""

from __future__ import annotations

import json
import os
from pathlib import Path

ROOT = Path(__file__).parents[3]
DOC = ROOT / "docs" / "rollout-faults.md"
PARTS = Path(os.environ.get("ROLLOUT_OUTCOMES", ROOT / "build" / "rollout-outcomes"))


def record(fault, expected, status, load, bad="", note=""):
    """Keep one line; ``bad`` is the revision that users should hardly have met."""
    met, total = load.share(bad) if bad and load else (0, len(load.answers) if load else 0)
    PARTS.mkdir(parents=True, exist_ok=True)
    line = {
        "fault": fault,
        "expected": expected,
        "end": status.get("phase", "-"),
        "why": (status.get("why") or "")[:160].replace("|", "/"),
        "requests": total,
        "failed": len(load.failed()) if load else 0,
        "met": met if bad else None,
        "note": note,
    }
    (PARTS / f"{fault.replace(' ', '-').replace('/', '-')}.json").write_text(json.dumps(line))


HEAD = """# What a rollout does when things go wrong

Written by `make test-cluster` on a real cluster (Kubernetes, Knative, KServe, Prometheus): every
fault is made for real while users send requests through the gateway. "Met" counts the requests
that the bad revision answered, of all; "failed" are answers other than 200, whoever gave them.

| fault | expected | end | requests | failed | met | why, in the rollout's words |
| --- | --- | --- | --- | --- | --- | --- |
"""


def write():
    """The table, of all lines there are."""
    lines = [json.loads(path.read_text()) for path in sorted(PARTS.glob("*.json"))]
    if not lines:
        return
    rows = [
        f"| {one['fault']} | {one['expected']} | {one['end']} | {one['requests']} | "
        f"{one['failed']} | {'-' if one['met'] is None else one['met']} | {one['why']} |"
        for one in lines
    ]
    DOC.write_text(HEAD + "\n".join(rows) + "\n")
