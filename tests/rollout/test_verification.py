"""Golden answers and a replay against a dark revision in real HTTP."""

import pytest
from two_revisions import BODY, HOSTS, free_port

from dwcp_ml.rollout.spec import Verification
from dwcp_ml.rollout.v2 import Endpoint, outputs, relative_error
from dwcp_ml.rollout.verification import verify

GOLDEN = {"request": BODY, "outputs": {"y": [2.0]}, "tolerance": 1e-4}
SPEC = Verification.model_validate({"golden": [GOLDEN], "replay": [BODY, BODY]})
BAD_BODY = {"inputs": [{"name": "x", "shape": [1], "datatype": "INT8", "data": [1]}]}


def checked(gateway, spec=SPEC, stable="m-00001"):
    found = verify(spec, Endpoint(gateway.url, "m", 5), HOSTS, stable)
    return {check.name: check.passed for check in found}


def test_the_right_model_passes(gateway):
    assert checked(gateway) == {"golden/0": True, "replay": True}
    assert checked(gateway, stable=None) == {"golden/0": True, "replay": True}
    assert gateway.stable.asked


def test_a_wrong_answer_fails_golden_and_replay(gateway):
    gateway.canary.offset = 1.0
    assert checked(gateway) == {"golden/0": False, "replay": False}


def test_a_small_improvement_passes_the_replay_alone(gateway):
    gateway.canary.offset = 0.01
    assert checked(gateway) == {"golden/0": False, "replay": True}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_answer_that_is_not_finite_fails(gateway, value):
    gateway.canary.constant = value
    assert checked(gateway) == {"golden/0": False, "replay": False}


def test_a_refusal_of_what_stable_answers_fails(gateway):
    gateway.canary.refuse = True
    assert checked(gateway) == {"golden/0": False, "replay": False}


def test_what_stable_refuses_too_says_nothing(gateway):
    spec = Verification.model_validate({"replay": [BAD_BODY, BODY]})
    assert checked(gateway, spec) == {"replay": True}
    spec = Verification.model_validate({"replay": [BAD_BODY]})
    assert checked(gateway, spec) == {"replay": None}


def test_without_an_answer_nothing_passes_and_nothing_fails():
    endpoint = Endpoint(f"http://127.0.0.1:{free_port()}", "m", 1)
    assert {one.passed for one in verify(SPEC, endpoint, HOSTS, "m-00001")} == {None}
    assert {one.passed for one in verify(SPEC, None, HOSTS, "m-00001")} == {None}


def test_nothing_declared_is_said_to_be_nothing():
    (check,) = verify(Verification(), None, HOSTS, None)
    assert check.passed is True
    assert "no requests" in check.why


def test_outputs_are_compared_whole():
    assert relative_error({"y": [1.0, 2.0]}, {"y": [1.0]}) == float("inf")
    assert relative_error({}, {"y": [1.0]}) == float("inf")
    assert relative_error({"y": [None]}, {"y": [1.0]}) == float("inf")
    assert relative_error({"y": [1000.1]}, {"y": [1000.0]}) == pytest.approx(1e-4)
    assert outputs({"outputs": [{"name": "y", "data": [[1, 2], [3]]}]}) == {"y": [1, 2, 3]}
    for bad in ({}, {"outputs": []}, {"outputs": [{"name": "y"}]}, [], None):
        with pytest.raises(ValueError, match="output"):
            outputs(bad)
