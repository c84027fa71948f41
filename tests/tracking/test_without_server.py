"""What a training is told when the tracking server is down, silent, unknown or not asked for."""

import json
import socket
import subprocess
import sys
import threading

import pytest
import small
from conftest import free_port

from dwcp_ml.errors import TrackingError
from dwcp_ml.kubeflow import steps
from dwcp_ml.telemetry.contract import validate
from dwcp_ml.tracking.after import needed_place
from dwcp_ml.tracking.server import Server


@pytest.fixture
def down():
    """URI of a server that is not there, with a password in it."""
    return {"MLFLOW_TRACKING_URI": f"http://me:hunter2@127.0.0.1:{free_port()}"}


@pytest.fixture
def silent():
    """URI of a server that takes every connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        kept = []

        def take():
            while True:
                try:
                    kept.append(door.accept()[0])
                except OSError:
                    return

        threading.Thread(target=take, daemon=True).start()
        yield {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{door.getsockname()[1]}"}
        door.shutdown(socket.SHUT_RDWR)


def test_stages_go_on_with_one_warning_that_says_how_to_repeat(dwcp, desk, down):
    said = dwcp("report", **down)
    assert said.count("warning") == 1
    assert said.startswith(
        f"warning: not tracked: the tracking server {down['MLFLOW_TRACKING_URI']}".replace(
            "me:hunter2", "***"
        )
    )
    assert "connection refused; 'dwcp track' sends it later" in said
    assert dwcp("register", **down) == f"{small.NAME} v1.0 registered\n"
    assert (desk / "models" / small.NAME / "latest").exists()
    assert "hunter2" not in (desk / "reports" / ".unsent.json").read_text()


def test_a_step_leaves_nothing_of_a_failed_try_in_the_bundle(
    finished, desk, down, tmp_path, monkeypatch
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", down["MLFLOW_TRACKING_URI"])
    validate(finished / "data/raw", desk / "reports")
    steps.report(
        str(desk / "reports" / "data_quality.json"),
        {small.NAME: str(desk)},
        *(str(tmp_path / name) for name in ("bundle", "page.html", "summary.md")),
    )
    assert (tmp_path / "bundle" / "reports" / "master_training_report.json").exists()
    assert not (tmp_path / "bundle" / "reports" / ".unsent.json").exists()


def test_another_result_or_place_is_tried_and_told_again(dwcp, desk, down):
    dwcp("report", **down)
    assert "warning" in dwcp("register", MLFLOW_TRACKING_URI=f"http://127.0.0.1:{free_port()}")
    assert "warning" in dwcp("register", **down)
    (desk / "reports/master_training_report.json").write_text(json.dumps({"another": 1}))
    assert "warning" in dwcp("register", **down)


def test_the_command_itself_fails_with_its_own_code(dwcp, down):
    said = dwcp("track", code=35, **down)
    assert said.startswith("error: the tracking server http://***@127.0.0.1:")
    assert "MLFLOW_TRACKING_URI is not set" in dwcp("track", code=35)


def test_a_server_that_never_answers_is_given_up(dwcp, silent, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert "cannot be reached: timed out" in dwcp("track", code=35, **silent)


def test_time_that_is_used_up_ends_the_sending(down):
    server = Server(needed_place(down), budget_s=-1)
    with pytest.raises(TrackingError, match="too slow"), server.asked():
        pass


def test_a_report_of_another_file_is_not_sent(dwcp, desk, down):
    with (desk / f"artifacts/{small.NAME}/model.onnx").open("ab") as file:
        file.write(b"x")
    assert "is about another file" in dwcp("track", code=10, **down)
    assert "is about another file" in dwcp("report", **down)


def test_an_unknown_model_and_empty_reports_are_named(dwcp, desk, down):
    assert "did you mean 'node_reliability'" in dwcp("track", "node_reliabilty", code=4, **down)
    assert "no report of a model" in dwcp("track", "--reports", desk / "none", code=10, **down)


def test_lineage_says_why_the_run_is_unknown(dwcp, down):
    dwcp("register")
    said = dwcp("models", "lineage", small.NAME, **down)
    assert "onnx sha256" in said
    assert "MLflow run: unknown: the tracking server" in said
    assert "hunter2" not in said


@pytest.mark.parametrize("command", ["--help", "report"])
def test_nothing_of_mlflow_is_imported_unasked(desk, command):
    code = (
        "import sys; from dwcp_ml.cli import main\n"
        f"try: main([{command!r}], prog_name='dwcp')\nexcept SystemExit: pass\n"
        "sys.exit(any(n.startswith(('mlflow', 'dwcp_ml.tracking.')) for n in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=desk, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
