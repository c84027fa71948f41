"""Versions that must not come through: each is rolled back, and users hardly meet it."""

from __future__ import annotations

import json
import sys
import time

import outcomes
import pytest
import rollout_cluster as rc
from rollout_load import Load

sys.path.append(str(rc.HERE.parents[1] / "serving"))


def rolled_back(place, name, uri, fault, exposed_percent=3.0, **changes):
    """Roll ``uri`` out under load; it must end rolled back, with v1.0 serving everything."""
    bad = rc.revision(name, 2)
    with Load(place.gateway, name) as load:
        load.busy()
        rc.apply(rc.rollout(name, uri, place.gateway, place.prometheus, **changes))
        found = rc.ended(name)
        at_end = time.time()
        time.sleep(3)
    outcomes.record(fault, "RolledBack", found, load, bad)
    assert found["phase"] == "RolledBack", found
    met, total = load.share(bad)
    assert load.share(bad, at_end)[0] == 0
    assert met <= exposed_percent / 100 * total
    assert load.failed(other_than=bad) == []
    assert rc.model(name).endswith("/v1.0/")
    return found


BAD = {
    "crash loop": {"crash": True},
    "never ready": {"ready": False},
    "500s at 1 percent": {"value": 1.0, "error_percent": 20},
    "NaN scores": {"nan": True},
    "other scores": {"value": 1.6},
}


@pytest.mark.parametrize("fault", BAD)
def test_bad(place, operator, fresh, fault):
    uri = place.store.put(fresh, "v1.1", **BAD[fault])
    rolled_back(place, fresh, uri, fault)


def test_constant_scores(place, operator, fresh):
    # Half of the good version's scores lie on either side of it.
    gates = [*rc.GATES]
    gates[2] = {**gates[2], "limit": 0.2}
    uri = place.store.put(fresh, "v1.1", value=1.0, constant=True)
    rolled_back(place, fresh, uri, "constant scores", gates=gates)


@pytest.mark.stable(delay_ms=100)
def test_three_times_slower(place, operator, fresh):
    # Two busy cores add the same to both sides; the limit leaves room for that.
    gates = [*rc.GATES]
    gates[1] = {**gates[1], "limit": 1.5}
    uri = place.store.put(fresh, "v1.1", value=1.0, delay_ms=300)
    rolled_back(place, fresh, uri, "3x slower", gates=gates)


def test_missing_model(place, operator, fresh):
    uri = f"s3://models/rollout/{fresh}/v9.9/"
    found = rolled_back(place, fresh, uri, "missing model", exposed_percent=0)
    assert "v9.9" in found["why"] or "storage-initializer" in found["why"], found["why"]


def test_truncated_model(place, operator, fresh):
    key = f"rollout/{fresh}/v1.1/behaviour.json"
    place.store.client.put_object(Bucket="models", Key=key, Body=b'{"value": 1')
    rolled_back(place, fresh, f"s3://models/{key.rsplit('/', 1)[0]}/", "truncated model", 0)


def test_image_pull_error(place, operator, fresh):
    rc.apply(rc.runtime("rollout-no-image", "localhost:5000/no-such-image:1"))
    uri = place.store.put(fresh, "v1.1", value=1.0)
    target = {"storageUri": uri, "runtime": "rollout-no-image"}
    rolled_back(place, fresh, uri, "image pull error", 0, target=target)


def test_no_room_for_the_pod(place, operator, fresh):
    large = rc.asking_for("100", rc.image(place.work))
    rc.apply(large)
    uri = place.store.put(fresh, "v1.1", value=1.0)
    target = {"storageUri": uri, "runtime": large["metadata"]["name"]}
    found = rolled_back(place, fresh, uri, "pod larger than the node", 0, target=target)
    assert "Insufficient cpu" in found["why"]


def halted_at_0_percent(place, name, fault, target, words):
    """KServe makes no revision at all, because Knative refuses it.

    To put the old model back now could promote a revision that KServe makes at the same moment, so
    the rollout stops at 0 % and calls a person.
    """
    with Load(place.gateway, name) as load:
        rc.apply(rc.rollout(name, target["storageUri"], place.gateway, place.prometheus,
                            target=target, strategy={"readyDeadline": "45s"}))  # fmt: skip
        found = rc.ended(name)
    outcomes.record(fault, "Halted at 0 %", found, load)
    assert found["phase"] == "Halted", found
    assert words in found["why"]
    assert load.failed() == []
    assert rc.split(name) == {rc.revision(name, 1): 100}


def test_quota_too_small(place, operator, fresh):
    # KServe and Knative add containers of their own, so the margin is wide on both sides.
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "spec": {"hard": {"requests.cpu": "1"}}}
    rc.apply({**quota, "metadata": {"name": "small", "namespace": rc.NAMESPACE}})
    large = rc.asking_for("1100m", rc.image(place.work))
    rc.apply(large)
    uri = place.store.put(fresh, "v1.1", value=1.0)
    target = {"storageUri": uri, "runtime": large["metadata"]["name"]}
    try:
        halted_at_0_percent(place, fresh, "ResourceQuota too small", target, "exceeded quota")
    finally:
        rc.kubectl("-n", rc.NAMESPACE, "delete", "resourcequota", "small")


def test_a_runtime_that_knative_refuses(place, operator, fresh):
    odd = rc.asking_for("10m", rc.image(place.work), port=0)
    rc.apply(odd)
    uri = place.store.put(fresh, "v1.1", value=1.0)
    target = {"storageUri": uri, "runtime": odd["metadata"]["name"]}
    words = "validation.webhook.serving.knative.dev"
    halted_at_0_percent(place, fresh, "runtime that Knative refuses", target, words)


def serve_image():
    """The product's own server, where this cluster's registry has it."""
    import httpx

    found = httpx.get("http://localhost:5000/v2/dwcp-serve/tags/list", trust_env=False).json()
    tags = found.get("tags") or []
    return f"localhost:5000/dwcp-serve:{tags[-1]}" if tags else ""


def test_wrong_signature(place, operator, fresh, tmp_path):
    # The real server reads the graph's inputs and refuses metadata that describes others.
    from small_registry import LINEAR, register

    if not (server := serve_image()):
        pytest.skip("the registry has no image dwcp-serve")
    inputs = [{"name": "features", "dtype": "float32", "shape": ["batch", 4]}]
    folder = register(tmp_path, LINEAR, "v1.1", inputs=inputs)
    assert json.loads((folder / "metadata.json").read_text())["inputs"] == inputs
    uri = place.store.put_folder(fresh, "v1.1", folder)
    served = rc.runtime("rollout-dwcp-serve", server)
    container = served["spec"]["containers"][0]
    container.pop("command")
    container["args"] = ["/mnt/models"]
    rc.apply(served)
    target = {"storageUri": uri, "runtime": "rollout-dwcp-serve"}
    rolled_back(place, fresh, uri, "wrong signature", 0, target=target)
