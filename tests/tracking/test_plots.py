"""What dvc.yaml promises to `dvc plots` and `dvc metrics` is there after a run."""

import csv
import json
from pathlib import Path

import pytest
import small
import yaml

ROOT = Path(__file__).parents[2]
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())
PLOTS = {path: about for entry in PIPELINE["plots"] for path, about in entry.items()}
DRAWN_BY = {"line": "series", "bar": "bars", "scatter": "agreement"}  # kind -> template


def header(path):
    with path.open(newline="") as stream:
        return next(csv.reader(stream))


def template(figure):
    if figure["kind"] == "line" and figure["diagonal"]:
        return "calibration"
    log = [axis for axis in "xy" if figure[f"log_{axis}"] and figure["kind"] == "line"]
    return "_".join((DRAWN_BY[figure["kind"]], *(f"log_{axis}" for axis in log)))


def test_every_figure_of_a_run_is_a_plot_with_its_labels(finished):
    report = json.loads((finished / f"reports/{small.NAME}_report.json").read_text())
    of_model = {p for p in PLOTS if p.startswith(f"reports/figures/{small.NAME}/")}
    assert of_model == {f"reports/figures/{figure['file']}" for figure in report["figures"]}
    for figure in report["figures"]:
        plot = PLOTS[f"reports/figures/{figure['file']}"]
        assert plot["template"] == template(figure)
        assert plot["y_label"] == figure["y_label"]
        assert plot["title"].lower().endswith(figure["title"].lower())


@pytest.mark.parametrize("path", PLOTS)
def test_every_plot_has_a_template_and_the_columns_it_names(finished, path):
    plot = PLOTS[path]
    drawn = (ROOT / ".dvc" / "plots" / f"{plot['template']}.json").read_text()
    json.loads(drawn)
    wanted = {plot["x"], plot["y"]} | ({"series"} if '"series"' in drawn else set())
    for run in (
        finished,
        ROOT,
    ):  # the small run has one model, the repository those it was run with
        if (run / path).exists():
            assert wanted <= set(header(run / path))
            break
    else:
        assert small.NAME not in path
        pytest.skip(f"{path} is made by a whole run only")


def test_every_model_of_the_parameters_has_plots_and_metrics(finished):
    names = set(yaml.safe_load((ROOT / "params.yaml").read_text())["models"])
    assert {path.split("/")[2] for path in PLOTS} == names
    (metrics,) = PIPELINE["stages"]["evaluate"]["do"]["metrics"]
    (path,) = (p.replace("${item}", small.NAME) for p in metrics)
    found = json.loads((finished / path).read_text())
    assert found["failed_gates"] == 0 or found["failed_gates"] > 0
    assert all(isinstance(value, float) for value in found["test"].values())
