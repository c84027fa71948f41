"""params.yaml: typed, frozen, and helpful about a slip of the pen."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dwcp_ml.errors import ParamsError, UnreadableFileError
from dwcp_ml.models import available, read_params, section
from dwcp_ml.params import SimulateParams, parse


def written(tmp_path, value):
    path = tmp_path / "params.yaml"
    path.write_text(value if isinstance(value, str) else yaml.safe_dump(value))
    return path


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ({"simulat": {}}, "did you mean 'simulate'?"),
        ({"simulate": {"node": 4}}, "did you mean 'nodes'?"),
        ({"simulate": {"network": {"drop_ratee": 1}}}, "did you mean 'drop_rate'?"),
        ({"bandwidth_predictor": {"epoch": 3}}, "did you mean 'epochs'?"),
        ({"bandwith_predictor": {}}, "did you mean 'bandwidth_predictor'?"),
        ({"models": ["node_reliabilty"]}, "did you mean 'node_reliability'?"),
    ],
)
def test_unknown_key_is_refused_with_the_nearest_known_one(tmp_path, value, hint):
    with pytest.raises(ParamsError) as caught:
        read_params(written(tmp_path, value))
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        {"simulate": {"nodes": -1}},
        {"simulate": {"start": "2025-01-06T00:00:00"}},
        {"split": {"train": 0.7, "validation": 0.7, "test": 0.1}},
        {"evaluate": {"confidence": 2}},
        {"compression_selector": {"dropout": 1.5}},
        {"seed": "many"},
    ],
)
def test_impossible_value_is_refused_naming_its_key(tmp_path, value):
    with pytest.raises(ParamsError, match=next(iter(value))):
        read_params(written(tmp_path, value))


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "a: [1", "\x00"])
def test_file_that_is_no_mapping_is_unreadable(tmp_path, text):
    with pytest.raises(UnreadableFileError, match=r"params\.yaml"):
        read_params(written(tmp_path, text))


def test_missing_file_is_unreadable(tmp_path):
    with pytest.raises(UnreadableFileError, match="cannot read"):
        read_params(tmp_path / "none.yaml")


def test_models_take_the_common_seed_unless_they_name_their_own(tmp_path):
    path = written(tmp_path, {"seed": 7, "compression_selector": {"seed": 8}})
    params = read_params(path)
    seeds = {name: section(params, name).seed for name in available()}
    assert seeds.pop("compression_selector") == 8
    assert set(seeds.values()) == {7}


@given(key=st.text(min_size=1).filter(lambda k: k not in SimulateParams.model_fields))
def test_no_unknown_key_slips_into_a_section(key):
    with pytest.raises(ParamsError):
        parse(SimulateParams, {key: 1}, "params.yaml")
