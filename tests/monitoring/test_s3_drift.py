"""Telemetry and model on S3, as the job in a cluster reads them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from watched_fleet import DWCP, MODEL, fleet

sys.path.append(str(Path(__file__).parents[1] / "pipeline" / "kubeflow"))
from s3_server import MISSING, program, s3_server


@pytest.mark.skipif(program() is None, reason=MISSING)
def test_drift_reads_telemetry_and_the_latest_model_from_s3(tmp_path):
    trained = fleet()
    with s3_server(tmp_path / "store", "dwcp") as environment:
        bucket = tmp_path / "store/dwcp"  # a folder is a bucket
        for name in ("train", "test"):
            (bucket / name).mkdir()
            shutil.copyfile(trained / f"splits/{name}.parquet", bucket / name / "part.parquet")
        version = bucket / "models" / MODEL / "v1.0"
        version.mkdir(parents=True)
        for name in ("model.onnx", "metadata.json"):
            shutil.copyfile(trained / "artifacts" / MODEL / name, version / name)
        (version / "card.md").write_text("card")
        (version.parent / "latest").write_text("v1.0")

        def look(model, live="test"):
            return subprocess.run(
                [*DWCP, "drift", "--reference", "s3://dwcp/train", "--live", f"s3://dwcp/{live}",
                 "--model", model, "--window-h", "6", "--out", tmp_path / "out"],
                env=os.environ | environment, capture_output=True, text=True,
            )  # fmt: skip

        for model in (f"s3://dwcp/models/{MODEL}", f"s3://dwcp/models/{MODEL}@v1.0"):
            done = look(model)
            assert done.returncode == 0, done.stdout + done.stderr
        absent = look("s3://dwcp/models/absent")
        empty = look(f"s3://dwcp/models/{MODEL}", live="nothing")
    report = json.loads((tmp_path / "out/drift.json").read_text())
    assert report["performance"]["metric"] == "average_precision"
    assert (absent.returncode, empty.returncode) == (15, 18)
    assert "holds no version of 'absent'" in absent.stderr
    assert "s3://dwcp/nothing holds no object" in empty.stderr
