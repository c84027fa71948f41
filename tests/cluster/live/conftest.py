"""The whole way: Kubeflow and KServe on one cluster, `local` applied, the operator in a pod."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
import yaml

TESTS = Path(__file__).parents[2]
for folder in ("cluster/manifests", "cluster/rollout", "pipeline/kubeflow", "model"):
    sys.path.append(str(TESTS / folder))

from live_cluster import MANIFESTS, NAMESPACE, address, kubectl, variant  # noqa: E402
from live_way import BUCKET, IMAGES, NEEDED, SECRET, dwcp, policy  # noqa: E402
from tiny import MODELS, write_tiny  # noqa: E402


@pytest.fixture(scope="session")
def images():
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("KUBECONFIG names no cluster")
    for what, lacks in NEEDED.items():
        if kubectl("get", *what.split(), check=False).returncode:
            pytest.skip(f"the cluster of KUBECONFIG {lacks}")
    if not IMAGES.exists():
        pytest.skip(f"{IMAGES} is not there: make images REGISTRY=...")
    return json.loads(IMAGES.read_text())


@pytest.fixture(scope="session")
def store(images):
    """The store that KServe reads, empty of registered models."""
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=address("s3", "s3", 7070),
        region_name="us-east-1",
        aws_access_key_id="test-access-key",
        aws_secret_access_key="test-secret-key",  # noqa: S106 the test store's own
    )
    if BUCKET not in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}:
        client.create_bucket(Bucket=BUCKET)
    for model in MODELS:
        found = client.list_objects_v2(Bucket=BUCKET, Prefix=f"models/{model}/")
        for entry in found.get("Contents", []):
            client.delete_object(Bucket=BUCKET, Key=entry["Key"])
    return client


@pytest.fixture(scope="session")
def deployed(images, tmp_path_factory):
    """Everything of `local` but the services, which the first rollouts make."""
    folder = tmp_path_factory.mktemp("live")
    used = ("serve-samples", "operator")
    named = {f"localhost:5000/dwcp-{name}": images[name] for name in used}
    variant(folder, "local", named, small=False)
    whole = yaml.safe_load((folder / "kustomization.yaml").read_text())
    whole["patches"] = [
        {
            "target": {"kind": "InferenceService"},
            "patch": "$patch: delete\napiVersion: serving.kserve.io/v1beta1\n"
            "kind: InferenceService\nmetadata: {name: any}\n",
        }
    ]
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(whole))
    for file in ("base/namespace.yaml", "operator/namespace.yaml"):
        kubectl("apply", "-f", str(MANIFESTS / file))
    kubectl("apply", "--server-side", "--force-conflicts", "-k", str(MANIFESTS / "operator/crd"))
    kubectl("-n", "dwcp-system", "delete", "deployment", "--all", "--ignore-not-found")
    for name in kubectl("-n", NAMESPACE, "get", "mr", "-o", "name").stdout.split():
        away = '{"metadata": {"finalizers": null}}'
        kubectl("-n", NAMESPACE, "delete", name, "--wait=false")
        kubectl("-n", NAMESPACE, "patch", name, "--type=merge", "-p", away, check=False)
    kubectl("-n", NAMESPACE, "delete", "inferenceservices", "--all", "--timeout=120s")
    # Of another image, perhaps; the guard lets nobody edit one.
    kubectl("-n", NAMESPACE, "delete", "servingruntimes", "--all")
    kubectl("apply", "-k", str(folder))
    kubectl("-n", NAMESPACE, "patch", "configmap", "rollout-policy", "--type=merge", "-p",
            json.dumps({"data": {"all.yaml": policy()}}))  # fmt: skip
    kubectl("-n", "dwcp-system", "rollout", "status", "deployment/dwcp-rollout-operator",
            "--timeout=120s")  # fmt: skip
    return folder


@pytest.fixture(scope="session")
def pipeline(images, store, deployed, tmp_path_factory):
    """A function that submits `train_and_deploy` and waits for its end."""
    params = write_tiny(tmp_path_factory.mktemp("params"))
    keys = ["--from-literal=accesskey=test-access-key", "--from-literal=secretkey=test-secret-key"]
    of = ["-n", "kubeflow"]
    kubectl(*of, "delete", "secret", SECRET, "--ignore-not-found")
    kubectl(*of, "create", "secret", "generic", SECRET, *keys)
    kubectl("-n", NAMESPACE, "delete", "rolebinding", "pipeline", "--ignore-not-found")
    kubectl("-n", NAMESPACE, "create", "rolebinding", "pipeline",
            "--clusterrole=dwcp-rollout-editor",
            "--serviceaccount=kubeflow:pipeline-runner")  # fmt: skip

    def submit(*more):
        words = ["pipeline", "submit", "train_and_deploy", "--params", params, "--images", IMAGES,
                 "--registry-uri", f"s3://{BUCKET}/models", "--s3-endpoint", "http://s3.s3:7070",
                 "--s3-region", "us-east-1", "--s3-secret", SECRET, "--deadline-min", 30,
                 "--set", f'namespace="{NAMESPACE}"', "--experiment", "dwcp-live"]  # fmt: skip
        return dwcp(*words, *more)

    return submit
