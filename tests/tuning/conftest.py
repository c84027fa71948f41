"""A tiny fleet, its splits, and parameters and a space to tune the node detector with."""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "model"))

PARAMS = """\
seed: 42  # of everything
models: [node_reliability]

node_reliability:
  train_rows: 3000   # few
  validation_rows: 1500
  onset_steps: 10
  boosting_iterations: 2
  boosting_leaves: 15
  boosting_learning_rate: 0.3
  forest_trees: 5
"""
SPACES = """\
node_reliability:
  vary:
    boosting_learning_rate: {low: 0.02, high: 0.3, log: true}
    boosting_leaves: {low: 3, high: 15}
    forest_rows_per_tree: {choices: [128, 256]}
"""


@pytest.fixture
def tmp_path():
    """In memory where there is such a folder: SQLite waits for the disk at every step."""
    memory = Path("/dev/shm")  # noqa: S108
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def splits(tmp_path_factory):
    """Real splits whose test part was removed: whoever reads it fails."""
    from dwcp_ml.params import IncidentParams, SimulateParams, SplitParams
    from dwcp_ml.telemetry.simulator import simulate
    from dwcp_ml.telemetry.split import split

    root = tmp_path_factory.mktemp("fleet")
    hard = IncidentParams(shift_sd=2.0)  # or every trial finds all of them
    simulate(SimulateParams(nodes=8, steps=1000, seed=7, incidents=hard), root / "raw")
    split(root / "raw", SplitParams(), root / "splits", gap_steps=5)
    for name in ("test.parquet", "test_truth.parquet"):
        (root / "splits" / name).unlink()
    return root / "splits"


@pytest.fixture
def desk(tmp_path, splits):
    """A folder with params.yaml and spaces.yaml, as a person has it."""
    (tmp_path / "params.yaml").write_text(PARAMS)
    (tmp_path / "tuning").mkdir()
    (tmp_path / "tuning" / "spaces.yaml").write_text(SPACES)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "splits").symlink_to(splits)
    return tmp_path


def start(folder: Path, *arguments: object) -> subprocess.Popen:
    """A ``dwcp tune`` of its own process."""
    return subprocess.Popen(
        [sys.executable, "-m", "dwcp_ml.cli", "tune", *map(str, arguments)],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def tune(desk):
    """Runs ``dwcp tune`` to its end; stdout and stderr."""

    def run(*arguments: object, code: int = 0) -> tuple[str, str]:
        process = start(desk, *arguments)
        out, err = process.communicate(timeout=120)
        assert process.returncode == code, out + err
        return out, err

    return run


@pytest.fixture
def begin(desk):
    """Starts ``dwcp tune`` and returns the process; it is killed at the end of the test."""
    running = []

    def run(*arguments: object) -> subprocess.Popen:
        running.append(start(desk, *arguments))
        return running[-1]

    yield run
    for process in running:
        process.kill()
        process.wait()
