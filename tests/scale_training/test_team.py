"""A worker's place by the environment: what is right is read, what is not gets a sentence."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwcp_ml.errors import DwcpError, ParamsError
from dwcp_ml.scale.workers import COUNT, FIRST, INDEX, TENSORFLOW, Team, team

TWO = ["10.0.0.1:2222", "worker-1.train.svc:2222"]


def config(cluster, kind="worker", index=0):
    return {TENSORFLOW: json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})}


def test_no_variables_no_team():
    assert team({"PATH": "/bin"}) is None


def test_a_chief_is_the_first_of_the_workers():
    cluster = {"chief": ["boss:1"], "worker": ["a:1", "b:1"]}
    assert team(config(cluster, "worker", 1)) == Team(("boss:1", "a:1", "b:1"), 2)
    assert team(config(cluster, "chief", 0)).chief
    assert team(config({"worker": TWO})).chief


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({TENSORFLOW: "{"}, "is not JSON"),
        ({TENSORFLOW: "[]"}, "needs"),
        (config({}), "needs"),
        (config({"worker": TWO, "ps": ["a:1"]}), "tasks of type 'ps'"),
        (config({"worker": TWO}, index=2), "no task 'worker' number 2"),
        (config({"worker": TWO}, index="0"), "no task 'worker' number '0'"),
        (config({"worker": TWO}, index=True), "number True"),
        (config({"worker": TWO}, kind="evaluator"), "no task 'evaluator'"),
        (config({"worker": "a:1"}), "list of HOST:PORT"),
        (config({"worker": ["a", "b:1"]}), "'a' is no HOST:PORT"),
        (config({"worker": ["a:70000", "b:1"]}), "'a:70000' is no HOST:PORT"),
        (config({"worker": ["a:1", "a:1"]}), "one address twice"),
        ({FIRST: "job-node-0-0.job:29500", COUNT: "2"}, "TrainJob"),
        ({FIRST: "job-node-0-0.job:29500", COUNT: "2", INDEX: "2"}, "TrainJob"),
        ({FIRST: "job", COUNT: "2", INDEX: "0"}, "TrainJob"),
    ],
)
def test_what_cannot_be_worked_with_is_named(environment, sentence):
    with pytest.raises(ParamsError, match=sentence):
        team(environment)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
)


@given(st.text() | st.builds(json.dumps, json_values))
def test_whatever_tf_config_holds_the_answer_is_a_team_or_a_sentence(text):
    with suppress(DwcpError):
        assert isinstance(team({TENSORFLOW: text}), Team)


@given(
    st.lists(st.from_regex(r"[a-z][a-z0-9.]{0,8}[a-z]:[1-9][0-9]{0,3}", fullmatch=True),
             min_size=1, max_size=5, unique=True).flatmap(
        lambda hosts: st.tuples(st.just(tuple(hosts)), st.integers(0, len(hosts) - 1))
    )
)  # fmt: skip
def test_a_team_reads_back_what_it_writes(place):
    whole = Team(*place)
    assert team({TENSORFLOW: whole.config}) == whole
