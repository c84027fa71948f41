"""The revisions that serve a version, from pods as the API server tells of them."""

from __future__ import annotations

import json
from types import SimpleNamespace as Of

from kubernetes import client

from dwcp_ml.rollout.live import Live, live


def pod(uri: str, ready: str = "True", revision: str = "m-predictor-00002") -> client.V1Pod:
    """A pod of a service m as the official client reads one."""
    labels = {"serving.kserve.io/inferenceservice": "m"}
    if revision:
        labels["serving.knative.dev/revision"] = revision
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "m-predictor-5f", "uid": "u"}
    body = {
        "metadata": {"name": "p", "labels": labels, "ownerReferences": [owner]},
        "spec": {
            "initContainers": [{"name": "storage-initializer", "args": [uri, "/mnt/models"]}],
            "containers": [{"name": "kserve-container", "args": ["--model-name=toy"]}],
        },
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }
    return client.ApiClient().deserialize(Of(data=json.dumps(body)), "V1Pod")


def test_ready_pods_of_the_version_are_counted_by_revision():
    pods = [
        pod("s3://models/toy/v1.1/"),
        pod("s3://models/toy/v1.1"),
        pod("s3://models/toy/v1.1", ready="False", revision="m-predictor-00003"),
        pod("s3://models/toy/v1.1", revision=""),
    ]
    assert live(pods, "toy", "v1.1") == [
        Live("m", "m-predictor-00002", 2),
        Live("m", "m-predictor-5f", 1),
    ]
    said = [str(entry) for entry in live(pods, "toy", "v1.1")]
    assert said == [
        "m, revision m-predictor-00002, 2 ready pods",
        "m, revision m-predictor-5f, 1 ready pod",
    ]


def test_other_versions_and_other_models_are_not_it():
    for uri in ("s3://models/toy/v1.10", "s3://models/mytoy/v1.1", "s3://models/toy/v1.1b/x"):
        assert live([pod(uri)], "toy", "v1.1") == []
