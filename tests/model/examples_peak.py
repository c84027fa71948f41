"""Largest resident set, in MiB, of a process that makes one model's training examples."""

import sys
from pathlib import Path

from dwcp_ml import models
from dwcp_ml.telemetry.dataset import Part


def main(name: str, raw: Path) -> int:
    """Make them from a raw folder taken as a training part."""
    model = models.get(name)
    short = {"train_windows": 2000, "train_rows": 2000, "baseline_steps": 60}
    known = {k: v for k, v in short.items() if k in model.params_type.model_fields}
    part = Part(raw / "telemetry", raw / "truth", raw / "labeled_incidents.json", 60, "train")
    assert len(model.examples(part, model.params_type(**known))) == 2000
    # Not ru_maxrss, which begins with what the parent held when it started this process.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


if __name__ == "__main__":
    sys.stdout.write(str(main(sys.argv[1], Path(sys.argv[2]))))
