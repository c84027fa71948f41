"""What a space may hold."""

from pathlib import Path

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dwcp_ml import models
from dwcp_ml.errors import ParamsError
from dwcp_ml.tuning.space import read_space, with_values

ROOT = Path(__file__).parents[2]
SPACES = ROOT / "tuning" / "spaces.yaml"


def section(name="node_reliability"):
    return models.section(models.read_params(ROOT / "params.yaml"), name)


@pytest.mark.parametrize("name", models.read_params(ROOT / "params.yaml").models)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_every_value_that_a_space_offers_is_one_its_model_takes(name, seed):
    space = read_space(SPACES, name, section(name))
    sampler = optuna.samplers.RandomSampler(seed=seed)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    values = space.suggest(optuna.create_study(sampler=sampler).ask())
    assert set(values) == set(space.vary)
    for key, vary in space.vary.items():
        if not vary.choices:
            assert vary.low <= values[key] <= vary.high
    with_values(section(name), values, "x")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("node_reliabilty: {}", "unknown model 'node_reliabilty'; did you mean 'node_reliability'"),
        ("bandwidth_predictor: {}", "has no space for node_reliability"),
        ("node_reliability: {vary: {}}", "at least 1 item"),
        (
            "node_reliability: {vary: {patience: {low: 1, high: 20}}, varies: 1}",
            "unknown key 'varies'; did you mean 'vary'",
        ),
        ("{patince: {low: 1, high: 20}}", "patince: unknown key; did you mean 'patience'"),
        ("{patience: {low: 0, high: 20}}", "patience: 0 is impossible: Input should be greater"),
        ("{patience: {low: 20, high: 1}}", "give low < high, or choices"),
        ("{patience: {low: 1}}", "give low < high, or choices"),
        ("{patience: {low: 1.0, high: 20.0}}", "whole number"),
        ("{boosting_learning_rate: {low: 1, high: 2}}", "is a fraction"),
        ("{patience: {low: 1, high: 9}}", "leaves out 15, which params.yaml has now"),
        ("{patience: {low: 1, high: 20, step: 4}}", "low plus a multiple of step"),
        ("{patience: {low: 1, high: 21, step: 4}}", "leaves out 15"),
        ("{patience: {low: 1, high: 20, log: true, step: 1}}", "log needs low > 0 and no step"),
        ("{patience: {choices: [15, 15]}}", "two choices are the same"),
        ("{patience: {choices: [15, many]}}", "many is impossible"),
        ("{patience: {choices: [15], low: 1}}", "choices stand alone"),
        ("{seed: {low: 1, high: 99}}", "seed: is not for tuning"),
    ],
)
def test_a_wrong_space_is_refused_in_words(tmp_path, text, says):
    path = tmp_path / "spaces.yaml"
    path.write_text(text if "reliab" in text or "band" in text
                    else f"node_reliability: {{vary: {text}}}")  # fmt: skip
    with pytest.raises(ParamsError) as caught:
        read_space(path, "node_reliability", section())
    assert says in str(caught.value)
