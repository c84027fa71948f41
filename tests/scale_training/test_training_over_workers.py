"""Two processes train as one does; what cannot work ends with a sentence and writes nothing."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from worker_environment import environment

from dwcp_ml import models
from dwcp_ml.errors import ParamsError, WorkersError
from dwcp_ml.scale.workers import Team
from dwcp_ml.scale.workers_local import free_addresses
from dwcp_ml.scale.workers_training import check_shareable

NETWORKS = ("bandwidth_predictor", "compression_selector", "consensus_latency")
# Float32 sums in another order, over the steps of a short training; measured 6e-8.
TOLERANCE = 2e-6
COMMAND = [sys.executable, "-m", "dwcp_ml.cli", "scale", "train", "compression_selector"]


def weights(folder):
    import h5py

    found = {}

    def keep(name, item):
        if isinstance(item, h5py.Dataset) and item.dtype.kind == "f":
            found[name] = item[()]

    with h5py.File(folder / "native" / "network.weights.h5") as file:
        file.visititems(keep)
    return found


def history(folder):
    return json.loads((folder / "history.json").read_text())


@pytest.mark.parametrize("name", NETWORKS)
def test_one_worker_writes_the_bytes_of_the_plain_training(trained, name):
    plain, one = (trained / kind / name for kind in ("plain", "one"))
    files = sorted(p.relative_to(plain) for p in (plain / "native").iterdir())
    assert files
    for file in files:
        assert (plain / file).read_bytes() == (one / file).read_bytes(), file
    assert history(plain)["epochs"] == history(one)["epochs"]


@pytest.mark.parametrize("name", NETWORKS)
def test_two_workers_give_the_weights_of_one_process_with_dropout_on(trained, name):
    plain, two = (trained / kind / name for kind in ("plain", "two-0"))
    assert models.section(models.read_params(trained / "params.yaml"), name).dropout > 0
    one, other = weights(plain), weights(two)
    assert one.keys() == other.keys()
    for key, values in one.items():
        np.testing.assert_allclose(other[key], values, rtol=0, atol=TOLERANCE, err_msg=key)
    for a, b in zip(history(plain)["epochs"], history(two)["epochs"], strict=True):
        assert a == pytest.approx(b, rel=1e-5)


def test_only_the_chief_writes(trained):
    assert sorted(p.name for p in (trained / "two-0").iterdir()) == sorted(NETWORKS)
    assert not (trained / "two-1").exists()


def test_workers_with_another_seed_are_refused_by_all(trained):
    for index in range(2):
        said = json.loads((trained / f"two-{index}-said.json").read_text())
        assert said["other seed"].startswith(f"{WorkersError.exit_code} the workers do not have")


def test_a_network_whose_rows_do_not_stand_alone_is_refused(trained):
    said = json.loads((trained / "one-said.json").read_text())
    assert "batch_normalization" in said["statistics"]
    assert "seed" in said["recurrent"]
    assert "losses of its layers" in said["penalty"]
    assert said["plain"] == "taken"


def test_trees_and_a_batch_smaller_than_the_team_are_refused(desk):
    params = models.read_params(desk / "params.yaml")
    with pytest.raises(ParamsError, match="not trained in batches"):
        check_shareable("node_reliability", models.section(params, "node_reliability"), 2)
    with pytest.raises(ParamsError, match="too small for 200 workers"):
        check_shareable(NETWORKS[0], models.section(params, NETWORKS[0]), 200)


def test_a_worker_that_never_comes_up_is_named(desk, tmp_path):
    place = Team(free_addresses(2), 0)
    out = tmp_path / "artifacts"
    words = [*COMMAND, "--timeout-s=1", f"--splits={desk}/splits", f"--out={out}"]
    done = subprocess.run(words, env=environment(place), cwd=desk, capture_output=True, text=True)
    assert done.returncode == WorkersError.exit_code, done.stderr
    assert f"not up within 1 s: worker 1 at {place.addresses[1]}" in done.stderr
    assert not out.exists()


def test_a_killed_worker_ends_the_others_and_nothing_is_written(desk, tmp_path):
    out, said = tmp_path / "artifacts", tmp_path / "said"
    board = tmp_path / "board"
    words = [*COMMAND, f"--params={desk}/long.yaml", f"--splits={desk}/splits", f"--out={out}"]
    words.append(f"--tensorboard={board}")
    with said.open("w") as errors:
        command = subprocess.Popen(words, env=environment(None), stderr=errors)
    try:
        until(lambda: any(p.stat().st_size > 500 for p in board.rglob("events.*")), command)
        os.kill(children(command.pid)[1], signal.SIGKILL)
        assert command.wait() == WorkersError.exit_code
    finally:
        command.kill()
    assert re.search(r"error: worker 1 at \S+ .*: ended or fell silent", said.read_text())
    assert "error: worker 1 was ended by signal 9" in said.read_text()
    assert not out.exists()


def children(parent):
    """Process ids in the order of their start."""
    return [int(c) for c in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def until(true, process):
    while not true():
        assert process.poll() is None, "ended too early"
        time.sleep(0.1)
