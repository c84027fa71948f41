"""What a person's `start` writes: target, policy of the namespace, and never a rollout ungated."""

import pytest

from dwcp_ml.errors import RolloutError
from dwcp_ml.rollout.cluster import INFERENCE_SERVICE, MODEL_ROLLOUT
from dwcp_ml.rollout.policy import CONFIG_MAP, EVERY, merged, policy
from dwcp_ml.rollout.spec import RolloutSpec
from dwcp_ml.rollout.steer import replaced_version, start

GATES = """
gates: [{name: errors, kind: error-ratio, limit: 0.02}]
prober: {gateway: "http://g", ratePerS: 5}
"""
OWN = "prober: {requests: [{inputs: []}]}\nstrategy: {steps: [50]}\n"


class Namespace:
    """Objects by kind and name, with what the API server does to them: keeps and replaces."""

    namespace = "models"

    def __init__(self, **config):
        self.data, self.objects = {CONFIG_MAP: config} if config else {}, {}
        model = {"storageUri": "s3://b/models/m/v1.0/"}
        self.objects[INFERENCE_SERVICE, "m"] = {"spec": {"predictor": {"model": model}}}

    def config(self, name):
        return self.data.get(name)

    def get(self, kind, name):
        return self.objects.get((kind, name))

    def create(self, kind, body):
        self.objects[kind, body["metadata"]["name"]] = body
        body["metadata"]["resourceVersion"] = "1"
        return body

    def patch(self, kind, name, version, changes):
        (change,) = changes
        assert (change["path"], version) == ("/spec", "1")
        self.objects[kind, name]["spec"] = change["value"]


@pytest.fixture
def cluster():
    return Namespace(**{EVERY: GATES, "m.yaml": OWN})


def test_the_first_rollout_takes_the_policy_and_the_services_own_part_over_it(cluster):
    start(cluster, "m", "v1.1", lineage={"data": "d"})
    spec = RolloutSpec.model_validate(cluster.get(MODEL_ROLLOUT, "m")["spec"])
    assert spec.target.storage_uri == "s3://b/models/m/v1.1/"
    assert (spec.target.version, spec.target.lineage) == ("v1.1", {"data": "d"})
    assert [gate.name for gate in spec.gates] == ["errors"]
    assert spec.strategy.steps == (50,)
    assert (spec.prober.rate_per_s, len(spec.prober.requests)) == (5, 1)


def test_a_later_one_keeps_what_its_owner_set_but_not_another_versions_golden_answers(cluster):
    start(cluster, "m", "v1.1")
    spec = cluster.get(MODEL_ROLLOUT, "m")["spec"]
    golden = {"request": {"inputs": []}, "outputs": {"y": [1.0]}}
    spec |= {"paused": True, "command": {}, "verification": {"golden": [golden], "replay": [{}]}}
    spec["strategy"] = {"steps": [10]}
    start(cluster, "m", "v1.1")
    assert cluster.get(MODEL_ROLLOUT, "m")["spec"]["verification"]["golden"] == [golden]
    start(cluster, "m", "v1.2")
    spec = cluster.get(MODEL_ROLLOUT, "m")["spec"]
    assert spec["verification"] == {"replay": [{}]}
    assert (spec["strategy"], spec["paused"]) == ({"steps": [10]}, False)
    assert "command" not in spec


def test_a_rollout_without_gates_is_refused_unless_asked_for():
    bare = Namespace()
    with pytest.raises(RolloutError, match=r"no gates.*ConfigMap rollout-policy of namespace mod"):
        start(bare, "m", "v1.1")
    assert bare.get(MODEL_ROLLOUT, "m") is None
    start(bare, "m", "v1.1", ungated=True)
    assert bare.get(MODEL_ROLLOUT, "m")["spec"]["target"]["version"] == "v1.1"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("gates: [", "all.yaml: no YAML"),
        ("- 1", "holds no keys of a spec"),
        ("gatse: []", r"spec.gatse is unknown; did you mean 'gates'\?"),
    ],
)
def test_a_policy_that_is_none_is_one_sentence(text, says):
    with pytest.raises(RolloutError, match=says):
        start(Namespace(**{EVERY: text}), "m", "v1.1", ungated=True)


def test_mappings_of_a_policy_are_joined_and_lists_are_replaced():
    under = {"a": {"x": 1, "y": [1, 2]}, "b": 1}
    assert merged(under, {"a": {"y": [3]}, "c": 2}) == {"a": {"x": 1, "y": [3]}, "b": 1, "c": 2}
    assert under["a"]["y"] == [1, 2]
    assert policy(Namespace(), "m") == {}


def test_the_last_version_of_a_uri_is_the_one_replaced():
    assert replaced_version("s3://v1.0/m/v1.1/", "v2.0") == "s3://v1.0/m/v2.0/"
    with pytest.raises(RolloutError, match="neither a version"):
        replaced_version("s3://b/v1.0", "latest")
    with pytest.raises(RolloutError, match="names no version"):
        replaced_version("s3://b/m", "v1.0")
