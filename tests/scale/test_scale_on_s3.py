"""Places on S3, against a real server: nothing is read before it is whole, nothing overwritten."""

import sys
from pathlib import Path

import pytest

from dwcp_ml.errors import StorageError, UnreadableFileError
from dwcp_ml.models import read_params
from dwcp_ml.scale.places import published, source
from dwcp_ml.scale.simulate import _Part as SimulatePart
from dwcp_ml.scale.split import read_raw
from dwcp_ml.telemetry.simulator import simulate

sys.path.append(str(Path(__file__).parents[1] / "pipeline" / "kubeflow"))
from s3_server import MISSING, program, s3_server

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(program() is None, reason=MISSING)


@pytest.fixture
def s3(tmp_path, monkeypatch):
    with s3_server(tmp_path / "store", "lake") as settings:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        yield "s3://lake/raw"


def test_parts_on_s3_are_those_of_one_process_and_an_attempt_may_run_twice(s3, tmp_path):
    sizes = {"nodes": 3, "steps": 200, "nodes_per_part": 2}
    params = read_params(ROOT / "params.yaml").simulate.model_copy(update=sizes)
    simulate(params, tmp_path / "one")
    with published(s3, replace=False) as target:
        for attempt, number in enumerate((1, 0, 1)):
            scratch = tmp_path / f"scratch-{attempt}"
            scratch.mkdir()
            SimulatePart(params, params.seed, target)(number, scratch)
        with pytest.raises(UnreadableFileError, match=r"holds no telemetry\.json"):
            read_raw(s3)
        target.write("telemetry.json", (tmp_path / "one" / "telemetry.json").read_text())
    found = read_raw(s3)
    assert found.telemetry == ("telemetry/part-00000.parquet", "telemetry/part-00001.parquet")
    for name in (*found.telemetry, *found.truth):
        brought = found.place.fetch(name, tmp_path / "brought")
        assert brought.read_bytes() == (tmp_path / "one" / name).read_bytes()
    assert source(s3, "_SUCCESS", "dwcp scale simulate")


def test_a_prefix_that_is_not_empty_is_refused(s3, tmp_path):
    with published(s3, replace=False) as target:
        target.write("telemetry.json", "{}")
    with pytest.raises(StorageError, match="is not empty"):
        with published(s3, replace=True):
            pass
