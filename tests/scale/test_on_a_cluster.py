"""A master and two workers give what one process gives, and a lost worker changes nothing."""

import json
import os
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from small_graphs import register
from spark_cluster import QUICK, Cluster

from dwcp_ml import models
from dwcp_ml.errors import ContractError, EmptySplitError, RowOrderError, ScaleError
from dwcp_ml.telemetry.contract import validate
from dwcp_ml.telemetry.dataset import Part, read_manifest
from dwcp_ml.telemetry.simulator import simulate
from dwcp_ml.telemetry.split import parts, split

ROOT = Path(__file__).parents[2]
JAVA = shutil.which("java") or os.environ.get("JAVA_HOME")
pytestmark = [
    pytest.mark.skipif(not JAVA, reason="Spark needs Java 17, which is not there"),
    pytest.mark.skipif(find_spec("pyspark") is None, reason="pyspark: uv sync --group scale"),
]
NAMES = models.read_params(ROOT / "params.yaml").models


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def spark(cluster):
    from dwcp_ml.scale.spark import session

    settings = {
        "spark.executor.memory": "512m",
        "spark.executor.extraJavaOptions": QUICK,
        "spark.driver.extraJavaOptions": QUICK,
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.scheduler.minRegisteredResourcesRatio": "1.0",
    }
    with session(cluster.url, settings) as found:
        yield found


@pytest.fixture(scope="session")
def desk(tmp_path_factory):
    """A small parameter file, a fleet that one process made, and a registry."""
    folder = tmp_path_factory.mktemp("desk")
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["simulate"] |= {"nodes": 5, "steps": 1200, "nodes_per_part": 2}
    for section in (values[name] for name in NAMES):
        if "baseline_steps" in section:
            section["baseline_steps"] = 100
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    params = models.read_params(folder / "params.yaml")
    simulate(params.simulate, folder / "raw")
    for name in NAMES:
        register(folder / "models", models.get(name), models.section(params, name))
    return folder


@pytest.fixture(scope="session")
def params(desk):
    return models.read_params(desk / "params.yaml")


def rows(path):
    """All rows of a file or of a folder of parts, in their order."""
    files = sorted(path.glob("part-*.parquet")) if path.is_dir() else [path]
    return pa.concat_tables([pq.read_table(file) for file in files]).unify_dictionaries()


def assert_same_files(one, other):
    names = {p.relative_to(one) for p in one.rglob("*") if p.is_file()}
    assert names == {p.relative_to(other) for p in other.rglob("*") if p.is_file()} - {
        Path("_SUCCESS")
    }
    assert [n for n in names if (one / n).read_bytes() != (other / n).read_bytes()] == []


def test_both_workers_take_part(spark, cluster):
    from dwcp_ml.scale.work import Receipt, over_parts

    def where(number, scratch):
        time.sleep(0.2)
        return Receipt(number, 1, facts={"process": os.getppid()})

    found = over_parts(spark, 24, where, lambda done, total: None)
    assert len({receipt.facts["process"] for receipt in found}) == 2


def test_simulation_writes_the_bytes_of_one_process(spark, desk, params, tmp_path):
    from dwcp_ml.scale.simulate import simulate as scaled

    seen = []
    made = scaled(
        spark, params.simulate, str(tmp_path / "raw"), tick=lambda *done: seen.append(done)
    )
    assert made == read_manifest(desk / "raw")
    assert_same_files(desk / "raw", tmp_path / "raw")
    assert (tmp_path / "raw" / "_SUCCESS").exists()
    assert seen[-1] == (3, 3)


def test_good_telemetry_has_the_report_of_one_process(spark, desk, tmp_path):
    from dwcp_ml.scale.validate import validate as scaled

    scaled(spark, str(desk / "raw"), str(tmp_path / "spark"))
    validate(desk / "raw", tmp_path / "one")
    one, other = (
        json.loads((tmp_path / n / "data_quality.json").read_text()) for n in ("one", "spark")
    )
    assert one["expectations_evaluated"] > 150
    means = [[column.pop("mean") for column in r["columns"]] for r in (one, other)]
    assert one == other
    assert [np.isclose(a, b, rtol=1e-12) for a, b in zip(*means, strict=True) if a is not None]


def corrupted(raw, out):
    """Telemetry with each kind of fault; several in one part, and one between two parts."""
    shutil.copytree(raw, out)
    names = [out / "telemetry" / f"part-{n:05d}.parquet" for n in (0, 1, 2)]
    frames = [pq.read_table(name) for name in names]

    def change(frame, column, at, value):
        values = frame.column(column).to_pylist()
        for row in at:
            values[row] = value
        kind = frame.schema.field(column).type
        number = frame.schema.get_field_index(column)
        return frame.set_column(number, frame.schema.field(column), pa.array(values, kind))

    first = change(frames[0], "packet_loss", range(10), 1.5)
    first = change(first, "rtt_ms", range(100), None)
    first = change(first, "jitter_ms", range(1300), float("nan"))
    first = change(first, "link_type", [3, 4], "sea")
    first = change(first, "p95_latency_ms", range(7), 0.0)
    first = change(first, "epoch_time", [5], 17)
    second = frames[1].take([*range(50), 49, *range(50, 200), 300, 299, *range(310, 2400)])
    second = change(second, "cpu_usage", range(2000), -1.0)
    for name, table in zip(names, (second, first, frames[2]), strict=True):  # parts out of order
        pq.write_table(table, name)
    return out


def test_faults_have_the_verdict_and_the_counts_of_one_process(spark, desk, tmp_path):
    from dwcp_ml.scale.validate import validate as scaled

    raw = corrupted(desk / "raw", tmp_path / "raw")
    with pytest.raises(ContractError):
        validate(raw, tmp_path / "one")
    with pytest.raises(ContractError):
        scaled(spark, str(raw), str(tmp_path / "spark"))
    one, other = (
        json.loads((tmp_path / n / "data_quality.json").read_text()) for n in ("one", "spark")
    )
    assert one["expectations_failed"] >= 10
    for a, b in zip(one["results"], other["results"], strict=True):
        assert (a.pop("sample") == []) == (b.pop("sample") == [])  # any of them will do
        assert a == b


@pytest.mark.parametrize("by", ["time", "series_time"])
def test_the_split_has_the_rows_and_the_summary_of_one_process(spark, desk, params, tmp_path, by):
    from dwcp_ml.scale.split import split as scaled

    cut = params.split.model_copy(update={"by": by})
    scaled(spark, str(desk / "raw"), cut, str(tmp_path / "spark"), gap_steps=120)
    split(desk / "raw", cut, tmp_path / "one", gap_steps=120)
    for name in ("split.json", "labeled_incidents.json"):
        assert (tmp_path / "spark" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
    found = [p.name for p in (tmp_path / "one").glob("*.parquet")]
    assert len(found) == 6
    for name in found:
        assert rows(tmp_path / "spark" / name).equals(rows(tmp_path / "one" / name)), name


def test_training_reads_the_split_as_if_it_were_files(spark, desk, params, tmp_path):
    from dwcp_ml.scale.split import split as scaled

    scaled(spark, str(desk / "raw"), params.split, str(tmp_path / "spark"), gap_steps=120)
    split(desk / "raw", params.split, tmp_path / "one", gap_steps=120)
    for name in NAMES:
        section = models.section(params, name)
        made = [models.get(name).examples(parts(tmp_path / n)["train"], section)
                for n in ("one", "spark")]  # fmt: skip
        assert len(made[0]) > 20
        assert np.array_equal(made[0].features, made[1].features)


def test_bad_input_of_a_split_is_told_as_in_one_process(spark, desk, params, tmp_path):
    from dwcp_ml.scale.split import split as scaled

    with pytest.raises(EmptySplitError, match="one window takes 2,000"):
        cut = params.split.model_copy(update={"by": "series_time"})
        scaled(spark, str(desk / "raw"), cut, str(tmp_path / "a"), gap_steps=2000)
    raw = corrupted(desk / "raw", tmp_path / "raw")
    with pytest.raises(RowOrderError, match=r"part-0000[01]\.parquet: rows are not sorted"):
        scaled(spark, str(raw), params.split, str(tmp_path / "a"), gap_steps=120)
    assert {p.name for p in tmp_path.iterdir()} == {"raw"}


@pytest.mark.parametrize("name", NAMES)
def test_windows_and_answers_are_those_of_one_process(spark, desk, params, tmp_path, name):
    from dwcp_ml.export.session import open_session
    from dwcp_ml.export.session import score as answers
    from dwcp_ml.scale.score import score
    from dwcp_ml.scale.windows import unthinned, windows

    graph = desk / "models" / name / "v1.0"
    windows(spark, str(desk / "raw"), name, params, str(tmp_path / "windows"))
    count = score(spark, str(desk / "raw"), name, graph, params, str(tmp_path / "scores"))
    part = Part(desk / "raw" / "telemetry", None, None, params.simulate.step_s, "fresh")
    one = models.get(name).examples(part, unthinned(params, name))
    made, scored = rows(tmp_path / "windows"), rows(tmp_path / "scores")
    assert count == made.num_rows == scored.num_rows == len(one) > 500
    features = np.stack(made.column("features").to_numpy()).reshape(one.features.shape)
    assert np.array_equal(features, one.features)
    about = json.loads((tmp_path / "windows" / "windows.json").read_text())
    assert about["features_shape"] == list(one.features.shape[1:])
    for table in (made, scored):
        micros = table.column("timestamp").cast(pa.int64()).to_numpy()
        assert np.array_equal(micros, one.time_s * 10**6)
        codes = np.unique(table.column("entity").to_numpy(), return_inverse=True)[1]
        assert np.array_equal(codes, np.unique(one.group, return_inverse=True)[1])
    for key, values in one.targets.items():
        column = np.stack(made.column(f"target_{key}").to_numpy())
        assert np.array_equal(column, values, equal_nan=True)
    for key, values in answers(open_session(graph / "model.onnx"), one.features).items():
        assert np.array_equal(np.stack(scored.column(key).to_numpy()), values), key


def test_other_parameters_than_the_graphs_are_refused(spark, desk, params, tmp_path):
    from dwcp_ml.scale.score import score

    first, last = NAMES[0], NAMES[1]
    with pytest.raises(ScaleError, match="takes inputs of shape"):
        score(spark, str(desk / "raw"), first, desk / "models" / last / "v1.0", params,
              str(tmp_path / "scores"))  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_a_worker_killed_in_the_middle_doubles_and_loses_nothing(cluster, spark, desk, tmp_path):
    values = yaml.safe_load((desk / "params.yaml").read_text())
    values["simulate"] |= {"nodes": 20, "nodes_per_part": 1, "steps": 2000}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    params = models.read_params(tmp_path / "params.yaml")
    simulate(params.simulate, tmp_path / "one")
    spark.stop()  # its executors hold the cores
    job = subprocess.Popen(
        [Path(sys.executable).with_name("dwcp"), "scale", "simulate", "--master", cluster.url,
         "--params", "params.yaml", "--out", "raw",
         "--conf", "spark.driver.host=127.0.0.1", "--conf", "spark.executor.memory=512m",
         "--conf", "spark.scheduler.minRegisteredResourcesRatio=1.0"],
        cwd=tmp_path, env=os.environ | {"SPARK_LOCAL_IP": "127.0.0.1"},
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    draft = tmp_path / ".raw.part" / "telemetry"
    while job.poll() is None and len(list(draft.glob("part-*"))) < 4:
        time.sleep(0.02)
    before = len(list(draft.glob("part-*")))
    cluster.kill_worker()
    said = job.communicate()[1]
    assert job.returncode == 0, said
    assert 4 <= before < 20
    assert_same_files(tmp_path / "one", tmp_path / "raw")
