"""The checks of benchmarks/behaviour.py run on models trained here, small but real."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))
sys.path.insert(0, str(Path(__file__).parents[1]))  # fleet
