"""Why a pod does not serve, from what the API server says of it."""

from __future__ import annotations

from types import SimpleNamespace as Of

from kubernetes import client

from dwcp_ml.rollout.pods import failure


def read(status: dict) -> client.V1Pod:
    """A pod as the official client reads one."""
    import json

    body = {"metadata": {"name": "p"}, "status": status}
    return client.ApiClient().deserialize(Of(data=json.dumps(body)), "V1Pod")


def container(name: str, state: dict, ready: bool = False) -> dict:
    return {"name": name, "state": state, "ready": ready, "image": "i", "imageID": "i",
            "restartCount": 0, "lastState": {}}  # fmt: skip


RUNS = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}


def test_a_pod_that_runs_and_is_not_ready_is_told_from_one_that_only_starts():
    statuses = [container("model", RUNS, ready=True), container("queue-proxy", RUNS)]
    found = failure([read({"containerStatuses": statuses})])
    assert found == "pod p: its containers run, but the readiness probe does not pass"


def test_a_container_that_waits_for_its_image_is_named_before_one_that_is_not_ready():
    pull = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    statuses = [container("queue-proxy", RUNS), container("model", pull)]
    found = failure([read({"containerStatuses": statuses})])
    assert found == "pod p: container model: ImagePullBackOff no such image"


def test_a_ready_pod_and_one_that_is_only_starting_have_no_failure():
    creating = {"waiting": {"reason": "ContainerCreating"}}
    assert failure([read({"containerStatuses": [container("model", RUNS, ready=True)]})]) is None
    assert failure([read({"containerStatuses": [container("model", creating)]})]) is None
