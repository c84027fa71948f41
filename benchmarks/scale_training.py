"""Training by one process of one thread beside two workers of one thread each.

    python benchmarks/scale_training.py --splits data/splits --out docs/scale-training.json

Both take the same split, the same batch and the same seed, one after the other in every round, so
that what else the machine does weighs on both. Of each round the epoch after the first counts,
which also builds the graph; of the rounds the median. Beside it, from the same processes: how
long one all-reduce of that network takes when nothing is computed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from dwcp_ml import models
from dwcp_ml.files import write_json

BATCHES = (512, 4096)
EPOCHS, REPEATS = 2, 100
THREADS = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}


class Clock:
    """When epochs ended."""

    def __init__(self):
        self.ends = []

    def epoch(self, number, of, figures):
        """Note the time, and the processor's time of this process."""
        self.ends.append((time.perf_counter(), time.process_time()))

    def fastest(self):
        """Seconds and processor seconds of the fastest epochs but the first."""
        pairs = list(pairwise(self.ends))
        return {
            "epoch_s": min(b[0] - a[0] for a, b in pairs),
            "processor_s": min(b[1] - a[1] for a, b in pairs),
        }


def changed(params, name, batch):
    """Parameters with this batch and few epochs that all count."""
    values = {"batch_size": batch, "epochs": EPOCHS, "patience": EPOCHS}
    sections = params.sections | {name: params.sections.get(name, {}) | values}
    return params.model_copy(update={"sections": sections})


def worker(names, splits, params_path, result):
    """Train every model at every batch as the place in the environment says, or alone."""
    from dwcp_ml.scale.workers import team
    from dwcp_ml.scale.workers_link import linked

    place, params = team(os.environ), models.read_params(params_path)
    if place is None:
        found = measured(names, splits, params, None, result)
    else:
        with linked(place, 300.0) as link:
            found = measured(names, splits, params, link, result)
    if place is None or place.chief:
        write_json(result, found)


def measured(names, splits, params, link, result):
    """Figures by model and batch; the trained weights go beside ``result``."""
    from dwcp_ml.models.train import train
    from dwcp_ml.scale.workers_training import train_as

    found = {}
    with TemporaryDirectory() as folder:
        for name in names:
            for batch in BATCHES:
                clock, own = Clock(), changed(params, name, batch)
                place = (name, splits, own, Path(folder, "out"))
                done = train_as(link, *place, log=clock) if link else train(*place, log=clock)
                if link is None or link.team.chief:
                    keep(place, result.with_name(f"{name} {batch} {link is None}.npz"))
                found[f"{name} {batch}"] = clock.fastest() | {
                    "rows": done["rows"],
                    "all_reduce_ms": all_reduce_ms(link, size(link, place)) if link else None,
                }
    return found


def keep(place, file):
    """The weights that were written, as arrays."""
    name, _, _, out = place
    np.savez(file, *models.get(name).load(out / name / "native").network.get_weights())


def apart(folder, key):
    """Largest difference between the weights of one process and of two workers."""
    one, two = (np.load(folder / f"{key} {alone}.npz") for alone in (True, False))
    return max(float(np.abs(one[k] - two[k]).max()) for k in one.files)


def size(link, place):
    """Numbers that a step sums: the network's, which the chief has written."""
    name, _, _, out = place
    own = 0
    if link.team.chief:
        own = models.get(name).load(out / name / "native").network.count_params()
    return int(link.from_chief([np.array(own)])[0])


def all_reduce_ms(link, numbers):
    """Milliseconds of one all-reduce of so many floats, with nothing else to do; the median."""
    import tensorflow as tf

    one = tf.function(lambda x: link.sum([x])[0])
    x = tf.zeros([numbers])
    one(x)
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        one(x)
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


def run(workers, arguments, result):
    """One round of one kind."""
    from dwcp_ml.scale.workers import TENSORFLOW, Team
    from dwcp_ml.scale.workers_local import free_addresses

    command = [sys.executable, __file__, "--worker", str(result), *arguments]
    addresses = free_addresses(workers)
    processes = []
    for index in range(workers):
        place = {TENSORFLOW: Team(addresses, index).config} if workers > 1 else {}
        processes.append(subprocess.Popen(command, env=os.environ | THREADS | place))
    if [code for code in [p.wait() for p in processes] if code]:
        raise SystemExit("a worker failed")
    return json.loads(result.read_text())


def table(rounds):
    """Medians over the rounds, a row a model and batch."""
    rows = []
    for key, first in rounds[0][0].items():
        name, batch = key.split()

        def middle(kind, figure, key=key):
            return statistics.median(r[kind][key][figure] for r in rounds)

        ratios = [r[0][key]["epoch_s"] / r[1][key]["epoch_s"] for r in rounds]
        steps = sum(-(-n // int(batch)) for n in first["rows"].values())
        rows.append(
            {
                "model": name,
                "batch": int(batch),
                "rows": first["rows"],
                "one_epoch_s": round(middle(0, "epoch_s"), 3),
                "two_epoch_s": round(middle(1, "epoch_s"), 3),
                "speedup": round(statistics.median(ratios), 2),
                "one_processor_s": round(middle(0, "processor_s"), 3),
                "each_of_two_processor_s": round(middle(1, "processor_s"), 3),
                "all_reduce_ms": round(middle(1, "all_reduce_ms"), 2),
                "all_reduce_s_per_epoch": round(steps * middle(1, "all_reduce_ms") / 1000, 3),
            }
        )
    return rows


def main():
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=Path, default=Path("data/splits"))
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--models", nargs="+", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("docs/scale-training.json"))
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        worker(given.models, given.splits, given.params, given.worker)
        return
    arguments = ["--splits", str(given.splits), "--params", str(given.params)]
    arguments += ["--models", *given.models]
    with TemporaryDirectory() as folder:
        result = Path(folder, "result.json")
        rounds = [[run(n, arguments, result) for n in (1, 2)] for _ in range(given.rounds)]
        rows = table(rounds)
        for row in rows:
            row["weights_apart"] = apart(Path(folder), f"{row['model']} {row['batch']}")
            print(row)
    write_json(given.out, {"rounds": given.rounds, "epochs": EPOCHS, "rows": rows})


if __name__ == "__main__":
    main()
