"""A Keras model from two cold processes, one of them after a run killed in mid-training."""

import os
import shutil
import subprocess
import sys

import pytest
import small

NAME = "compression_selector"
SHORT = {"train_rows": 6_000, "validation_rows": 2_000, "test_rows": 2_000, "epochs": 3}
TRAIN_AND_EXPORT = """
import sys
from pathlib import Path
from dwcp_ml.models import read_params
from dwcp_ml.models.export import export
from dwcp_ml.models.train import train

class Told:
    def epoch(self, number, of, figures):
        print("epoch", number, flush=True)

name, at = sys.argv[1], Path(sys.argv[2])
params = read_params(at / "params.yaml")
train(name, at / "data/splits", params, at / "artifacts", log=Told())
export(name, at / "artifacts", at / "data/splits", params)
"""


def start(at):
    return subprocess.Popen(
        [sys.executable, "-c", TRAIN_AND_EXPORT, NAME, at],
        stdout=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


@pytest.mark.slow
def test_cold_run_after_a_killed_one_gives_the_same_weights_and_graph(finished, tmp_path):
    found = []
    for killed in (False, True):
        at = tmp_path / ("killed" if killed else "undisturbed")
        shutil.copytree(finished / "data" / "splits", at / "data" / "splits")
        small.write_params(at, models=[NAME], **{NAME: SHORT})
        if killed:
            with start(at) as run:
                assert run.stdout.readline() == b"epoch 1\n"
                run.kill()
            assert not (at / "artifacts" / NAME).exists()
        with start(at) as run:
            run.stdout.read()
        assert run.returncode == 0
        folder = at / "artifacts" / NAME
        stage = small.Stage("both", None, ("native", "model.onnx", "metadata.json"))
        found.append(small.snapshot(folder, stage))
        assert small.litter(at) == []
    assert found[0] == found[1]
    assert {"model.onnx", "metadata.json", "native/network.weights.h5"} <= set(found[0])
