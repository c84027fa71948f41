"""The pipeline in the images through kfp.local: the same files, and no success without outputs.

DWCP_IMAGES names the file that `make images` or `make test-docker` wrote.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
sys.path.append(str(TESTS / "pipeline" / "kubeflow"))

from tiny import digests, dwcp, write_tiny  # noqa: E402

from dwcp_ml import errors  # noqa: E402

IMAGES = Path(os.environ.get("DWCP_IMAGES", TESTS.parent / "build" / "local-images.json")).resolve()


@pytest.fixture(scope="module")
def images():
    if subprocess.run(["docker", "info"], capture_output=True).returncode:
        pytest.skip("Docker does not run here")
    if not IMAGES.exists():
        pytest.skip(f"{IMAGES} is not there: make test-docker")
    return IMAGES


def run(folder, images, *more, runner="docker", code=0):
    return dwcp(
        "pipeline", "run", "--runner", runner, "--images", images, "--params",
        write_tiny(folder), "--out", folder / runner, "--registry-uri", folder / f"models-{runner}",
        *more, code=code,
    )  # fmt: skip


def bundle(folder, runner):
    (made,) = (p for p in (folder / runner).iterdir() if p.is_dir())
    return made / "report" / "bundle" / "artifacts"


def test_containers_make_the_same_onnx_files_as_subprocesses(images, tmp_path):
    for runner in ("subprocess", "docker"):
        run(tmp_path, images, runner=runner)
    assert digests(bundle(tmp_path, "docker")) == digests(bundle(tmp_path, "subprocess"))
    assert "2 versions verified" in dwcp(
        "models", "verify", "--registry", tmp_path / "models-docker"
    )


def test_container_that_ends_at_once_is_no_success(images, tmp_path):
    code = errors.PipelineRunError.exit_code
    output = run(tmp_path, images, "--data-uri", "/nowhere", code=code)
    assert "/nowhere holds no telemetry" in output.strip().splitlines()[-1]


def test_image_that_is_missing_is_named(images, tmp_path):
    absent = tmp_path / "absent.json"
    absent.write_text(json.dumps(json.loads(images.read_text()) | {"data": "dwcp-absent:none"}))
    output = run(tmp_path, absent, code=errors.PipelineRunError.exit_code)
    assert "dwcp-absent" in output.strip().splitlines()[-1]
