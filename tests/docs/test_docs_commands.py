"""Nothing in the documentation tells people to type what does not exist."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from doc_commands import CHECKS, ROOT, Line, command_lines, commands, fault, pages

BIN = Path(sys.executable).parent
ALL = [line for page in pages() for line in command_lines(page)]
LINES = [line for line in ALL if line.words[0] in CHECKS]
TUTORIAL = ROOT / "docs" / "tutorial.md"


@pytest.mark.parametrize("page", sorted({line.page for line in LINES}))
def test_every_command_subcommand_option_and_target_of_a_page_exists(page):
    faults = [(n.number, *n.words, why) for n in LINES if n.page == page and (why := fault(n))]
    assert not faults


def test_blocks_of_the_readme_and_the_tutorial_are_found():
    found = {line.words for line in LINES if line.block and line.page == "README.md"}
    assert ("make", "run") in found
    assert ("dvc", "metrics", "diff") in found
    assert ("go", "run", "./examples/quickstart") in found
    assert sum(line.page == "docs/tutorial.md" for line in LINES) > 30


@pytest.mark.parametrize(
    "text",
    [
        "dwcp modls list",
        "dwcp models lst",
        "dwcp drift --reference a --live b --windowh 3",
        "dwcp drift --live b",
        "dwcp retrain --if never",
        "dwcp serve a b",
        "kubectl dwcp rollout begin x --to v1.1",
        "make documents",
        "dvc repo",
        "dvc exp run -S bandwidth_predictor.epoch=20 report",
        "dvc repro reports",
        "python tools/doc.py",
        "python tools/docs.py --chek",
        "python -m dwcp_ml.nothing",
        "kubectl apply -k manifests/overlays/none",
        "pytest tests/none",
        "cd clients/go && go run ./examples/none",
    ],
)
def test_a_wrong_command_is_seen(text):
    found = [fault(Line(words, "page", 1, True)) for words in commands(text)]
    assert any(found)


def test_lines_are_taken_apart_as_a_shell_does():
    assert list(commands("A=1 dwcp x --cron '0 2 * * 0' > out; make y  # why")) == [
        ("dwcp", "x", "--cron", "0 2 * * 0", ">", "out"),
        ("make", "y"),
    ]


def documented(text):
    """The words of a line, which must stand in a block of some page."""
    (words,) = commands(text)
    assert words in {line.words for line in ALL if line.block}, f"no page has: {text}"
    return list(words)


def typed(folder, text, code=0):
    """Run a line of the documentation as it stands there."""
    words = documented(text)
    environment = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A registry with a version of node_reliability: a small real graph."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "tests" / "serving")
        from small_registry import linear, register

        folder = tmp_path_factory.mktemp("project")
        register(folder / "models", "node_reliability", "v1.0", linear())
    return folder


def test_the_registry_is_listed_shown_and_verified(project):
    assert "node_reliability" in typed(project, "dwcp models list")
    assert '"onnx_sha256"' in typed(project, "dwcp models show node_reliability")
    typed(project, "dwcp models verify")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_a_version_is_signed_and_demanded_as_the_page_says(project):
    typed(project, "openssl ecparam -name prime256v1 -genkey -noout -out key.pem")
    typed(project, "openssl ec -in key.pem -pubout -out key.pub")
    unsigned = typed(project, "dwcp models verify --public-key key.pub", code=15)
    assert "not signed" in unsigned
    typed(project, "dwcp models sign node_reliability --private-key key.pem")
    typed(project, "dwcp models verify --public-key key.pub")


def test_drift_is_compared_on_the_paths_of_the_readme(project):
    rng = np.random.default_rng(1)
    for name, days, move in (
        ("data/splits/train.parquet", 30, 0),
        ("samples/node_reliability/v1.0/a.parquet", 3, 2),
    ):
        path = project / name
        path.parent.mkdir(parents=True)
        hours = pd.date_range("2025-01-01", periods=days * 24 * 12, freq="5min", tz="UTC")
        rtt = rng.normal(50 + move, 1, len(hours))
        pd.DataFrame({"timestamp": hours, "rtt_ms": rtt}).to_parquet(path)
    said = typed(
        project, "dwcp drift --reference data/splits/train.parquet --live samples/node_reliability"
    )
    assert "rtt_ms" in said
    assert (project / "reports" / "drift.html").exists()


def test_a_model_is_backtested_on_a_file_of_yours(project):
    rng = np.random.default_rng(2)
    steps = 400
    bad = (np.arange(steps) % 50) < 5
    frames = [
        pd.DataFrame(
            {
                "entity_id": f"e{number}",
                "timestamp": np.arange(steps) * 60,
                "is_anomaly": bad.astype(int),
                "errors": rng.normal(size=steps) + 4 * bad,
            }
        )
        for number in range(6)
    ]
    pd.concat(frames).to_csv(project / "yours.csv", index=False)
    (project / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    typed(project, "dwcp backtest reliability --data yours.csv")
    assert (project / "reports" / "backtest.json").exists()


@pytest.mark.slow
def test_the_tutorial_s_small_fleet_runs_to_a_refused_registration(tmp_path):
    text = TUTORIAL.read_text()
    begin = text.index("    mkdir -p build/small")
    block = text[begin : text.index("\n\n", begin)]
    script = "\n".join(line[4:] for line in block.splitlines())
    environment = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    command = ["bash", "-ec", script]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "could not be evaluated" in done.stderr
    reports = tmp_path / "build" / "small" / "reports"
    assert (reports / "master_training_report.html").exists()
    assert not (tmp_path / "build" / "small" / "models").exists()
