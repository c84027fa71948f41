"""What a pair of services and a route say together, and which mode a service is in."""

from __future__ import annotations

import pytest
from driver import BEGIN, NEW, OLD, a_spec
from modelled_pair import Pair, deployment, pod, route, service

from dwcp_ml.errors import RolloutError
from dwcp_ml.rollout.actions import Event
from dwcp_ml.rollout.cluster import INFERENCE_SERVICE
from dwcp_ml.rollout.decide import decide
from dwcp_ml.rollout.modes import adapter_for
from dwcp_ml.rollout.observation import Observation
from dwcp_ml.rollout.standard_view import Side, pair_view, undrivable
from dwcp_ml.rollout.state import Phase, RolloutState

STABLE, CANARY = "m-predictor", "m-canary-predictor"


def side(name: str = "m", model: dict[str, str] = OLD, runtime: str = "", **counts: int) -> Side:
    made = deployment(name, model["storageUri"], **counts)
    return Side(service(name, model), made, [pod("abc")], runtime)


def test_both_sides_have_one_name_where_they_run_the_same():
    assert side().revision == side("m-canary").revision
    assert side().revision != side("m-canary", NEW).revision
    assert side().revision != side(runtime="edited").revision


def test_the_percent_is_what_the_route_says_whatever_the_note_says():
    split = route((STABLE, 90), (CANARY, 10), canary_percent="1")
    seen = pair_view(side(), side("m-canary", NEW), split)
    assert seen.percent == 10
    assert seen.traffic == {side().revision: 90, side("m-canary", NEW).revision: 10}
    assert seen.rolled_out == side().revision


def test_a_backend_of_somebody_elses_is_nobodys_revision_and_not_stable():
    split = route((STABLE, 60), (CANARY, 10), ("other", 30), canary_percent="10")
    seen = pair_view(side(), side("m-canary", NEW), split)
    assert seen.percent == 40
    assert seen.traffic["other"] == 30


def test_a_weight_below_half_a_percent_is_not_rounded_away():
    seen = pair_view(side(), side("m-canary", NEW), route((STABLE, 9999), (CANARY, 1)))
    assert seen.percent == 1


def test_weights_that_the_gateway_has_not_seen_are_no_split():
    late = route((STABLE, 100), (CANARY, 0), generation=3, seen=2)
    seen = pair_view(side(), side("m-canary", NEW), late)
    assert set(seen.traffic) == {"unknown"}
    assert not seen.settled
    assert "newest weights" in seen.unsettled_why


def test_a_route_to_a_canary_that_is_gone_settles_only_with_new_weights():
    seen = pair_view(side(), None, route((STABLE, 90), (CANARY, 10), canary_percent="100"))
    assert seen.percent == 0
    assert seen.settled
    assert seen.traffic[CANARY] == 10


def test_until_the_canary_is_gone_stable_counts_as_what_it_ran_before():
    both = side(model=NEW), side("m-canary", NEW)
    split = route((STABLE, 100), canary_percent="100", rolled_out="m-before")
    assert pair_view(*both, split).rolled_out == "m-before"
    assert pair_view(both[0], None, split).rolled_out == both[0].revision


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"available": 0}, "0 of 1"),
        ({"total": 2}, "1 of 1"),
        ({"updated": 0}, "1 of 1"),
    ],
)
def test_a_side_is_settled_when_all_pods_are_of_the_newest_template(changed, why):
    assert why in side(**changed).unsettled
    assert side(**changed).serves == bool(changed.get("available", 1))


def test_a_deployment_of_another_model_neither_serves_nor_is_settled():
    other = Side(service("m", NEW), deployment("m", OLD["storageUri"]), [])
    assert not other.serves
    assert "still holds" in other.unsettled
    assert "no Deployment" in Side(service("m", NEW), None, []).unsettled


def test_another_runtime_alone_is_not_settled_before_kserve_says_that_it_runs():
    newer = service("m", {**OLD, "runtime": "two"})
    newer["status"]["servingRuntimeName"] = "one"
    made = Side(newer, deployment("m", OLD["storageUri"]), [])
    assert "with one" in made.unsettled
    newer["status"]["servingRuntimeName"] = "two"
    assert made.unsettled == ""


def test_the_label_is_that_of_the_newest_pod_that_stays():
    pods = [pod("zzz", 1, leaving=True), pod("old", 2), pod("new", 3), pod("gone", 4, leaving=True)]
    assert Side(service("m", OLD), None, pods).label == "m-predictor-new"


def test_kserves_own_route_and_one_of_many_rules_are_not_ours_to_move():
    assert undrivable(route((STABLE, 1))) == ""
    owned = route((STABLE, 1))
    owned["metadata"]["ownerReferences"] = [{"kind": "InferenceService", "controller": True}]
    assert "cluster-local" in undrivable(owned)
    many = route((STABLE, 1))
    many["spec"]["rules"] *= 2
    assert "2 rules" in undrivable(many)


def in_mode(said: str) -> Pair:
    pair = Pair()
    notes = {"serving.kserve.io/deploymentMode": said}
    pair.objects[INFERENCE_SERVICE.plural, "m"]["metadata"]["annotations"] = notes
    return pair


@pytest.mark.parametrize("said", ["Standard", "RawDeployment"])
def test_auto_picks_the_mode_that_the_service_names(said):
    assert adapter_for(in_mode(said), a_spec()).mode == "Standard"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("said", "mode", "why"),
    [("ModelMesh", "Auto", "mode ModelMesh"), ("Standard", "Knative", "spec.mode says Knative")],
)
def test_a_mode_that_cannot_be_driven_is_refused_by_name(said, mode, why):
    with pytest.raises(RolloutError, match=why):
        adapter_for(in_mode(said), a_spec(mode=mode))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("phase", "then"),
    [
        (Phase.PENDING, Phase.HALTED),
        (Phase.PREFLIGHT, Phase.HALTED),
        (Phase.PROGRESSING, Phase.PROGRESSING),
        (Phase.ABORTING, Phase.ABORTING),
    ],
)
def test_what_cannot_be_driven_halts_before_the_start_and_is_waited_for_later(phase, then):
    state = RolloutState(phase=phase, stable_model=OLD)
    seen = Observation(None, undrivable="the route is not there")
    actions, new = decide(a_spec(), state, seen, BEGIN)
    assert new.phase is then
    assert "the route is not there" in new.why
    assert all(isinstance(action, Event) for action in actions)
