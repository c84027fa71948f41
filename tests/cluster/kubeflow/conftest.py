"""The cluster of KUBECONFIG with Kubeflow Pipelines, and images that its nodes can pull.

DWCP_IMAGES names the file that `make images` wrote, by default build/images.json.
"""

import os
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
sys.path += [str(TESTS / "pipeline" / "kubeflow"), str(TESTS / "model")]

from kubeflow_cluster import kubectl  # noqa: E402

IMAGES = Path(os.environ.get("DWCP_IMAGES", TESTS.parent / "build" / "images.json")).resolve()


@pytest.fixture(scope="session")
def images():
    """File with the images by digest; skips where there is no cluster to use them on."""
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("KUBECONFIG names no cluster")
    if not kubectl("get", "deployment", "ml-pipeline", "-n", "kubeflow", "-o", "name"):
        pytest.skip("the cluster has no Kubeflow Pipelines in namespace kubeflow")
    if not IMAGES.exists():
        pytest.skip(f"{IMAGES} is not there: make images REGISTRY=...")
    return IMAGES


@pytest.fixture(scope="session")
def store():
    """A boto3 client of the cluster's S3 store, reached through its service."""
    import boto3

    address = kubectl(
        "get", "service", "minio-service", "-n", "kubeflow", "-o", "jsonpath={.spec.clusterIP}"
    )
    return boto3.client(
        "s3",
        endpoint_url=f"http://{address}:9000",
        region_name="minio",
        aws_access_key_id="minio",
        aws_secret_access_key="minio123",  # noqa: S106 (of the test cluster)
    )
