"""Every phase with every kind of look has a defined result.

``decide_table.md`` is that table, for people to read and for a change of it to be seen; it is
written anew with ``DWCP_ROLLOUT_TABLE=write pytest tests/rollout/test_decide_table.py``.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from driver import BEGIN, NEW, OLD, OTHER, a_spec

from dwcp_ml.rollout.actions import Create, Deploy, Event, SetPercent
from dwcp_ml.rollout.decide import decide, needs
from dwcp_ml.rollout.observation import Answered, Check, Observation, RevisionView, ServiceView
from dwcp_ml.rollout.spec import Command
from dwcp_ml.rollout.state import TERMINAL, AbortStep, GateResult, Phase, RolloutState
from dwcp_ml.rollout.status import read_state, write_state
from dwcp_ml.rollout.target import target_digest

TABLE = Path(__file__).with_name("decide_table.md")
STABLE, CANARY, RESTORED, OTHERS = "m-2", "m-3", "m-4", "m-5"
NOW = BEGIN + timedelta(hours=1)
SPEC = a_spec()


def revisions(**changes: Any) -> dict[str, RevisionView]:
    uris = {"m-1": OLD, STABLE: OLD, CANARY: NEW, RESTORED: OLD, OTHERS: NEW}
    views = {n: RevisionView(n, True, 1, None, uri["storageUri"]) for n, uri in uris.items()}
    return {**views, **changes}


def view(model: dict[str, str], newest: str, out: str, percent: int | None) -> ServiceView:
    share = 100 if percent is None else percent
    traffic = {newest: 100} if newest == out or share == 100 else {newest: share, out: 100 - share}
    return ServiceView(
        resource_version="7",
        model=model,
        fingerprint="f",
        percent=percent,
        rolled_out=out,
        previous="m-1" if out == STABLE else STABLE,
        latest_created=newest,
        latest_ready=newest,
        traffic=traffic,
        settled=True,
        revisions=revisions(),
        incarnation="1",
    )


def state(phase: Phase, percent: int, **fields: Any) -> RolloutState:
    known: dict[str, Any] = {"stable": STABLE, "stable_model": OLD}
    known |= {"stable_fingerprint": "f", "fingerprint": "f"}
    if phase in (Phase.PENDING, Phase.PREFLIGHT):
        known = {}
    values: dict[str, Any] = {
        "phase_since": NOW - timedelta(seconds=5),
        "why": "before",
        "incarnation": "1",
        "target_digest": "" if phase is Phase.PENDING else target_digest(SPEC.target),
        "canary": CANARY,
        **known,
        **fields,
    }
    if phase in (Phase.PENDING, Phase.PREFLIGHT):
        values["canary"] = None
    return RolloutState(phase=phase, percent=percent, **values)


ANALYSED = {
    "applied": True,
    "applied_first": NOW - timedelta(seconds=5),
    "analysis_since": NOW - timedelta(seconds=5),
}
# Each phase with the world as it should be in it.
PHASES: dict[str, tuple[RolloutState, ServiceView]] = {
    "Pending": (state(Phase.PENDING, 0), view(OLD, STABLE, STABLE, None)),
    "Preflight": (state(Phase.PREFLIGHT, 0), view(OLD, STABLE, STABLE, None)),
    "Dark, nothing deployed": (
        state(Phase.DARK, 0, canary=None),
        view(OLD, STABLE, STABLE, None),
    ),
    "Dark": (state(Phase.DARK, 0), view(NEW, CANARY, STABLE, 0)),
    "Dark, first version": (
        state(Phase.DARK, 100, stable=None, stable_model={}),
        replace(view(NEW, CANARY, CANARY, None), previous=None),
    ),
    "Verifying": (state(Phase.VERIFYING, 0), view(NEW, CANARY, STABLE, 0)),
    "Progressing, not in place": (state(Phase.PROGRESSING, 50), view(NEW, CANARY, STABLE, 5)),
    "Progressing": (state(Phase.PROGRESSING, 5, **ANALYSED), view(NEW, CANARY, STABLE, 5)),
    "Promoting": (state(Phase.PROMOTING, 100), view(NEW, CANARY, CANARY, 100)),
    "Watching": (state(Phase.WATCHING, 100, **ANALYSED), view(NEW, CANARY, CANARY, 100)),
    "Aborting, Zero": (
        state(Phase.ABORTING, 0, abort_step=AbortStep.ZERO),
        view(NEW, CANARY, STABLE, 5),
    ),
    "Aborting, Zero after 100": (
        state(Phase.ABORTING, 0, abort_step=AbortStep.ZERO),
        view(NEW, CANARY, CANARY, 100),
    ),
    "Aborting, Restore": (
        state(Phase.ABORTING, 0, abort_step=AbortStep.RESTORE),
        view(OLD, RESTORED, STABLE, 0),
    ),
    "Aborting, Full": (
        state(Phase.ABORTING, 100, abort_step=AbortStep.FULL, restored=RESTORED),
        view(OLD, RESTORED, RESTORED, 100),
    ),
    "Succeeded": (state(Phase.SUCCEEDED, 100), view(NEW, CANARY, CANARY, 100)),
    "RolledBack": (state(Phase.ROLLED_BACK, 0), view(OLD, RESTORED, RESTORED, 100)),
    "Halted": (state(Phase.HALTED, 0), view(NEW, CANARY, STABLE, 0)),
}
SICK = RevisionView(STABLE, False, 0, "ImagePullBackOff", OLD["storageUri"])
DEAD = RevisionView(CANARY, False, 0, "CrashLoopBackOff", NEW["storageUri"])
LOOKS: dict[str, Any] = {
    "as it should be": lambda v: v,
    "API server away": None,
    "service missing": lambda v: None,
    "stopped": lambda v: replace(v, stopped=True, latest_created=None, traffic={}, revisions={}),
    "started afresh": lambda v: replace(v, incarnation="2", previous=None),
    "not settled": lambda v: replace(v, settled=False, unsettled_why="Ready is Unknown"),
    "split not in place": lambda v: replace(v, traffic={STABLE: 70, CANARY: 30}),
    "somebody's 20 %": lambda v: replace(v, percent=20),
    "percent removed": lambda v: replace(v, percent=None),
    "somebody's 0 %": lambda v: replace(v, percent=0),
    "somebody's 150 %": lambda v: replace(v, percent=150, settled=False),
    "canary not ready yet": lambda v: replace(v, latest_ready=STABLE, settled=False),
    "canary crashing": lambda v: replace(v, revisions=revisions(**{CANARY: DEAD}), settled=False),
    "stable not ready": lambda v: replace(v, revisions=revisions(**{STABLE: SICK})),
    "stable gone": lambda v: replace(v, revisions={CANARY: v.revisions[CANARY]}),
    "foreign revision starting": lambda v: replace(v, latest_created=OTHERS, settled=False),
    "foreign revision ready": lambda v: replace(v, latest_created=OTHERS, latest_ready=OTHERS),
    "fingerprint changed": lambda v: replace(v, fingerprint="g"),
    "another model": lambda v: replace(v, model=OTHER),
    "the old model": lambda v: replace(v, model=OLD),
    "the target": lambda v: replace(v, model=NEW),
    "canary rolled out": lambda v: replace(v, rolled_out=CANARY, previous=STABLE),
    "canary rolled out, another before": lambda v: replace(v, rolled_out=CANARY, previous="m-1"),
    "older revision rolled out": lambda v: replace(v, rolled_out="m-1"),
    "nothing rolled out": lambda v: replace(v, rolled_out=None, previous=None),
    "no revisions": lambda v: replace(
        v, rolled_out=None, previous=None, latest_created=None, latest_ready=None, traffic={},
        revisions={}, settled=False,
    ),
    "promotes by Finish": lambda v: replace(v, self_promoting=False, rolled_out=STABLE),
}  # fmt: skip


def checks(passed: bool | None) -> tuple[Check, ...]:
    return (Check("one", True, "yes"), Check("two", passed, "said"))


MEASURED: dict[str, dict[str, Any]] = {
    "nothing": {},
    "pass": {
        "preflight": checks(True),
        "verification": checks(True),
        "gates": (GateResult("errors", "pass", "fine"),),
        "answered": Answered({STABLE: 95, CANARY: 5}),
    },
    "fail": {
        "preflight": checks(False),
        "verification": checks(False),
        "gates": (GateResult("errors", "fail", "bad"),),
        "answered": Answered({OTHERS: 3}),
    },
    "inconclusive": {
        "preflight": checks(None),
        "verification": checks(None),
        "gates": (GateResult("errors", "inconclusive", "few"),),
    },
    "empty": {"preflight": (), "verification": (), "gates": (), "answered": Answered({})},
}
ORDERS = ["none", "paused", "abort", "promote", "undo", "retry", "edited", "by hand"]


def observed(look: str, world: ServiceView, measured: str) -> Observation:
    if LOOKS[look] is None:
        return Observation(None, unreachable="connection refused")
    return Observation(LOOKS[look](world), **MEASURED[measured])


def ordered(order: str) -> Any:
    if order == "paused":
        return SPEC.model_copy(update={"paused": True})
    if order in ("abort", "promote", "undo", "retry"):
        told = Command.model_validate({"name": order, "id": "1", "by": "ann", "at": "now"})
        return SPEC.model_copy(update={"command": told})
    if order == "edited":
        target = SPEC.target.model_copy(update={"storage_uri": OTHER["storageUri"]})
        return SPEC.model_copy(update={"target": target})
    return SPEC


@pytest.mark.parametrize("phase", PHASES)
def test_every_look_in_every_phase_has_a_defined_result(phase):
    before, world = PHASES[phase]
    ages = (timedelta(seconds=5), timedelta(hours=2))
    for look, measured, order, age in product(LOOKS, MEASURED, ORDERS, ages):
        now = NOW - timedelta(seconds=5) + age
        start = replace(before, promote_by="ann") if order == "by hand" else before
        seen = observed(look, world, measured)
        case = (phase, look, measured, order, age)
        spec = ordered(order)
        actions, after = decide(spec, start, seen, now)
        assert after.why, case
        if order == "none":
            assert (actions, after) == decide(spec, start, seen, now), case
            assert read_state(json.loads(json.dumps(write_state(after, spec)))) == after, case
        needs(spec, after, now)
        changes = [action for action in actions if not isinstance(action, Event)]
        assert len(changes) <= 1, case
        if before.phase in TERMINAL and order not in ("abort", "undo", "retry", "edited"):
            assert not changes, case
            assert after.phase is before.phase, case
        for change in changes:
            assert_allowed(change, seen.view, after, case)


def assert_allowed(
    change: Any, seen: ServiceView | None, after: RolloutState, case: object
) -> None:
    """What a change may be, whatever has happened."""
    if isinstance(change, Create):
        assert seen is None, case
        return
    assert seen is not None, case
    assert change.resource_version == seen.resource_version, case
    if isinstance(change, Deploy):
        assert change.model != seen.model, case
    if isinstance(change, SetPercent):
        present = 100 if seen.percent is None else seen.percent
        assert change.percent != seen.percent, case
        if change.percent > present:
            assert change.percent == after.percent, case
            restored = after.phase is Phase.ABORTING and seen.model == OLD
            climbing = after.phase in (Phase.PROGRESSING, Phase.PROMOTING)
            first = not after.stable_model
            assert restored or first or (climbing and seen.latest_created == after.canary), case
            assert restored or first or seen.latest_ready == seen.latest_created, case


@pytest.mark.parametrize("phase", [name for name in PHASES if name not in ("Pending", "Preflight")])
def test_a_failing_gate_or_check_never_lets_the_canary_climb(phase):
    before, world = PHASES[phase]
    for look, order in product(LOOKS, ORDERS):
        if order in ("retry", "edited"):
            continue
        actions, after = decide(ordered(order), before, observed(look, world, "fail"), NOW)
        assert after.phase is not Phase.SUCCEEDED or before.phase is Phase.SUCCEEDED
        if before.phase in (Phase.VERIFYING, Phase.PROGRESSING, Phase.WATCHING):
            climbs = [a for a in actions if isinstance(a, SetPercent) and a.percent > 5]
            assert not climbs, (phase, look, order)


def said(actions: tuple[Any, ...], after: RolloutState) -> str:
    name = after.phase.value
    if after.abort_step:
        name += f" {after.abort_step.value}"
    for action in actions:
        if isinstance(action, SetPercent):
            return f"{name}; {action.percent} %"
        if isinstance(action, Deploy):
            what = "old" if action.model == OLD else "target"
            return f"{name}; deploy {what} at 0 %"
        if not isinstance(action, Event):
            return f"{name}; {type(action).__name__}"
    return name


def table() -> str:
    lines = ["# What decide does", "", "No measurement is given, no deadline is over.", ""]
    for phase, (before, world) in PHASES.items():
        lines += [f"## {phase}", "", "| look | result |", "|---|---|"]
        for look in LOOKS:
            actions, after = decide(SPEC, before, observed(look, world, "nothing"), NOW)
            lines.append(f"| {look} | {said(actions, after)} |")
        lines.append("")
    return "\n".join(lines)


def test_the_table_is_as_it_was_written_down():
    if os.environ.get("DWCP_ROLLOUT_TABLE") == "write":
        TABLE.write_text(table())
    assert table() == TABLE.read_text()
