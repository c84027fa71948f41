"""What the objects of KServe and Knative say together."""

from __future__ import annotations

from dwcp_ml.rollout.knative import service_view

WORDS = "fails to reconcile knative service: admission webhook denied the request"


def objects(**condition: str) -> tuple[dict, dict]:
    """A service and its Knative service, both content but for one condition."""
    traffic = [{"revisionName": "m-predictor-00001", "latestRevision": True, "percent": 100}]
    ready = [
        {"type": kind, "status": "True"} for kind in ("Ready", "ConfigurationsReady", "RoutesReady")
    ]
    service = {
        "metadata": {"name": "m", "resourceVersion": "1"},
        "spec": {"predictor": {"model": {"storageUri": "s3://m/v1"}}},
        "status": {
            "conditions": [{"type": "PredictorReady", "status": "True", **condition}],
            "components": {"predictor": {"traffic": traffic}},
        },
    }
    knative = {
        "metadata": {"uid": "u", "generation": 1},
        "spec": {"traffic": [{"latestRevision": True, "percent": 100}]},
        "status": {"observedGeneration": 1, "conditions": ready, "traffic": traffic},
    }
    return service, knative


def test_objects_that_agree_are_settled():
    view = service_view(*objects(), [], [])
    assert (view.settled, view.unsettled_why) == (True, "")


def test_what_kserve_cannot_do_unsettles_the_view_in_its_own_words():
    failed = {"status": "False", "reason": "ReconcileFailed", "message": WORDS}
    view = service_view(*objects(**failed), [], [])
    assert not view.settled
    assert WORDS in view.unsettled_why
