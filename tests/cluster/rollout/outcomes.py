"""Collects what happened in each fault and writes docs/rollout-faults.md."""

from __future__ import annotations

import json
import os
import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[3]
DOC = ROOT / "docs" / "rollout-faults.md"
PARTS = Path(os.environ.get("ROLLOUT_OUTCOMES", ROOT / "build" / "rollout-outcomes"))
SECTIONS = {
    "test_rollout_bad_versions": "Versions that must not come through",
    "test_rollout_sources": "What the rollout measures with",
    "test_rollout_disturbed": "Somebody else changes things under a good version",
    "test_rollout_back": "The way back",
    "test_rollout_operator": "The operator and the servers that it needs",
}
WITNESS: list = []


def watched(witness):
    """From now on, lines are of this one's service."""
    WITNESS[:] = [witness]
    return witness


def record(fault, expected, status, load, bad="", note=""):
    """Keep one line; ``bad`` is the revision that users should hardly have met."""
    met, total = load.share(bad) if bad and load else (0, len(load.answers) if load else 0)
    keep(
        "fault",
        fault=fault,
        expected=expected,
        end=status.get("phase", "-"),
        why=cause(status),
        requests=total if load else None,
        failed=len(load.failed(other_than=bad or "-")) if load else None,
        met=met if bad and load else None,
        over=WITNESS[0].over(),
        note=note,
    )


def keep(kind, **line):
    """One file a line: the tests may run in several processes."""
    test = os.environ["PYTEST_CURRENT_TEST"].rsplit(" ", 1)[0]
    PARTS.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^a-z0-9]+", "-", line.get("fault", kind).lower()).strip("-")
    body = {"kind": kind, "test": test, "section": Path(test.split("::")[0]).stem, **line}
    (PARTS / f"{name}.json").write_text(json.dumps(body, indent=1))


def judged(test, passed):
    """Note whether the test that wrote a line held."""
    for path in PARTS.glob("*.json"):
        line = json.loads(path.read_text())
        if line["test"] == test:
            path.write_text(json.dumps({**line, "passed": passed}, indent=1))


def cause(status):
    """Why the rollout went back, or its last words."""
    lines = [n for n in status.get("history", []) if n["to"] == "Aborting" != n["source"]]
    last = status.get("why") or ""
    if status.get("phase") != "RolledBack" or not lines:
        return last
    return lines[-1]["why"]


FIRST = """Written by the tests in tests/cluster/rollout on {cluster}.
Every fault is made for real, while users send 50 requests a second through the gateway.
Steps are 1, 10 and 50 %, and the clocks are short: 10 s a step, a look every 5 s,
deadlines of one or two minutes. The model server is a small one that misbehaves as it is told,
except for the wrong signature, which `dwcp serve` itself refuses. A row is of the last run of its
test, so rows may be of different runs; other work shared the cores."""
HEAD = """# What a rollout does when things go wrong

{first}

- *end*: the phase it ended in; in bold where the test that made the fault did not hold.
- *requests*, *failed*: of users, and answers other than 200 (those of the bad version not counted).
- *met*: requests that the bad version answered.
- *over*: most percent points of traffic, in the router's status, that a version which had not
  passed its gates had beyond what the rollout wanted. It is not 0 where somebody moved the traffic
  past the rollout, which the policies in [manifests](../manifests/README.md) refuse, and where the
  rollout was kept from taking it away.
"""
TABLE = """
| fault | expected | end | requests | failed | met | over | in the rollout's words |
| --- | --- | --- | ---: | ---: | ---: | ---: | --- |
"""


def write():
    """The tables, of all lines there are."""
    lines = [json.loads(path.read_text()) for path in sorted(PARTS.glob("*.json"))]
    if not lines:
        return
    text = [HEAD.format(first=textwrap.fill(FIRST.format(cluster=cluster()), 100))]
    for section, title in SECTIONS.items():
        rows = [_row(one) for one in lines if one["kind"] == "fault" and one["section"] == section]
        if rows:
            text.append(f"\n## {title}\n{TABLE}" + "\n".join(rows) + "\n")
    text += [_walk(one) for one in lines if one["kind"] == "walk"]
    text += [_detection([one for one in lines if one["kind"] == "detection"])]
    DOC.write_text("".join(text))


def _row(one):
    end = one["end"] if one.get("passed") else f"**{one['end']}**"
    met = "-"
    if one["met"] is not None:
        met = f"{one['met']} ({one['met'] / max(one['requests'], 1):.1%})"
    cells = [
        one["fault"],
        one["expected"],
        end,
        _number(one["requests"]),
        _number(one["failed"]),
        met,
        str(one["over"]),
        _short(one["why"]) + (f" ({one['note']})" if one["note"] else ""),
    ]
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def _number(value):
    return "-" if value is None else str(value)


def _short(text, most=260):
    """Without names that mean nothing to a reader."""
    text = re.sub(r"pod \S+: ", "pod: ", " ".join(text.split()))
    text = re.sub(r"[a-z0-9-]+-predictor-0*(\d+)", r"revision \1", text)
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def _walk(one):
    rows = [
        f"| {row['percent']} % | {row['seconds']:.0f} | {row['requests']} | {row['failed']} | "
        f"{row['canary']} | {row['share']:.2%} | {row['p50_ms']:.1f} | {row['p99_ms']:.1f} |"
        for row in one["rows"]
    ]
    said = (
        f"{one['rate']} requests a second from before the start until after the end, "
        f"{one['seconds']:.0f} s later: {one['requests']} requests, {one['failed']} failed. The "
        "rows are of the time in which a step was in place. Everything shares the cores, so the "
        "times say more of them than of the rollout."
    )
    return (
        f"""
## A good version under load

{textwrap.fill(said, 100)}

| step | seconds | requests | failed | answered by the canary | share | p50 ms | p99 ms |
| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
"""
        + "\n".join(rows)
        + "\n"
    )


def _detection(found):
    if not found:
        return ""
    rows = [
        f"| {one['fault']} | {one['interval_s']:.0f} | {one['seconds']:.1f} | {one['met']} of "
        f"{one['requests']} ({one['share']:.2%}) | {one['percent']} % | {_short(one['why'])} |"
        for one in found
    ]
    return (
        """
## How soon a bad version is found

50 requests a second of users, and the prober's 10 to either side; strategy and prober have their
defaults. The seconds run from the first user whom the bad version answered to the last one.

| canary | analysis interval, s | seconds | users who met it | step | found by |
| --- | ---: | ---: | ---: | ---: | --- |
"""
        + "\n".join(rows)
        + "\n"
    )


def cluster():
    """The cluster in words."""
    import rollout_cluster as rc

    nodes = json.loads(rc.kubectl("get", "nodes", "-o", "json"))["items"]
    cores = sum(int(node["status"]["capacity"]["cpu"]) for node in nodes)
    version = nodes[0]["status"]["nodeInfo"]["kubeletVersion"]
    noun = "node" if len(nodes) == 1 else "nodes"
    shared = f"{len(nodes)} {noun}, {cores} cores that everything shares"
    return f"a real cluster (Kubernetes {version}, {shared})"
