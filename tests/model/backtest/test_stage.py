"""The stage takes every listed data set, refuses a wrong list, and its figures reach the report."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml

from dwcp_ml.backtest.stage import backtest_all, public_sources
from dwcp_ml.errors import ParamsError, UnreadableFileError
from dwcp_ml.evaluation.report import report
from dwcp_ml.models import read_params
from dwcp_ml.progress import EpochBar

ENTRY = {
    "file": "walk.csv.gz",
    "task": "bandwidth",
    "title": "A walk",
    "source": "made by the test",
    "licence": "none",
}


def folder(tmp_path, *entries):
    (tmp_path / "sources.yaml").write_text(yaml.safe_dump(list(entries)))
    return tmp_path


def walk(path):
    rng = np.random.default_rng(0)
    steps = 700
    pd.DataFrame(
        {
            "link_id": np.repeat(["a", "b"], steps),
            "timestamp": np.tile(np.arange(steps) * 5.0, 2),
            "throughput_mbps": 20 * np.exp(0.1 * rng.normal(size=2 * steps)),
        }
    ).to_csv(path, index=False)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    here = folder(tmp_path_factory.mktemp("public"), ENTRY, {**ENTRY, "title": "Again"})
    walk(here / "walk.csv.gz")
    params_file = here / "params.yaml"
    params_file.write_text(yaml.safe_dump({"evaluate": {"resamples": 20}}))
    out = here / "reports"
    out.mkdir()
    titles = []

    def log(title):
        titles.append(title)
        return EpochBar(lambda *_: None)

    backtest_all(here, out, read_params(params_file), log)
    return out, titles


def test_every_listed_data_set_has_its_entry(written):
    out, titles = written
    entries = json.loads((out / "backtest.json").read_text())["backtests"]
    assert [e["title"] for e in entries] == titles == ["A walk", "Again"]
    assert entries[0]["source"] == "made by the test"


def test_an_entry_does_not_depend_on_those_before_it(written):
    out, _ = written
    first, second = json.loads((out / "backtest.json").read_text())["backtests"]
    assert first["metrics"] == second["metrics"]
    assert first["gates"] == second["gates"]


def test_the_report_has_the_section_with_baselines_and_verdicts(written):
    out, _ = written
    report(out, [])
    page = (out / "master_training_report.html").read_text()
    section = page[page.index('id="backtest"') : page.index('id="data"')]
    for word in ("A walk", "made by the test", "persistence", "gradient boosting", "Verdict"):
        assert word in section


def test_without_a_backtest_the_report_says_so(tmp_path):
    report(tmp_path, [])
    page = (tmp_path / "master_training_report.html").read_text()
    assert "No backtest was run beside these reports" in page


@pytest.mark.parametrize(
    ("entries", "error", "says"),
    [
        ([{**ENTRY, "licens": "x"}], ParamsError, "licens"),
        ([{k: v for k, v in ENTRY.items() if k != "licence"}], ParamsError, "licence"),
        ([{**ENTRY, "task": "bandwith"}], ParamsError, "did you mean 'bandwidth'"),
        ([], ParamsError, "lists no data set"),
    ],
)
def test_a_wrong_list_is_refused(tmp_path, entries, error, says):
    with pytest.raises(error, match=says):
        public_sources(folder(tmp_path, *entries))


def test_a_folder_without_a_list_is_refused(tmp_path):
    with pytest.raises(UnreadableFileError, match=r"sources\.yaml"):
        public_sources(tmp_path)


def test_a_listed_file_that_is_not_there_is_named(tmp_path):
    here = folder(tmp_path, ENTRY)
    (here / "params.yaml").write_text("{}")
    with pytest.raises(UnreadableFileError, match=r"walk\.csv\.gz: no such file"):
        backtest_all(
            here, here, read_params(here / "params.yaml"), lambda _: EpochBar(lambda *_: None)
        )
    assert not (here / "backtest.json").exists()
