"""The master report says exactly what the models' reports hold, and nothing nobody checked."""

import copy
import json
from html.parser import HTMLParser
from io import StringIO

import pytest
from rich.console import Console
from toy_model import NAME, make_workspace, toy_params, write_quality

from dwcp_ml import models
from dwcp_ml.errors import UnreadableFileError
from dwcp_ml.evaluation.evaluate import evaluate
from dwcp_ml.evaluation.report import report, summary_table
from dwcp_ml.evaluation.report.rows import headline_rows
from dwcp_ml.evaluation.report.text import bound, interval, moment, number, seconds, verdict
from dwcp_ml.files import write_json

VOID = {"meta", "br", "use", "path", "rect", "circle"}


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    root = make_workspace(tmp_path_factory.mktemp("workspace"))
    folders = root / "artifacts", root / "data" / "splits", root / "reports"
    found = evaluate(NAME, *folders, toy_params(), fresh=root / "data" / "fresh")
    yield found, root / "reports"
    models.available().pop(NAME, None)


@pytest.fixture
def reports(evaluated, tmp_path):
    """A folder with the toy's report and figures, to change at will."""
    import shutil

    shutil.copytree(evaluated[1], tmp_path / "reports")
    return tmp_path / "reports"


def change(reports, **changes):
    path = reports / f"{NAME}_report.json"
    write_json(path, json.loads(path.read_text()) | changes)


def failed_gates(found):
    gates = copy.deepcopy(found["gates"])
    gates[0] |= {"passed": False, "why": "25 is above 20"}
    return gates


def printed(master):
    console = Console(file=StringIO(), width=140)
    console.print(summary_table(master))
    return console.file.getvalue()


def test_approved_means_that_every_gate_of_every_model_passed(evaluated, reports):
    master = report(reports, [NAME])
    ready = master["production_readiness"]
    assert ready["deployment_recommendation"] == "APPROVED"
    assert ready["all_targets_met"] is True
    assert (master["overall_success"], master["models_trained"], master["models_passed"]) == (
        True, 1, 1,
    )  # fmt: skip
    assert json.loads((reports / "master_training_report.json").read_text()) == master
    change(reports, gates=failed_gates(evaluated[0]))
    master = report(reports, [NAME])
    assert master["production_readiness"]["deployment_recommendation"] == "FAILED"
    assert master["models"][NAME]["failed_gates"] == ["mape on test:all: 25 is above 20"]


def test_what_nobody_checked_is_null_and_never_true(reports):
    ready = report(reports, [NAME])["production_readiness"]
    assert ready["integration_tests_passed"] is None
    assert ready["go_api_compatibility"] is None
    assert ready["data_contract_passed"] is None


def test_a_failed_data_contract_is_never_approved(reports):
    write_quality(reports, success=False)
    master = report(reports, [NAME])
    assert master["production_readiness"]["data_contract_passed"] is False
    assert master["production_readiness"]["deployment_recommendation"] == "FAILED"
    assert not master["overall_success"]


def test_a_model_without_a_report_or_without_a_gate_has_failed(reports):
    master = report(reports, [NAME, "absent"])
    assert master["production_readiness"]["deployment_recommendation"] == "FAILED"
    assert master["models"]["absent"]["passed"] is False
    assert "no report" in printed(master)
    assert "absent" in (reports / "master_training_report.html").read_text()
    change(reports, gates=[])
    assert report(reports, [NAME])["overall_success"] is False
    assert report(reports, [])["overall_success"] is False


def test_equal_reports_give_equal_bytes(reports):
    report(reports, [NAME])
    files = sorted(reports.glob("master_training_report.*"))
    before = {f.name: f.read_bytes() for f in files}
    assert set(before) == {f"master_training_report.{e}" for e in ("html", "json", "md")}
    report(reports, [NAME])
    assert {f.name: f.read_bytes() for f in files} == before


def test_the_table_shows_headline_targets_beside_best_baseline_and_ceiling(evaluated, reports):
    rows = headline_rows(evaluated[0])
    assert [row["target"] for row in rows] == ["MAPE ≤ 20 %", "MAPE, skill over persistence ≥ 0"]
    assert rows[0]["baseline"]["name"] == "persistence"
    assert rows[0]["ceiling"] < rows[0]["test"]["value"] < rows[0]["baseline"]["value"]
    assert rows[1]["baseline"]["name"] == "mean"  # the rival itself has no skill over itself
    assert rows[1]["ceiling"] > rows[1]["test"]["value"]
    text = printed(report(reports, [NAME]))
    for word in ("model", "target", "test", "fresh", "best baseline", "ceiling", "verdict"):
        assert word in text
    assert "persistence" in text
    assert "all gates: 18 of 18" in text


def test_a_gate_that_is_no_headline_still_shows_as_failed(evaluated, reports):
    gates = copy.deepcopy(evaluated[0]["gates"])
    next(g for g in gates if g["name"] == "size")["passed"] = False
    change(reports, gates=gates)
    text = printed(report(reports, [NAME]))
    assert "all gates: 17 of 18" in text
    assert "FAIL" in text


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.links, self.text, self.ids = [], [], [], []

    def handle_starttag(self, name, attributes):
        found = dict(attributes)
        self.links += [v for k, v in attributes if k in ("href", "src", "xlink:href")]
        self.ids += [found["id"]] if name == "section" else []
        if name not in VOID:
            self.open.append(name)

    def handle_endtag(self, name):
        if name not in VOID:
            assert self.open.pop() == name

    def handle_data(self, data):
        self.text.append(data)


def parsed(reports):
    page = Page()
    page.feed((reports / "master_training_report.html").read_text())
    assert page.open == []
    return page


def test_the_page_is_well_formed_and_needs_no_network(reports):
    write_quality(reports, success=True)
    report(reports, [NAME])
    page = parsed(reports)
    assert all(link.startswith("#") for link in page.links)
    html = (reports / "master_training_report.html").read_text()
    for word in ("<script", "<link", "@import", "url(http", "<img"):
        assert word not in html
    assert "prefers-color-scheme: dark" in html
    assert {"summary", NAME, "data", "reading"} <= set(page.ids)


def test_the_page_shows_verdict_gates_rivals_slices_figures_and_quality(evaluated, reports):
    write_quality(reports, success=False)
    report(reports, [NAME])
    page = parsed(reports)
    text = " ".join(page.text)
    for word in ("FAILED", "persistence", "ceiling", "Slices", "Predicted against true",
                 "Loss while training", "Each fresh seed", "within 0 to 10000", "is_anomaly",
                 "Hyper-parameters", "No champion"):  # fmt: skip
        assert word in text
    for row in evaluated[0]["metrics"]:
        assert number(row["value"]) in text


def test_names_from_outside_cannot_become_markup(reports):
    change(reports, title="<script>alert(1)</script>", notes=["a & b < c"])
    report(reports, [NAME])
    html = (reports / "master_training_report.html").read_text()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "a &amp; b &lt; c" in html


def test_markdown_holds_the_same_verdicts(evaluated, reports):
    report(reports, [NAME, "absent"])
    text = (reports / "master_training_report.md").read_text()
    assert text.startswith("# DWCP models: FAILED\n")
    assert text.count("| pass |") >= len(evaluated[0]["gates"])
    assert "## absent" in text


def test_a_damaged_report_is_named(reports):
    (reports / f"{NAME}_report.json").write_text("{")
    with pytest.raises(UnreadableFileError, match=r"toy_report\.json is not JSON"):
        report(reports, [NAME])


def test_numbers_read_as_people_write_them():
    assert [number(v, u) for v, u in ((4.7031, "%"), (0.98823, "1"), (12345, ""), (None, "%"))] == [
        "4.703 %", "0.9882", "12,345", "-",
    ]  # fmt: skip
    assert bound("min", 0.98) == "≥ 0.98"
    assert interval({"ci_low": 4.6103, "ci_high": 4.7912}) == "4.61 to 4.79"
    assert interval({"ci_low": -12.3, "ci_high": 1900.4}) == "-12 to 1,900"
    assert interval({"ci_low": 1, "ci_high": 1}) == "1 to 1"
    assert interval({"ci_low": None, "ci_high": None}) == "-"
    assert [seconds(s) for s in (41.96, 125, None)] == ["42 s", "2 min 05 s", "-"]
    assert moment("2025-02-03T04:05:06+00:00") == "2025-02-03 04:05 UTC"
    assert [verdict(v) for v in (True, False, None)] == ["pass", "FAIL", "not checked"]
