"""`dvc repro` from nothing to registered versions, in a checkout of its own."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
SMALL = {
    "models": ["compression_selector", "node_reliability"],
    "simulate": {"nodes": 24, "steps": 4000, "nodes_per_part": 12},
    "fresh": {"seeds": [1001], "nodes": 24, "steps": 4000},
    "evaluate": {"resamples": 20},
    # Small data earns small figures: what is proved here is the machinery, not the models.
    "compression_selector": {
        "train_rows": 20_000,
        "validation_rows": 5_000,
        "test_rows": 10_000,
        "epochs": 12,
        "target_accuracy": 0.5,
        "max_mean_regret_pct": 20,
        "slice_min_clear_agreement": 0.3,
    },
    "node_reliability": {
        "train_rows": 40_000,
        "validation_rows": 10_000,
        "boosting_iterations": 60,
        "target_accuracy": 0.5,
        "max_false_positive_rate": 0.2,
        "min_average_precision": 0.5,
        "min_type_recall": 0.3,
        "slice_min_recall": 0.3,
    },
}


def small() -> dict:
    """The repository's own parameters, made small."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    for key, value in SMALL.items():
        params[key] = params[key] | value if isinstance(value, dict) else value
    return params


class Checkout:
    """A copy of the repository's files under git and DVC."""

    def __init__(self, folder: Path, params: dict) -> None:
        self.folder = folder
        self.environment = os.environ | {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "DVC_NO_ANALYTICS": "1",
            "OMP_NUM_THREADS": "1",
            "GIT_AUTHOR_NAME": "test",
            "GIT_AUTHOR_EMAIL": "t@example.org",
            "GIT_COMMITTER_NAME": "test",
            "GIT_COMMITTER_EMAIL": "t@example.org",
        }
        for name in (
            "src",
            "schemas",
            "dvc.yaml",
            ".dvcignore",
            ".gitignore",
            ".dvc/config",
            ".dvc/plots",
            "data/public/zstd.csv.gz",
        ):
            source = ROOT / name
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        listed = yaml.safe_load((ROOT / "data/public/sources.yaml").read_text())
        small = [entry for entry in listed if entry["file"] == "zstd.csv.gz"]
        (folder / "data/public/sources.yaml").write_text(yaml.safe_dump(small))
        self.write_params(params)
        self.run("git", "init", "-q")
        self.commit("start")

    def write_params(self, params: dict) -> None:
        (self.folder / "params.yaml").write_text(yaml.safe_dump(params))

    def commit(self, message: str) -> None:
        self.run("git", "add", "-A")
        self.run("git", "commit", "-qm", message)

    def run(self, *command: str, code: int = 0) -> str:
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    made = Checkout(tmp_path_factory.mktemp("checkout"), small())
    made.first_output = made.run("dvc", "repro")
    made.commit("first run")
    return made


def stages_run(output: str) -> set[str]:
    lines = [line for line in output.splitlines() if line.startswith("Running stage")]
    return {line.split("'")[1] for line in lines}


@pytest.mark.slow
class TestRepro:
    """One checkout, in this order."""

    def test_first_run_registers_every_model_and_says_approved(self, checkout):
        found = {p.parent.name for p in checkout.folder.glob("models/*/latest")}
        assert found == set(SMALL["models"])
        assert "APPROVED" in checkout.run("dwcp", "summary")
        assert "2 versions verified" in checkout.run("dwcp", "models", "verify")

    def test_nothing_noisy_is_printed(self, checkout):
        for noise in ("oneDNN", "cpu_feature_guard", "Traceback", "WARNING"):
            assert noise not in checkout.first_output

    def test_figures_on_real_measurements_are_in_the_report(self, checkout):
        page = (checkout.folder / "reports/master_training_report.html").read_text()
        assert "zstd on a shared machine" in page

    def test_second_run_does_nothing(self, checkout):
        output = checkout.run("dvc", "repro")
        assert stages_run(output) == set()

    def test_experiment_with_another_value_runs_and_is_listed(self, checkout):
        change = ("-S", "compression_selector.epochs=6")
        checkout.run("dvc", "exp", "run", "-n", "short", *change, "report")
        assert "short" in checkout.run("dvc", "exp", "show", "--csv")
        checkout.run("git", "checkout", "-q", ".")
        checkout.run("dvc", "checkout", "-q", "--force")

    def test_metrics_and_plots_are_shown(self, checkout):
        assert "test.mean_regret_pct" in checkout.run("dvc", "metrics", "show")
        checkout.run("dvc", "plots", "show", "-o", "plots")
        assert (checkout.folder / "plots" / "index.html").stat().st_size > 1000

    def test_parameter_of_one_model_reruns_that_model_only(self, checkout):
        changed = small()
        changed["compression_selector"]["epochs"] = 8
        checkout.write_params(changed)
        assert "compression_selector.epochs" in checkout.run("dvc", "params", "diff")
        ran = stages_run(checkout.run("dvc", "repro"))
        assert ran == {
            "train@compression_selector",
            "export@compression_selector",
            "evaluate@compression_selector",
            "backtest",
            "report",
            "register",
        }
        versions = {p.name for p in checkout.folder.glob("models/compression_selector/v*")}
        assert versions == {"v1.0", "v1.1"}
        lineage = checkout.run("dwcp", "models", "lineage", "compression_selector")
        assert "params" in lineage
        checkout.commit("fewer epochs")

    def test_failed_gate_exits_3_registers_nothing_and_still_reports(self, checkout):
        strict = small()
        strict["compression_selector"] |= {"epochs": 8, "target_accuracy": 1.0}
        checkout.write_params(strict)
        before = sorted(p.name for p in checkout.folder.glob("models/*/v*"))
        output = checkout.run("dvc", "repro", code=255)
        assert "exited with 3" in output
        assert sorted(p.name for p in checkout.folder.glob("models/*/v*")) == before
        assert "FAILED" in checkout.run("dwcp", "summary")
        checkout.run("git", "checkout", "-q", ".")

    def test_ingested_telemetry_is_kept_and_goes_the_same_way(self, checkout):
        source = checkout.folder / "mine.csv"
        source.write_bytes(_csv(checkout.folder / "data" / "raw"))
        (checkout.folder / "columns.yaml").write_text("step_s: 60\ntimezone: UTC\n")
        checkout.run("dwcp", "ingest", "--map", "columns.yaml", "mine.csv")
        params = small()
        params["models"] = ["node_reliability"]
        checkout.write_params(params)
        output = checkout.run("dvc", "repro", "report")
        assert "keeping the ingested telemetry" in output
        report = json.loads((checkout.folder / "reports/node_reliability_report.json").read_text())
        assert report["source"] == "ingest"
        assert {d["name"] for d in report["datasets"]} == {"test"}


def _csv(raw: Path) -> bytes:
    """The first part of a raw folder as CSV, without what only the simulator knows."""
    import io

    import pyarrow.csv as csv
    import pyarrow.parquet as pq

    table = pq.read_table(sorted((raw / "telemetry").glob("*.parquet"))[0])
    buffer = io.BytesIO()
    csv.write_csv(table, buffer)
    return buffer.getvalue()
