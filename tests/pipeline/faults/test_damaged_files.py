"""A flipped byte in what a stage reads is one clear sentence, never a result."""

import numpy as np
import pytest
import small

from dwcp_ml.errors import RegistryError, UnreadableFileError
from dwcp_ml.export import quiet
from dwcp_ml.export.native import load_keras, load_sklearn, save_keras, save_sklearn
from dwcp_ml.params import SimulateParams
from dwcp_ml.telemetry.dataset import read_manifest
from dwcp_ml.telemetry.parquet import read_table
from dwcp_ml.telemetry.simulator import simulate
from dwcp_ml.telemetry.split import parts

PLACES = 12


def flips(path):
    """Flip one byte after another, spread over the file, and put each back."""
    whole = path.read_bytes()
    for place in np.linspace(0, len(whole) - 1, PLACES).astype(int):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        yield place
    path.write_bytes(whole)


@pytest.mark.parametrize("ending", ["json", "weights.h5"])
def test_network_with_a_flipped_byte_is_never_loaded(tmp_path, ending):
    keras = quiet.keras(42)
    save_keras(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]), tmp_path)
    for _ in flips(tmp_path / f"network.{ending}"):
        with pytest.raises(UnreadableFileError, match="is damaged; train it again"):
            load_keras(tmp_path)
    load_keras(tmp_path)


def test_forest_with_a_flipped_byte_in_its_numbers_is_never_loaded(tmp_path):
    from sklearn.ensemble import IsolationForest

    path = tmp_path / "forest.skops"
    rows = np.random.default_rng(0).normal(size=(100, 2))
    save_sklearn(IsolationForest(n_estimators=3, random_state=0).fit(rows), path)
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 0x10]) + whole[middle + 1 :])
    with pytest.raises(UnreadableFileError):
        load_sklearn(path)


def test_simulated_telemetry_with_a_flipped_byte_is_never_read(tmp_path):
    simulate(SimulateParams(nodes=4, steps=300), tmp_path / "raw")
    for kind in ("telemetry", "truth"):
        path = tmp_path / "raw" / kind / "part-00000.parquet"
        names = ["latent_mbps"] if kind == "truth" else ["throughput_mbps", "rtt_ms"]
        sound = read_table(path, names)
        for place in flips(path):
            try:
                assert read_table(path, names).equals(sound), (kind, place)  # another column's byte
            except UnreadableFileError:
                continue


def test_damaged_summary_and_manifest_are_named(tmp_path):
    for text in ('{"step_s', "{}", "[1]"):
        (tmp_path / "split.json").write_text(text)
        (tmp_path / "telemetry.json").write_text(text)
        with pytest.raises(UnreadableFileError, match=r"split\.json is damaged"):
            parts(tmp_path)
        with pytest.raises(UnreadableFileError, match=r"telemetry\.json"):
            read_manifest(tmp_path)


def test_damaged_version_in_the_registry_is_named_by_the_next_register(forks, place):
    at = place(small.BY_NAME["register"])
    assert forks.run("register", at)["error"] is None
    metadata = at / "models" / small.NAME / "v1.0" / "metadata.json"
    metadata.chmod(0o644)
    metadata.write_text("{")
    said = forks.run("register", at)["error"]
    assert said.startswith(f"{RegistryError.__name__}: {small.NAME} v1.0 is damaged"), said
