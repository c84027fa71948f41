"""A changed ONNX digest names what changed; the same things give the same digest again."""

import shutil

import pytest
import small

from dwcp_ml.evaluation.jsons import read_json
from dwcp_ml.files import sha256, write_json
from dwcp_ml.registry import lineage, lineage_lines


def rerun(forks, at, first):
    """Run a stage and all that follow, but for the registry."""
    names = [stage.name for stage in small.STAGES[:-1] if stage.name != "ingest"]
    for name in names[names.index(first) :]:
        assert forks.run(name, at)["error"] is None


def registered(at, commit="abc123"):
    small.register_version(at, commit)
    return lineage(at / "models", small.NAME)


@pytest.fixture
def at(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "place", symlinks=True)


def test_cold_run_of_everything_gives_the_same_digest_and_no_new_version(forks, at):
    model = at / "artifacts" / small.NAME / "model.onnx"
    before = sha256(model)
    shutil.rmtree(at / "data")
    shutil.rmtree(at / "artifacts")
    rerun(forks, at, "simulate")
    assert sha256(model) == before
    assert registered(at)["chain"]["version"] == "v1.0"


def test_other_data_is_named(forks, at):
    small.write_params(at, split={"train": 0.69, "validation": 0.16})
    rerun(forks, at, "split")
    found = registered(at)
    assert set(found["changed"]) == {"data"}
    assert {"sha256.train.parquet", "sha256.validation.parquet"} <= set(found["details"]["data"])
    assert "  data: " in "\n".join(lineage_lines(found))


def test_other_parameter_is_named_with_both_values(forks, at):
    small.write_params(at, **{small.NAME: {"boosting_iterations": 9}})
    rerun(forks, at, "train")
    found = registered(at)
    assert set(found["changed"]) == {"params"}
    assert found["details"]["params"] == {"boosting_iterations": [12, 9]}
    assert "    boosting_iterations: 12 -> 9" in lineage_lines(found)


def other_graph(at, mark="another", **metadata):
    """Another file from the same data and parameters, as other code or tools would give."""
    import onnx

    folder = at / "artifacts" / small.NAME
    graph = onnx.load(folder / "model.onnx")
    graph.producer_version = mark
    onnx.save(graph, folder / "model.onnx")
    about = read_json(folder / "metadata.json") | metadata
    write_json(folder / "metadata.json", about | {"onnx_sha256": sha256(folder / "model.onnx")})


def test_other_code_is_named(forks, at):
    other_graph(at)
    rerun(forks, at, "evaluate")
    found = registered(at, "def456")
    assert found["changed"] == {"code": ["abc123", "def456"]}


def test_uncommitted_code_counts_as_changed_even_on_one_commit(forks, at):
    other_graph(at)
    rerun(forks, at, "evaluate")
    registered(at, "abc123-dirty")
    other_graph(at, "a third")
    rerun(forks, at, "evaluate")
    found = registered(at, "abc123-dirty")
    assert found["changed"] == {"code": ["abc123-dirty", "abc123-dirty"]}
    assert "(uncommitted changes)" in lineage_lines(found)[-1]


def test_other_tool_version_is_named(forks, at):
    tools = read_json(at / "artifacts" / small.NAME / "metadata.json")["tools"]
    other_graph(at, tools=tools | {"numpy": "1.0.0"})
    rerun(forks, at, "evaluate")
    assert registered(at)["changed"] == {"numpy": [tools["numpy"], "1.0.0"]}


def test_another_file_from_the_same_things_says_that_nothing_recorded_explains_it(forks, at):
    other_graph(at)
    rerun(forks, at, "evaluate")
    found = registered(at)
    assert found["changed"] == {}
    assert "nothing that is recorded" in lineage_lines(found)[-1]
