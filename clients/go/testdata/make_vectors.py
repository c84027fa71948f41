"""Answer seeded requests with a registry's latest models: the golden vectors of the Go client.

Usage: make_vectors.py MODELS OUT.json

The requests are the golden ones of metadata.json and variations of them: every feature but the
codes times a log-normal factor, and for free dimensions several lengths.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime

CODES = {"link_type", "network_tier"}
VARIATIONS = 40  # of each golden request
STEPS = (20, 21, 57, 400)  # of free dimensions, beside the golden length


def requests(metadata: dict) -> list[np.ndarray]:
    """Inputs of one row each, float32."""
    rng = np.random.default_rng(42)
    described = metadata["inputs"][0]
    names = described.get("features") or []
    varied = np.array([name not in CODES for name in names] or [True])
    found = []
    for pair in metadata["golden"]:
        golden = np.asarray(pair["request"]["features"], np.float32)
        found.append(golden)
        for _ in range(VARIATIONS):
            factor = np.exp(rng.normal(0, 0.3, golden.shape) + rng.normal(0, 0.5))
            found.append(np.where(varied, golden * factor, golden).astype(np.float32))
        if isinstance(described["shape"][1], str):
            found += [found[-1][:, -n:] for n in STEPS if n < golden.shape[1]]
    return found


def vectors(folder: Path) -> dict:
    """Requests and answers of one version."""
    metadata = json.loads((folder / "metadata.json").read_text())
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    names = [output.name for output in session.get_outputs()]
    cases = []
    for features in requests(metadata):
        answers = session.run(names, {"features": features})
        cases.append(
            {
                "shape": features.shape,
                "features": features.ravel().tolist(),
                "outputs": {n: a.ravel().tolist() for n, a in zip(names, answers, strict=True)},
            }
        )
    return {"version": metadata["version"], "sha256": metadata["onnx_sha256"], "cases": cases}


if __name__ == "__main__":
    models, out = Path(sys.argv[1]), Path(sys.argv[2])
    latest = sorted(models.glob("*/latest"))
    out.write_text(json.dumps({link.parent.name: vectors(link) for link in latest}) + "\n")
