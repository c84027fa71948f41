"""The models of `local` answer, under Pod Security `restricted`, and are measured."""

from __future__ import annotations

import json

import httpx
import numpy as np
import pytest
from live_cluster import NAMESPACE, SERVICES, address, ask, get, kubectl, until

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("deployed")]


def registered(store, service):
    name = service.replace("-", "_")
    body = store.get_object(Bucket="dwcp", Key=f"models/{name}/v1.0/metadata.json")["Body"]
    return name, json.loads(body.read())


@pytest.mark.parametrize("service", SERVICES)
def test_a_model_gives_its_golden_answers_over_v1_and_v2_and_names_version_and_revision(
    store, service
):
    name, metadata = registered(store, service)
    pair = metadata["golden"][0]
    ((tensor, rows),) = pair["request"].items()
    knative = get("-n", NAMESPACE, "ksvc", f"{service}-predictor")["status"]
    features = np.asarray(rows, dtype=np.float32)
    v1 = ask(service, f"/v1/models/{name}:predict", {"instances": rows})
    given = {
        "name": tensor,
        "datatype": "FP32",
        "shape": features.shape,
        "data": features.ravel().tolist(),
    }
    v2 = ask(service, f"/v2/models/{name}/infer", {"inputs": [given]})
    for answer in (v1, v2):
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-model-version"] == metadata["version"]
        assert answer.headers["x-model-revision"] == knative["latestReadyRevisionName"]
    for output in v2.json()["outputs"]:
        said = np.asarray(pair["response"][output["name"]])
        got = np.asarray(output["data"]).reshape(output["shape"])
        np.testing.assert_allclose(got, said, rtol=1e-4, atol=1e-4)
    assert len(v1.json()["predictions"]) == len(rows)


def test_each_side_of_the_split_has_a_host_of_its_own_from_the_first_day(store):
    assert ask(SERVICES[0], "/v2/health/ready", tag="latest-").status_code == 200


def test_the_pods_hold_no_token_no_root_and_no_writable_root():
    pods = get("-n", NAMESPACE, "pods", "-l", "serving.kserve.io/inferenceservice")["items"]
    assert len(pods) >= len(SERVICES)
    for pod in pods:
        volumes = [volume for volume in pod["spec"]["volumes"] if "projected" in volume]
        sources = [source for volume in volumes for source in volume["projected"]["sources"]]
        assert not any("serviceAccountToken" in source for source in sources)
        server = next(c for c in pod["spec"]["containers"] if c["name"] == "kserve-container")
        assert server["securityContext"]["readOnlyRootFilesystem"]
        (loader,) = pod["spec"]["initContainers"]
        assert loader["securityContext"]["readOnlyRootFilesystem"]


def test_pod_security_refuses_a_pod_that_asks_for_more():
    words = ["-n", NAMESPACE, "run", "root", "--image=busybox:1", "--dry-run=server"]
    done = kubectl(*words, check=False)
    assert "violates PodSecurity" in done.stderr


def test_prometheus_reads_every_model_by_its_revision():
    prometheus = address("monitoring", "prometheus", 9090)
    asked = {"query": f'dwcp_model_ready{{namespace="{NAMESPACE}"}} == 1'}

    def measured():
        found = httpx.get(f"{prometheus}/api/v1/query", params=asked).json()["data"]["result"]
        ready = {series["metric"]["inferenceservice"] for series in found}
        return ready == set(SERVICES)

    until(measured, 30)
