"""The whole pipeline in subprocesses, and that it makes the very files that `dvc repro` makes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tiny import MODELS, ROOT, digests, dwcp, write_tiny

from dwcp_ml import errors
from dwcp_ml.kubeflow.compile import build
from dwcp_ml.kubeflow.outputs import missing_outputs
from dwcp_ml.kubeflow.settings import Settings
from dwcp_ml.models import read_params


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return tmp_path_factory.mktemp("local-run")


@pytest.fixture(scope="module")
def ran(workspace):
    """(folder of the run, what was printed) of the small fleet."""
    out, params = workspace / "runs", write_tiny(workspace)
    registry = workspace / "models"
    printed = dwcp("pipeline", "run", "--params", params, "--out", out, "--registry-uri", registry)
    (folder,) = (p for p in out.iterdir() if p.is_dir())
    return folder, printed


def metadata(folder: Path, task: str, artifact: str) -> dict:
    written = json.loads((folder / task / "executor_output.json").read_text())
    return written["artifacts"][artifact]["artifacts"][0]["metadata"]


@pytest.mark.slow
class TestSubprocessRun:
    """One run."""

    def test_every_model_is_registered_and_answers(self, ran, workspace):
        assert "2 versions verified" in dwcp("models", "verify", "--registry", workspace / "models")

    def test_it_makes_the_same_onnx_files_as_dvc_repro(self, ran, workspace):
        folder, _ = ran
        checkout = workspace / "checkout"
        checkout.mkdir()
        for name in ("src", "schemas"):
            shutil.copytree(ROOT / name, checkout / name)
        for name in ("dvc.yaml", ".dvcignore"):
            shutil.copy(ROOT / name, checkout)
        shutil.copy(workspace / "params.yaml", checkout)
        tools = Path(sys.executable).parent
        environment = os.environ | {
            "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
            "DVC_NO_ANALYTICS": "1",
        }
        for command in (
            ["init", "-q", "--no-scm"],
            ["repro", "-q", *(f"export@{m}" for m in MODELS)],
        ):
            done = subprocess.run(
                [tools / "dvc", *command],
                cwd=checkout,
                env=environment,
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stdout + done.stderr
        assert digests(folder / "report" / "bundle" / "artifacts") == digests(
            checkout / "artifacts"
        )

    def test_report_gate_tables_and_figures_are_shown(self, ran):
        folder, printed = ran
        page = folder / "report" / "page"
        assert str(page) in printed
        assert "<html" in page.read_text()[:500].lower()
        assert "APPROVED" in (folder / "report" / "summary").read_text()
        for model in MODELS:
            task = f"evaluate-{model.replace('_', '-')}"
            assert "| gate |" in (folder / task / "gates").read_text()
            assert metadata(folder, task, "metrics")["approved"] == 1.0
        assert metadata(folder, "report", "metrics")["models_passed"] == 2.0

    def test_detector_shows_confusion_matrix_and_roc_curve(self, ran):
        folder, _ = ran
        shown = metadata(folder, "evaluate-node-reliability", "decisions")
        rates = metadata(folder, "evaluate-node-reliability", "metrics")
        (_, alarms), (_, hits) = (row["row"] for row in shown["confusionMatrix"]["rows"])
        assert hits == round(10_000 * rates["test_recall"])
        assert alarms == round(10_000 * rates["test_false_positive_rate"])
        curve = shown["confidenceMetrics"]
        for rate in ("recall", "falsePositiveRate"):
            values = [point[rate] for point in curve]
            assert (values[0], values[-1]) == (0.0, 1.0)

    def test_exit_handler_ran(self, ran):
        folder, _ = ran
        assert (folder / "report-failure" / "outcome").read_text().startswith("# SUCCEEDED")

    def test_version_names_the_data_it_came_from(self, ran, workspace):
        folder, _ = ran
        resolved = json.loads((folder / "resolve" / "executor_output.json").read_text())
        about = json.loads((workspace / "models/node_reliability/latest/metadata.json").read_text())
        assert about["data"]["dvc_revision"] == resolved["parameterValues"]["content"]

    def test_any_output_that_is_not_there_is_noticed(self, ran, workspace):
        folder, _ = ran
        params = read_params(workspace / "params.yaml")
        spec = build("train", params, Settings(store=None), ROOT).pipeline_spec
        assert missing_outputs(spec, folder) == []
        copy = workspace / "copy"
        shutil.copytree(folder, copy)
        (copy / "report" / "page").write_text("")
        shutil.rmtree(copy / "split" / "splits")
        (copy / "register" / "executor_output.json").unlink()
        assert missing_outputs(spec, copy) == [
            "register/executor_output.json",
            "report/page",
            "split/splits",
        ]

    def test_models_below_their_gates_are_not_registered_and_the_reasons_are_told(
        self, ran, workspace
    ):
        from dwcp_ml.files import write_json
        from dwcp_ml.kubeflow import steps

        folder, _ = ran
        bundle = workspace / "bundle"
        shutil.copytree(folder / "report" / "bundle", bundle)
        path = bundle / "reports" / "node_reliability_report.json"
        report = json.loads(path.read_text())
        report["gates"][0] |= {"passed": False, "why": "0.1 is below 0.9"}
        write_json(path, report)
        evaluated = {"node_reliability": str(bundle)}
        steps.report(
            str(folder / "validate-data" / "quality"),
            evaluated,
            str(workspace / "failed"),
            str(workspace / "page.html"),
            str(workspace / "summary.md"),
        )
        assert "FAILED" in (workspace / "summary.md").read_text()
        with pytest.raises(SystemExit) as ended:
            steps.gate(str(workspace / "failed"))
        assert ended.value.code == errors.GateFailedError.exit_code


@pytest.mark.parametrize(
    ("uri", "revision", "says"),
    [
        ("/nowhere", "", "/nowhere holds no telemetry"),
        ("ftp://host/x", "", "is no data URI"),
        ("simulator:", "v1", "has no revisions"),
        ("dvc+/nowhere", "", "needs a revision"),
        ("dvc+/nowhere", "0" * 32, f"revision '{'0' * 32}' of dvc+/nowhere cannot be had"),
    ],
)
def test_missing_data_or_revision_fails_the_run_with_one_sentence(tmp_path, uri, revision, says):
    output = dwcp(
        "pipeline", "run", "--params", write_tiny(tmp_path), "--out", tmp_path / "runs",
        "--registry-uri", tmp_path / "models", "--data-uri", uri, "--revision", revision,
        code=errors.PipelineRunError.exit_code,
    )  # fmt: skip
    last = output.strip().splitlines()[-1]
    assert last.startswith("error: the pipeline failed: ")
    assert says in last
    assert not (tmp_path / "models").exists()


def test_unknown_key_in_a_section_fails_the_step_that_reads_it(tmp_path):
    output = dwcp(
        "pipeline", "run", "--params", write_tiny(tmp_path), "--out", tmp_path / "runs",
        "--registry-uri", tmp_path / "models", "--set", 'simulate={"nods": 4}',
        code=errors.PipelineRunError.exit_code,
    )  # fmt: skip
    assert "did you mean 'nodes'?" in output.strip().splitlines()[-1]


def test_unknown_parameter_is_refused_before_anything_runs(tmp_path):
    output = dwcp("pipeline", "run", "--set", "evaluat={}", code=errors.ParamsError.exit_code)
    assert "did you mean 'evaluate'?" in output


def test_parameters_survive_the_pipeline_s_numbers():
    from dwcp_ml.kubeflow.parameters import pipeline_parameters, read_parameters

    params = read_params(ROOT / "params.yaml")
    sections = pipeline_parameters(params)
    sections.pop("gap_steps")
    as_structs = json.loads(json.dumps(sections), parse_int=float)
    back = read_parameters(models=list(params.models), **as_structs)
    assert back.model_dump() == params.model_dump()
    given = yaml.safe_load((ROOT / "params.yaml").read_text())
    assert {m: back.sections[m] for m in params.models} == {m: given[m] for m in params.models}
