"""One undisturbed run of all stages, and a process that runs stages which may die."""

import shutil
from pathlib import Path

import pytest
import small
from forked import Forks


@pytest.fixture(scope="session")
def forks():
    made = Forks()
    yield made
    made.close()


@pytest.fixture(scope="session")
def finished(forks, tmp_path_factory) -> Path:
    """A folder in which every stage has run once, undisturbed."""
    at = tmp_path_factory.mktemp("finished")
    small.write_params(at)
    for stage in small.STAGES:
        assert forks.run(stage.name, at)["error"] is None
    return at


@pytest.fixture
def place(finished, tmp_path):
    """Copies of the finished folder, without what one stage and its successors wrote."""

    def before(stage: small.Stage, name: str = "place") -> Path:
        at = tmp_path / name
        shutil.copytree(finished, at, symlinks=True)
        for later in small.STAGES[small.STAGES.index(stage) :]:
            for output in later.outputs:
                _remove(at / output)
        return at

    return before


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
