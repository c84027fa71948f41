"""A wall clock that jumps back and forth while the stages run."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import small
from forked import Forks

from dwcp_ml.evaluation.jsons import read_json

SOURCE = Path(__file__).with_name("jumping_clock.c")
LOOK = "import time; seen = [time.time() for _ in range(9)]; print(sorted(seen) != seen)"


@pytest.fixture(scope="module")
def jumping(tmp_path_factory):
    """Runs stages under a clock that jumps."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("a clock that jumps needs Linux and a C compiler")
    library = tmp_path_factory.mktemp("clock") / "clock.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, SOURCE], check=True)
    made = Forks(LD_PRELOAD=str(library))
    look = subprocess.run(
        [sys.executable, "-c", LOOK], env={"LD_PRELOAD": str(library)}, capture_output=True
    )
    assert look.stdout == b"True\n", "the clock does not jump"
    yield made
    made.close()


def test_stages_give_the_same_outputs_and_no_duration_below_zero(jumping, finished, tmp_path):
    small.write_params(tmp_path)
    for stage in small.STAGES:
        assert jumping.run(stage.name, tmp_path)["error"] is None
    for stage in small.STAGES[:-2]:  # report and card tell in words how long training took
        assert small.snapshot(tmp_path, stage) == small.snapshot(finished, stage), stage.name
    report = read_json(tmp_path / "reports" / f"{small.NAME}_report.json")
    assert 0 < report["row_p99_ms"] < 1000
    assert 0 < report["training_time_seconds"] < 600
