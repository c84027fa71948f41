"""`local` applied to a real cluster: images from its registry, models from a registry of ours."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from live_cluster import MANIFESTS, NAMESPACE, SERVICES, address, get, kubectl, until, variant

ROOT = Path(__file__).parents[3]
MODELS = Path(os.environ.get("DWCP_MODELS", ROOT / "models"))
IMAGES = Path(os.environ.get("DWCP_IMAGES", ROOT / "build" / "images.json")).resolve()


def reason_to_skip():
    if not os.environ.get("KUBECONFIG"):
        return "KUBECONFIG names no cluster"
    if kubectl("get", "crd", "inferenceservices.serving.kserve.io", check=False).returncode:
        return "the cluster of KUBECONFIG has no KServe"
    if not (MODELS / "bandwidth_predictor" / "v1.0").is_dir():
        return f"there is no registry at {MODELS}; `make run` makes one, DWCP_MODELS names another"
    return ""


@pytest.fixture(scope="session")
def cluster():
    if why := reason_to_skip():
        pytest.skip(why)


@pytest.fixture(scope="session")
def images_file(cluster):
    """What `make images` wrote."""
    if not IMAGES.exists():
        pytest.skip(f"{IMAGES} is not there: make images REGISTRY=...")
    return IMAGES


@pytest.fixture(scope="session")
def images_of_all(images_file):
    """Target -> image."""
    return json.loads(images_file.read_text())


@pytest.fixture(scope="session")
def images(images_of_all):
    """Name in `local` -> the image to use."""
    used = ("serve", "serve-samples", "operator")
    return {f"localhost:5000/dwcp-{name}": images_of_all[name] for name in used}


@pytest.fixture(scope="session")
def store(cluster):
    """The registry in S3, with a version v1.1 of one model that is v1.0 under another name."""
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=address("s3", "s3", 7070),
        region_name="us-east-1",
        aws_access_key_id="test-access-key",
        aws_secret_access_key="test-secret-key",  # noqa: S106
    )
    if "dwcp" not in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}:
        client.create_bucket(Bucket="dwcp")
    for file in MODELS.glob("*/v1.0/*"):
        key = f"models/{file.relative_to(MODELS)}"
        client.put_object(Bucket="dwcp", Key=key, Body=file.read_bytes())
    old = MODELS / "bandwidth_predictor" / "v1.0"
    metadata = {**json.loads((old / "metadata.json").read_bytes()), "version": "v1.1"}
    new = {
        "metadata.json": json.dumps(metadata).encode(),
        "model.onnx": (old / "model.onnx").read_bytes(),
    }
    for name, body in new.items():
        client.put_object(Bucket="dwcp", Key=f"models/bandwidth_predictor/v1.1/{name}", Body=body)
    return client


@pytest.fixture(scope="session")
def overlay(images, tmp_path_factory):
    """Renders an overlay with the images that are there."""

    def rendered(name):
        return variant(tmp_path_factory.mktemp(name), name, images)

    return rendered


def apply(folder):
    return kubectl("apply", "-k", str(folder)).stdout


@pytest.fixture(scope="session")
def deployed(store, overlay):
    """The four models of `local`, created anew and Ready."""
    namespaces = [MANIFESTS / "base" / "namespace.yaml", MANIFESTS / "operator" / "namespace.yaml"]
    for file in [*namespaces, MANIFESTS / "operator" / "crd" / "modelrollouts.yaml"]:
        kubectl("apply", "-f", str(file))
    for kind in ("modelrollouts", "inferenceservices"):
        kubectl("-n", NAMESPACE, "delete", kind, "--all", "--timeout=120s")
    kubectl("label", "namespace", NAMESPACE, "dwcp.io/break-glass-")
    of_models = ["pods", "-l", "serving.kserve.io/inferenceservice"]
    until(lambda: not get("-n", NAMESPACE, *of_models)["items"], 180)
    # Of another image, perhaps; the guard lets nobody edit one.
    kubectl("-n", NAMESPACE, "delete", "servingruntimes", "--all")
    apply(overlay("local"))
    names = [f"inferenceservice/{name}" for name in SERVICES]
    kubectl("-n", NAMESPACE, "wait", "--for=condition=Ready", "--timeout=300s", *names)
