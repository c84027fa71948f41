"""Edits of params.yaml keep everything that they do not mean."""

import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dwcp_ml.errors import DwcpError, ParamsError, UnreadableFileError
from dwcp_ml.models import read_params
from dwcp_ml.tuning.writeback import diff, edited, read_text, write

ROOT = Path(__file__).parents[2]
KEYS = ["alpha", "beta", "gamma", "delta"]
NUMBERS = st.integers(-999, 999) | st.floats(-1e9, 1e9, allow_nan=False)
VALUES = NUMBERS | st.booleans() | st.lists(NUMBERS, min_size=1, max_size=3)
COMMENTS = st.sampled_from(["", "  # why", "   # of 'x': [1, 2]", " #"])
BETWEEN = st.sampled_from(["", "\n", "  # a line\n", "\n    # deep: 1\n"])


@st.composite
def documents(draw):
    """A params.yaml with a section "model" between two others, and what it means."""
    given_ = draw(st.dictionaries(st.sampled_from(KEYS), VALUES, min_size=1))
    ends = draw(st.sampled_from(["\n", "\r\n"]))
    lines = []
    for key, value in given_.items():
        text = yaml.safe_dump(value, default_flow_style=True).removesuffix("\n")
        lines.append(draw(BETWEEN) + f"  {key}: {text.removesuffix('...').strip()}{draw(COMMENTS)}")
    text = "\n".join(["# head", "first: {alpha: 1}", "model:  # ours", *lines])
    text += draw(st.sampled_from(["", "\n", "\n\nlast:\n  alpha: 3   # theirs\n"]))
    return text.replace("\n", ends)


@settings(deadline=None, max_examples=60)
@given(documents(), st.dictionaries(st.sampled_from(KEYS), VALUES))
def test_an_edit_sets_its_keys_and_leaves_every_other_character(text, values):
    before, after = yaml.safe_load(text), edited(text, "model", values)
    assert yaml.safe_load(after) == {**before, "model": before["model"] | values}
    old, new = text.splitlines(keepends=True), after.splitlines(keepends=True)
    kept = [line for line in old if not any(f"  {key}:" in line for key in values)]
    rest = iter(line.strip() for line in new)
    assert all(line.strip() in rest for line in kept)  # in their order
    comments = [line[line.index("#") :].strip() for line in old if "#" in line]
    rest = iter(new)
    assert all(any(comment in line for line in rest) for comment in comments)
    assert ("\r\n" in after) == ("\r\n" in text) or "\n" not in text
    assert edited(after, "model", values) == after


@settings(deadline=None, max_examples=60)
@given(documents(), st.text(max_size=40), st.integers(0, 400))
def test_whatever_the_file_is_the_edit_is_right_or_refused(text, noise, place):
    broken = text[:place] + noise + text[place:]
    try:
        after = edited(broken, "model", {"alpha": 0.25})
    except DwcpError:
        return
    before = yaml.safe_load(broken)
    assert yaml.safe_load(after) == {**before, "model": before["model"] | {"alpha": 0.25}}


@pytest.mark.parametrize(
    "text",
    [
        "other: {alpha: 1}",
        "model:",
        "model: {}",
        "model: 3",
        "- model",
        "model:\n  alpha:\n    - 1\n    - 2\n",
        "model:\n  alpha: |\n    one\n",
        "model:\n  alpha: 1\n  alpha: 2\n",
        "model: {alpha: 1}\nmodel: {alpha: 2}\n",
        "base: &b {alpha: 1}\nmodel:\n  <<: *b\n",
        "model:\n  beta: &x 1\n  alpha: *x\n",
    ],
)
def test_what_cannot_be_edited_safely_is_refused(text):
    with pytest.raises(ParamsError, match="by hand"):
        edited(text, "model", {"alpha": 7})


def test_no_yaml_and_no_file_are_told(tmp_path):
    with pytest.raises(UnreadableFileError, match="is not YAML"):
        edited("model: [", "model", {})
    with pytest.raises(UnreadableFileError, match="cannot read"):
        read_text(tmp_path / "none.yaml")


def test_numbers_stay_numbers():
    after = edited("model: {alpha: 1.0, beta: [64, 32]}  # end\n", "model",
                   {"alpha": 1e-05, "beta": [8, 4], "gamma": True})  # fmt: skip
    assert after == "model: {alpha: 1.0e-05, beta: [8, 4], gamma: true}  # end\n"


def test_the_diff_of_the_projects_own_file_is_one_that_git_applies(tmp_path):
    text = read_text(ROOT / "params.yaml")
    values = {"lstm_units": [96, 48], "learning_rate": 4.5e-05, "attention": True}
    after = edited(text, "bandwidth_predictor", values)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / "params.yaml").write_text(text)
    patch = diff(Path("params.yaml"), text, after)
    subprocess.run(["git", "apply"], input=patch, text=True, cwd=tmp_path, check=True)
    assert (tmp_path / "params.yaml").read_text() == after
    params = read_params(tmp_path / "params.yaml")
    assert params.sections["bandwidth_predictor"]["attention"] is True


def test_a_file_that_could_not_be_read_afterwards_stays_as_it_was(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("models: [node_reliability]\nnode_reliability: {patience: 3}\n")
    with pytest.raises(ParamsError):
        write(path, edited(path.read_text(), "node_reliability", {"patience": 0}))
    assert "patience: 3" in path.read_text()
    assert [p.name for p in tmp_path.iterdir()] == ["params.yaml"]
