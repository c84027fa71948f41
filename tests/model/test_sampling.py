"""Examples from parts larger than memory: the same sample however stored, and flat memory."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from fleet import fleet_parts
from hypothesis import given
from hypothesis import strategies as st

from dwcp_ml import models
from dwcp_ml.models.sampling import evenly
from dwcp_ml.params import SimulateParams
from dwcp_ml.telemetry import blocks
from dwcp_ml.telemetry.dataset import part_files
from dwcp_ml.telemetry.simulator import simulate

NAMES = [
    "bandwidth_predictor",
    "compression_selector",
    "consensus_latency",
    "node_reliability",
]
FEW = {
    "train_windows": 1234,
    "train_rows": 1234,
    "test_windows": 777,
    "test_rows": 777,
    "baseline_steps": 60,
    "train_stride": 5,
}
GROWTH_MIB = 25  # for 0.8 million rows more; holding them would take several times as much


def section(name):
    kind = models.get(name).params_type
    return kind(**{key: value for key, value in FEW.items() if key in kind.model_fields})


def assert_same(one, other):
    for field in ("features", "group", "time_s"):
        np.testing.assert_array_equal(getattr(one, field), getattr(other, field))
    for field in ("targets", "slices", "truth"):
        assert list(getattr(one, field)) == list(getattr(other, field))
        for key, values in getattr(one, field).items():
            np.testing.assert_array_equal(values, getattr(other, field)[key], err_msg=key)


def stored_again(part, folder, row_group, files):
    """The same rows as part files of that many and row groups of that size."""
    made = {}
    for kind, path in (("telemetry", part.telemetry), ("truth", part.truth)):
        made[kind] = folder / kind
        made[kind].mkdir()
        whole = pq.read_table(path)
        size = -(-whole.num_rows // files)
        for i in range(files):
            file = made[kind] / f"part-{i:05d}.parquet"
            pq.write_table(whole.slice(i * size, size), file, row_group_size=row_group)
    return replace(part, **made)


@pytest.mark.parametrize("role", ["train", "test"])
@pytest.mark.parametrize("name", NAMES)
def test_the_sample_depends_on_neither_blocks_nor_row_groups_nor_files(
    name, role, tmp_path, monkeypatch
):
    part, params = fleet_parts()[role], section(name)
    monkeypatch.setattr(blocks, "BLOCK_ROWS", 10**9)
    expected = models.get(name).examples(part, params)
    assert len(expected) == (1234 if role == "train" else 777)
    for i, (block, row_group, files) in enumerate([(600, 500, 1), (5000, 999, 3), (10**9, 77, 2)]):
        monkeypatch.setattr(blocks, "BLOCK_ROWS", block)
        folder = tmp_path / str(i)
        folder.mkdir()
        again = stored_again(part, folder, row_group, files)
        assert_same(models.get(name).examples(again, params), expected)


@given(st.integers(0, 5000), st.integers(1, 5000))
def test_a_thinned_sample_has_no_place_twice_and_reaches_both_ends(total, most):
    places = evenly(total, most)
    assert len(places) == min(total, most)
    assert (np.diff(places) > 0).all()
    if total <= most:
        assert places.tolist() == list(range(total))
    elif most > 1:
        assert (places[0], places[-1]) == (0, total - 1)


@pytest.fixture(scope="module")
def fleets(tmp_path_factory):
    """A quarter and a whole million rows: one part file linked under many names."""
    made = tmp_path_factory.mktemp("small") / "raw"
    simulate(SimulateParams(nodes=8, steps=16_384), made)
    folders = []
    for copies in (2, 8):
        raw = tmp_path_factory.mktemp(f"copies-{copies}")
        for kind in ("telemetry", "truth"):
            (raw / kind).mkdir()
            (file,) = part_files(made, kind)
            for i in range(copies):
                (raw / kind / f"part-{i:05d}.parquet").hardlink_to(file)
        (raw / "labeled_incidents.json").hardlink_to(made / "labeled_incidents.json")
        folders.append(raw)
    return folders


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peaks are read from /proc")
@pytest.mark.parametrize("name", NAMES)
def test_four_times_the_rows_take_no_more_memory(name, fleets):
    script = Path(__file__).with_name("examples_peak.py")
    peaks = [
        int(subprocess.check_output([sys.executable, script, name, raw], env=os.environ))
        for raw in fleets
    ]
    assert peaks[1] - peaks[0] < GROWTH_MIB
