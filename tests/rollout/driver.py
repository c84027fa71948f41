"""Drives ``decide`` against the model of the controllers, as the loop does against real ones.

An oracle of its own counts what a revision has earned: from the answers that were given to the
rollout, never from its state. No change and no moment may give a revision more than that.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from controllers import Cluster
from modelled_adapter import RaceLostError, apply, view_of

from dwcp_ml.rollout.actions import Change, Event, SetPercent
from dwcp_ml.rollout.decide import decide, needs
from dwcp_ml.rollout.observation import (
    Answered,
    Check,
    Needs,
    Observation,
    Window,
)
from dwcp_ml.rollout.spec import Command, Gate, Golden, RolloutSpec, Strategy, Target, Verification
from dwcp_ml.rollout.state import TERMINAL, GateResult, Phase, RolloutState
from dwcp_ml.rollout.status import read_state, write_state

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
ROUND_S = 1.0
BY_HAND = (Phase.DARK, Phase.VERIFYING, Phase.PROGRESSING)
PREFIX = "s3://models/m/"
OLDEST, OLD, NEW, OTHER = ({"storageUri": f"{PREFIX}v1.{n}"} for n in range(4))
QUICK = Strategy(
    steps=(5, 50),
    step_duration=timedelta(seconds=4),
    analysis_interval=timedelta(seconds=2),
    step_deadline=timedelta(seconds=20),
    ready_deadline=timedelta(seconds=30),
    apply_deadline=timedelta(seconds=15),
    watch_window=timedelta(seconds=6),
)


def a_spec(**changes: Any) -> RolloutSpec:
    fields: dict[str, Any] = {
        "inference_service": "m",
        "target": Target(storage_uri=NEW["storageUri"]),
        "template": {"predictor": {"model": {"modelFormat": {"name": "onnx"}}}},
        "strategy": QUICK,
        "gates": (Gate(name="errors", kind="golden", limit=0.01),),
        "verification": Verification(golden=(Golden(request={}, outputs={"y": [1.0]}),)),
    }
    return RolloutSpec(**{**fields, **changes})


def passes(window: Window) -> str:
    return "pass"


@dataclass
class Driver:
    """One rollout and its loop."""

    cluster: Cluster
    spec: RolloutSpec = field(default_factory=a_spec)
    saved: dict[str, Any] = field(default_factory=dict)
    gate: Callable[[Window], str] = passes
    verified: bool | None = True
    ready_to_go: bool | None = True
    api_up: bool = True
    refused: frozenset[type] = frozenset()
    refusal: str | None = None
    answers: Callable[[], dict[str, int] | None] = lambda: None
    changes: list[Change] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    earned: dict[tuple[str, str], int] = field(default_factory=dict)
    promoted: bool = False
    meddled: bool = False
    phases: list[Phase] = field(default_factory=list)
    good: set[str] = field(default_factory=lambda: {OLDEST["storageUri"], OLD["storageUri"]})

    @property
    def state(self) -> RolloutState:
        return read_state(self.saved)

    @property
    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=self.cluster.now)

    def round(self, crash: str | None = None, wait_s: float = ROUND_S) -> None:
        """One round; ``crash`` 'unsaved' loses the state, 'undone' loses the change."""
        state = self.state
        wanted = needs(self.spec, state, self.now)
        seen, staged = self._look(wanted, state)
        actions, new = decide(self.spec, state, seen, self.now)
        hand = self._by_hand()
        changes = [action for action in actions if not isinstance(action, Event)]
        assert len(changes) <= 1
        if state.phase in TERMINAL and new.phase in TERMINAL:
            assert not changes
        self.events += [action for action in actions if isinstance(action, Event)]
        if crash != "unsaved":
            self.saved = json.loads(json.dumps(write_state(new, self.spec)))
            assert self.state == new
            self.earned.update(staged)
            same = new.restarts == state.restarts and new.phase in BY_HAND
            self.promoted = hand and same
            if state.phase is Phase.PREFLIGHT and new.phase is Phase.DARK and new.stable_model:
                # What had all traffic before a rollout is what it may go back to.
                assert self.meddled or not self.excess()
                self.good.add(str(new.stable_model["storageUri"]))
            untouched = (Phase.PENDING, Phase.PREFLIGHT, Phase.HALTED)
            if new.phase is Phase.HALTED and new.stable_model and state.phase not in untouched:
                self._halted_well()
            self.phases += [new.phase] if self.phases[-1:] != [new.phase] else []
            if changes and crash != "undone":
                self._do(changes[0], new)
        self.cluster.run(wait_s)

    def until(self, *phases: Phase, rounds: int = 200) -> RolloutState:
        """Rounds until the rollout is in one of the phases."""
        for _ in range(rounds):
            if self.state.phase in (phases or TERMINAL):
                return self.state
            self.round()
        raise AssertionError(f"still {self.state.phase} after {rounds} rounds: {self.state.why}")

    def rounds(self, count: int) -> RolloutState:
        for _ in range(count):
            self.round()
        return self.state

    def order(self, name: str, by: str = "ann") -> None:
        at = self.now.isoformat()
        told = Command.model_validate({"name": name, "id": f"{name}-{at}", "by": by, "at": at})
        self.spec = self.spec.model_copy(update={"command": told})

    def pages(self) -> list[str]:
        return [event.message for event in self.events if event.topic == "halted"]

    # Looking -----------------------------------------------------------------------------------

    def _look(
        self, wanted: Needs, state: RolloutState
    ) -> tuple[Observation, dict[tuple[str, str], int]]:
        if not self.api_up:
            return Observation(None, unreachable="connection refused"), {}
        view = view_of(self.cluster)
        staged: dict[tuple[str, str], int] = {}
        gates = verification = preflight = answered = None
        steps = [*self.spec.strategy.steps, 100]
        if wanted.preflight:
            preflight = (Check("queries", self.ready_to_go, "asked"),)
        if wanted.verify is not None:
            verification = (Check("golden", self.verified, "asked"),)
            if self.verified:
                self._earn(staged, wanted.verify[0], 100 if self._by_hand() else steps[0])
        if wanted.analyse is not None:
            window = wanted.analyse
            said = self.gate(window)
            gates = (GateResult("errors", said, "figures", 100, 100),)  # type: ignore[arg-type]
            served = self.cluster.flow().get(window.canary, 0)
            lasted = window.until - window.since >= self.spec.strategy.step_duration
            if said == "pass" and lasted and 0 < served < 100:
                self._earn(staged, window.canary, min(p for p in steps if p > served))
        if wanted.answered is not None and (said_by := self.answers()) is not None:
            answered = Answered(said_by)
        if self._by_hand() and state.canary and self._key(state.canary) in self.earned:
            self._earn(staged, state.canary, 100)
        seen = Observation(view, None, self.refusal, preflight, verification, gates, answered)
        return seen, staged

    def _by_hand(self) -> bool:
        """A person promoted, while it could be, and nobody else made another revision since."""
        command = self.spec.command
        ordered = command is not None and command.name == "promote"
        new = command is not None and command.id != self.state.command_id
        return self.state.phase in BY_HAND and (self.promoted or (ordered and new))

    def _key(self, revision: str) -> tuple[str, str]:
        return (str(self.cluster.ksvc.uid) if self.cluster.ksvc else "", revision)

    def _earn(self, staged: dict[tuple[str, str], int], revision: str, percent: int) -> None:
        key = self._key(revision)
        staged[key] = max(percent, self.earned.get(key, 0), staged.get(key, 0))

    # Doing -------------------------------------------------------------------------------------

    def _do(self, change: Change, state: RolloutState) -> None:
        self.refusal = None
        if not self.api_up:
            return
        if type(change) in self.refused:
            self.refusal = "admission webhook denied the request"
            return
        self._allowed(change, state)
        try:
            apply(self.cluster, change)
        except RaceLostError:
            return
        self.changes.append(change)

    def _allowed(self, change: Change, state: RolloutState) -> None:
        """A percent goes to the newest ready revision: has that one earned it?"""
        if not isinstance(change, SetPercent) or self.cluster.ksvc is None:
            return
        if not state.stable_model:
            return  # a first version has everything from the start
        assert self.cluster.isvc is not None
        present = self.cluster.isvc.percent
        if change.percent <= (100 if present is None else present):
            return
        newest = self.cluster.ksvc.ready
        assert newest is not None
        assert change.percent <= self.allowed(newest), f"{newest} has not earned {change.percent} %"

    def _halted_well(self) -> None:
        """No bad canary keeps traffic where 0 % could be had."""
        isvc, ksvc = self.cluster.isvc, self.cluster.ksvc
        if not self.excess() or isvc is None or ksvc is None or not isvc.percent:
            return
        base = self.cluster.revisions.get(isvc.rolled_out or "")
        assert base is None or not base.ready or isvc.rolled_out == ksvc.created

    def allowed(self, revision: str) -> int:
        """The most percent that a revision may have."""
        found = self.cluster.revisions.get(revision)
        if found is not None and found.template.uri in self.good:
            return 100
        return self.earned.get(self._key(revision), 0)

    def excess(self) -> dict[str, int]:
        """Revisions that get more than they have earned, and what they get."""
        flow = self.cluster.flow()
        return {name: part for name, part in flow.items() if part > self.allowed(name)}


def served() -> Cluster:
    """v1.1 promoted after v1.0, as a person would have left it."""
    cluster = Cluster()
    cluster.create(OLDEST)
    cluster.run(8)
    cluster.patch(OLD, percent=None)
    cluster.run(8)
    assert cluster.isvc is not None
    assert cluster.isvc.rolled_out == "m-00002"
    assert cluster.isvc.previous == "m-00001"
    return cluster
