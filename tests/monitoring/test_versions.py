"""A log of several versions: the one that answered is compared with itself."""

from __future__ import annotations

import json
import shutil

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from watched_fleet import MODEL, dwcp, fleet

from dwcp_ml.errors import DriftError
from dwcp_ml.export.session import score
from dwcp_ml.monitoring.model import open_model
from dwcp_ml.monitoring.telemetry import as_part
from dwcp_ml.monitoring.truth import of_telemetry
from dwcp_ml.monitoring.versions import answered_last, of_version
from dwcp_ml.serving.samples import Sample, as_table


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """Two versions, of which the later one is registered and serves nobody yet."""
    root = tmp_path_factory.mktemp("registry")
    for version in ("v1.0", "v1.1"):
        shutil.copytree(fleet() / "artifacts" / MODEL, root / MODEL / version)
    (root / MODEL / "latest").write_text("v1.1\n")
    return root


@pytest.fixture(scope="module")
def log(registry, tmp_path_factory):
    """What v1.0 answers now, and what v1.1 once answered, which was something else."""
    folder = tmp_path_factory.mktemp("log") / MODEL
    watched = open_model(registry / MODEL / "v1.0")
    part = as_part(fleet() / "splits/test.parquet", tmp_path_factory.mktemp("none"))
    few = of_telemetry(part, watched).examples.take(slice(None, None, 8))
    answers = score(watched.session, few.features)
    table = as_table(
        [Sample(MODEL, "v1.0", "r", float(at), {"features": few.features[i : i + 1]},
                {k: v[i : i + 1] for k, v in answers.items()}, {"features": watched.inputs})
         for i, at in enumerate(few.time_s)]
    )  # fmt: skip
    place = table.schema.get_field_index("anomaly_score")
    other = pc.add(table["anomaly_score"], pa.scalar(1.0, table["anomaly_score"].type))
    other = table.set_column(place, table.schema.field(place), other)
    for version, name, rows in (("v1.0", "2000.000", table), ("v1.1", "1000.000", other)):
        (folder / version).mkdir(parents=True)
        pq.write_table(rows, folder / version / f"{name}-host-000001.parquet")
    return folder


def moved(log, model, out):
    dwcp("drift", "--reference", fleet() / "splits/train.parquet", "--live", log,
         "--model", model, "--out", out, "--window-h", 6)  # fmt: skip
    windows = json.loads((out / "drift.json").read_text())["windows"]
    return {c["name"] for window in windows for c in window["columns"] if c["drifted"]}


def test_without_a_version_it_is_the_one_that_answered_last(registry, log, tmp_path):
    assert "output:anomaly_score" not in moved(log, registry / MODEL, tmp_path)


def test_a_named_version_is_compared_with_its_own_answers(registry, log, tmp_path):
    assert "output:anomaly_score" not in moved(log, f"{registry / MODEL}@v1.0", tmp_path / "a")
    assert "output:anomaly_score" in moved(log, f"{registry / MODEL}@v1.1", tmp_path / "b")


def test_a_version_that_answered_nothing_is_refused_by_name(log, tmp_path):
    with pytest.raises(DriftError, match=r"answers of v1.0, v1.1 and none of v2.0.*@v1.1"):
        of_version(log, "v2.0")
    assert of_version(log, MODEL) == log, "an exported model has no version"
    assert of_version(log / "v1.0", "v1.0") == log / "v1.0"
    assert answered_last(log) == "v1.0"
    assert answered_last(log / "v1.0") is None
    assert answered_last(tmp_path) is None
