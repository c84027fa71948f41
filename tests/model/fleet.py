"""One small simulated fleet, cut into parts, for the tests of the models built on it."""

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from dwcp_ml.params import SimulateParams, SplitParams
from dwcp_ml.telemetry.simulator import simulate
from dwcp_ml.telemetry.split import parts, split

GAP = 30


@cache
def fleet_parts(nodes: int = 24, steps: int = 3000, seed: int = 7):
    """Parts by role; made once in a test process."""
    root = Path(mkdtemp(prefix="dwcp-fleet-"))
    simulate(SimulateParams(nodes=nodes, steps=steps, seed=seed), root / "raw")
    split(root / "raw", SplitParams(), root / "splits", gap_steps=GAP)
    return parts(root / "splits")


class Quiet:
    """A training log that says nothing."""

    def epoch(self, number, of, figures):
        """Forget the epoch."""
