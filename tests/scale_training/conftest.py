"""A tiny fleet; its networks trained by one process, by one worker and by two, for real."""

import subprocess
import sys
from pathlib import Path

import pytest
from worker_environment import environment

from dwcp_ml.scale.workers import Team
from dwcp_ml.scale.workers_local import free_addresses

# No batch divides the rows, and the last one leaves the second worker a row less.
PARAMS = """\
seed: 42
models: [bandwidth_predictor, compression_selector, consensus_latency]
bandwidth_predictor: {train_windows: 1203, validation_windows: 501, lstm_units: [16, 8],
                      epochs: 2, batch_size: 100}
compression_selector: {train_rows: 1203, validation_rows: 501, epochs: 3, batch_size: 100}
consensus_latency: {baseline_steps: 300, train_stride: 20, validation_stride: 8,
                    train_windows: 403, validation_windows: 201, lstm_units: [16, 8],
                    epochs: 2, batch_size: 100}
"""
LONG = "compression_selector: {train_rows: 1203, validation_rows: 501, epochs: 100000, " \
       "patience: 100000, batch_size: 100}\n"  # fmt: skip


@pytest.fixture(scope="session")
def desk(tmp_path_factory):
    """A folder with params.yaml, long.yaml, whose training does not end by itself, and splits."""
    from dwcp_ml.params import SimulateParams, SplitParams
    from dwcp_ml.telemetry.simulator import simulate
    from dwcp_ml.telemetry.split import split

    root = tmp_path_factory.mktemp("workers")
    (root / "params.yaml").write_text(PARAMS)
    (root / "long.yaml").write_text("models: [compression_selector]\n" + LONG)
    simulate(SimulateParams(nodes=4, steps=2400, seed=7), root / "raw")
    split(root / "raw", SplitParams(), root / "splits", gap_steps=30)
    return root


@pytest.fixture(scope="session")
def trained(desk):
    """Artifacts in plain/ of one process, one/ of one worker, two-0/ and two-1/ of two."""
    two = free_addresses(2)
    places = {"plain": None, "one": Team(free_addresses(1), 0)}
    places |= {f"two-{i}": Team(two, i) for i in range(2)}
    member = Path(__file__).with_name("member.py")
    processes = {
        name: subprocess.Popen(
            [sys.executable, str(member), str(desk), str(desk / name)],
            env=environment(place),
            stderr=subprocess.PIPE,
            text=True,
        )
        for name, place in places.items()
    }
    for name, process in processes.items():
        said = process.communicate()[1]
        assert process.returncode == 0, (name, said)
    return desk
