"""Turn the traffic column of the JumpStarter services into a CSV that `dwcp ingest` takes.

    python examples/traffic/to_csv.py jumpstarter_d2_services_0_7.npz traffic.csv

The data set has no timestamps: rows are five minutes apart, the test period follows the training
period, and the first row is put at the start of 2020.
"""

from __future__ import annotations

import csv
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

START = datetime(2020, 1, 1, tzinfo=UTC)
STEP = timedelta(minutes=5)
TRAFFIC = 10  # unnamed column that looks like bytes per step


def main(source: Path, target: Path) -> None:
    """Write one row a service and step: timestamp, service, traffic_bytes."""
    with np.load(source) as arrays, target.open("w", newline="", encoding="utf-8") as stream:
        services = sorted(
            name.removeprefix("train/") for name in arrays if name.startswith("train/")
        )
        rows = csv.writer(stream)
        rows.writerow(["timestamp", "service", "traffic_bytes"])
        for service in services:
            parts = [arrays[f"{period}/{service}"][:, TRAFFIC] for period in ("train", "test")]
            for step, traffic in enumerate(np.concatenate(parts)):
                rows.writerow([(START + step * STEP).isoformat(), service, f"{traffic:.0f}"])


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: to_csv.py SERVICES.npz TRAFFIC.csv")
    main(Path(sys.argv[1]), Path(sys.argv[2]))
