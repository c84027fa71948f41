"""A whole rollout in Standard mode against the modelled controllers."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from driver import BEGIN, NEW, OLD, OTHER, a_spec
from hypothesis import given, settings
from hypothesis import strategies as st
from modelled_pair import Pair

from dwcp_ml.rollout.actions import Event
from dwcp_ml.rollout.cluster import HTTP_ROUTE, INFERENCE_SERVICE, RaceLostError
from dwcp_ml.rollout.decide import decide, needs
from dwcp_ml.rollout.observation import Check, Observation
from dwcp_ml.rollout.spec import Command, RolloutSpec
from dwcp_ml.rollout.standard import StandardAdapter
from dwcp_ml.rollout.state import TERMINAL, GateResult, Phase, RolloutState
from dwcp_ml.rollout.status import read_state, write_state

STABLE, CANARY = "m-predictor", "m-canary-predictor"


@dataclass
class Rollout:
    """The loop, with every measurement passing unless told otherwise."""

    pair: Pair
    gate: str = "pass"
    spec: RolloutSpec = field(default_factory=lambda: a_spec(template=None))
    saved: dict[str, Any] = field(default_factory=dict)
    at_s: int = 0
    most: int = 0

    @property
    def state(self) -> RolloutState:
        return read_state(self.saved)

    def round(self, crash: str | None = None) -> None:
        self.at_s += 1
        now = BEGIN + timedelta(seconds=self.at_s)
        adapter = StandardAdapter(self.pair, "m")  # type: ignore[arg-type]
        state = self.state
        seen = Observation(adapter.view())
        wanted = needs(self.spec, state, now)
        passed = (Check("one", True, ""),)
        gates = tuple(GateResult(g.name, self.gate, "told so") for g in self.spec.gates)
        seen = Observation(
            seen.view,
            preflight=passed if wanted.preflight else None,
            verification=passed if wanted.verify else None,
            gates=gates if wanted.analyse else None,
        )
        actions, new = decide(self.spec, state, seen, now)
        if crash == "unsaved":
            return
        self.saved = json.loads(json.dumps(write_state(new, self.spec)))
        if new.phase is not Phase.ABORTING:  # whose 100 % are the old model's
            self.most = max(self.most, new.percent)
        changes = [action for action in actions if not isinstance(action, Event)]
        if changes and crash != "undone":
            with suppress(RaceLostError):
                adapter.apply(changes[0])

    def until(self, *phases: Phase, rounds: int = 300) -> RolloutState:
        for _ in range(rounds):
            if self.state.phase in (phases or TERMINAL):
                return self.state
            self.round()
            self.pair.settle()
        raise AssertionError(f"still {self.state.phase}: {self.state.why}")

    def order(self, name: str) -> None:
        told = Command.model_validate({"name": name, "id": str(self.at_s), "by": "ann", "at": "x"})
        self.spec = self.spec.model_copy(update={"command": told})


def tidy(pair: Pair, model: dict[str, str]) -> bool:
    stable = pair.get(INFERENCE_SERVICE, "m")
    alone = pair.get(INFERENCE_SERVICE, "m-canary") is None
    held = stable is not None and stable["spec"]["predictor"]["model"] == model
    return alone and held and pair.split == {STABLE: 100} and pair.serving["m"] == [*model.values()]


def test_a_good_version_ends_on_the_stable_service():
    rollout = Rollout(Pair())
    assert rollout.until().phase is Phase.SUCCEEDED
    assert tidy(rollout.pair, NEW)


def test_undo_brings_the_old_model_back_dark_and_onto_the_stable_service():
    rollout = Rollout(Pair())
    rollout.until()
    rollout.order("undo")
    rollout.round()
    assert rollout.until().phase is Phase.ROLLED_BACK
    assert tidy(rollout.pair, OLD)


def test_the_next_version_after_a_success():
    rollout = Rollout(Pair())
    rollout.until()
    rollout.spec = a_spec(template=None, target={"storage_uri": OTHER["storageUri"]})
    rollout.round()
    assert rollout.until().phase is Phase.SUCCEEDED
    assert tidy(rollout.pair, OTHER)


def finishing() -> Rollout:
    """A rollout whose stable service has just been given the target."""
    rollout = Rollout(Pair())
    while rollout.pair.get(INFERENCE_SERVICE, "m")["spec"]["predictor"]["model"] != NEW:  # type: ignore[index]
        rollout.round()
        rollout.pair.settle()
    return rollout


def test_the_canary_goes_only_after_the_gateway_has_left_it():
    rollout = finishing()
    for _ in range(20):
        rollout.round()
        rollout.pair.kserve()
        rollout.pair.kubelet()
        assert rollout.pair.lost() == []
    assert rollout.pair.get(INFERENCE_SERVICE, "m-canary") is not None
    assert rollout.until().phase is Phase.SUCCEEDED


def test_aborted_while_stable_takes_the_target_over_the_old_model_comes_back_dark():
    rollout = finishing()
    rollout.order("abort")
    assert rollout.until().phase is Phase.ROLLED_BACK
    assert tidy(rollout.pair, OLD)


def edit_weights(pair: Pair) -> None:
    body = pair.objects[HTTP_ROUTE.plural, "m"]
    refs = [{"name": STABLE, "weight": 20}, {"name": CANARY, "weight": 80}]
    body["spec"]["rules"][0]["backendRefs"] = refs
    body["metadata"]["generation"] += 1
    body["metadata"]["resourceVersion"] = "edited"


def delete_canary(pair: Pair) -> None:
    pair.delete(INFERENCE_SERVICE, "m-canary")


def relabel(name: str) -> Callable[[Pair], None]:
    def edit(pair: Pair) -> None:
        pair.objects[INFERENCE_SERVICE.plural, name]["metadata"]["labels"] = {"team": "b"}

    return edit


@pytest.mark.parametrize(
    ("edit", "ends", "said"),
    [
        (edit_weights, Phase.SUCCEEDED, "somebody set 80 %"),
        (delete_canary, Phase.ROLLED_BACK, "somebody changed the model"),
        (relabel("m"), Phase.ROLLED_BACK, "somebody changed what revisions are made of"),
        (relabel("m-canary"), Phase.ROLLED_BACK, "somebody else's change made revision"),
    ],
)
def test_somebody_elses_hand_is_noticed(edit, ends, said):
    rollout = Rollout(Pair())
    while not (rollout.state.percent == 50 and rollout.state.applied):
        rollout.round()
        rollout.pair.settle()
    edit(rollout.pair)
    assert rollout.until().phase is ends
    assert any(said in line.why for line in rollout.state.history)
    assert tidy(rollout.pair, NEW if ends is Phase.SUCCEEDED else OLD)


CRASHES = st.sampled_from([None, None, None, "unsaved", "undone"])
ACTORS = st.sets(st.sampled_from(["kserve", "kubelet", "gateway"]))
TICK = st.tuples(CRASHES, ACTORS, st.sampled_from([None] * 30 + ["abort"]))


@settings(max_examples=300, deadline=None)
@given(
    warm=st.integers(0, 45),
    ticks=st.lists(TICK, max_size=40),
    gate=st.sampled_from(["pass", "pass", "fail"]),
    bad=st.sampled_from(["", "", NEW["storageUri"]]),
)
def test_no_order_of_events_exposes_users_or_loses_a_request(warm, ticks, gate, bad):
    """Crashes anywhere and controllers that act late: no more than was earned, always served."""
    rollout = Rollout(Pair(bad=bad), gate)

    def safe() -> None:
        assert rollout.pair.share(NEW["storageUri"]) <= rollout.most
        assert rollout.pair.lost() == []
        if rollout.state.phase in (Phase.WATCHING, Phase.SUCCEEDED):
            assert rollout.pair.share(OLD["storageUri"]) == 0

    for _ in range(warm):
        rollout.round()
        rollout.pair.settle()
    for crash, actors, order in ticks:
        if order and rollout.state.phase not in TERMINAL:
            rollout.order(order)
        rollout.round(crash)
        for actor in actors:
            getattr(rollout.pair, actor)()
            safe()
    state = rollout.until()
    for _ in range(3):
        rollout.pair.settle()
        safe()
    if state.phase is Phase.SUCCEEDED:
        assert gate == "pass"
        assert not bad
        assert tidy(rollout.pair, NEW)
    elif state.phase is Phase.ROLLED_BACK:
        assert rollout.most <= 5 or gate == "pass"
        assert rollout.pair.share(OLD["storageUri"]) == 100
