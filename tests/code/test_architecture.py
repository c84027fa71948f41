"""The house rules that a machine can hold."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))


def test_imports_point_one_way():
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("heavy", ["tensorflow", "great_expectations", "sklearn", "pandas", "onnx"])
def test_help_loads_no_heavy_package(heavy):
    code = (
        "import sys; from dwcp_ml.cli import main\n"
        "try: main(['--help'], prog_name='dwcp')\nexcept SystemExit: pass\n"
        f"sys.exit({heavy!r} in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, f"dwcp --help imports {heavy}"
    assert "register" in done.stdout


def test_every_model_module_is_found_without_being_named_elsewhere():
    from dwcp_ml.models import available

    names = set(available())
    assert names == {
        "bandwidth_predictor",
        "compression_selector",
        "consensus_latency",
        "node_reliability",
    }
    of_one_model = {"models", "backtest"}  # a backtest is the one of a model
    outside = [
        p
        for p in SOURCES
        if not of_one_model & set(p.parts)
        and any(re.search(rf"\b{n}\b", p.read_text()) for n in names)
    ]
    assert outside == [], "a stage names a model; it should be generic over models"


def test_no_source_file_is_longer_than_300_lines():
    long = [p.name for p in SOURCES if len(p.read_text().splitlines()) > 300]
    assert long == []


def test_params_file_and_dvc_stages_name_the_same_models():
    from dwcp_ml.models import available, read_params

    params = read_params(ROOT / "params.yaml")
    assert set(params.models) == set(available())
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert stages["train"]["foreach"] == "${models}"


def test_each_failure_has_an_exit_code_of_its_own():
    from dwcp_ml import errors

    classes = [c for c in vars(errors).values() if isinstance(c, type)]
    codes = [c.exit_code for c in classes if issubclass(c, errors.DwcpError)]
    assert len(codes) == len(set(codes))
    assert 2 not in codes, "2 is click's own code for a wrong option"
