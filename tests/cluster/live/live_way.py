"""What the tests of the whole way share: places, the policy with short clocks, the command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import yaml
from live_cluster import MANIFESTS

ROOT = Path(__file__).parents[3]
IMAGES = Path(os.environ.get("DWCP_IMAGES", ROOT / "build" / "images.json")).resolve()
BUCKET, SECRET = "dwcp", "dwcp-registry"
NEEDED = {
    "crd/inferenceservices.serving.kserve.io": "has no KServe",
    "crd/services.serving.knative.dev": "has no Knative",
    "-n kubeflow deployment/ml-pipeline": "has no Kubeflow Pipelines",
}
# Short clocks, for a test; the gates are those that the manifests ship.
STRATEGY = {
    "steps": [5, 25, 50],
    "stepDuration": "20s",
    "analysisInterval": "10s",
    "stepDeadline": "180s",
    "watchWindow": "20s",
}


def policy():
    """That of the manifests with short clocks and small pods."""
    shipped = yaml.safe_load((MANIFESTS / "overlays/knative/rollout-policy.yaml").read_text())
    predictor = shipped["template"]["predictor"]
    predictor["minReplicas"] = 1
    predictor["model"]["resources"]["requests"] = {"cpu": "50m", "memory": "128Mi"}
    return yaml.safe_dump(shipped | {"strategy": STRATEGY})


def dwcp(*words):
    command = [sys.executable, "-m", "dwcp_ml.cli", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout
