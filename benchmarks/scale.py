"""Stages over partitions on a Spark cluster of one and of two workers, beside one process.

    python benchmarks/scale.py --rows 5000000 10000000 --page docs/scale.md

Every worker has one core. One run measures all sides in turn, on the same rows; ratios are of one
run. Processor seconds count the driver apart from the workers and do not depend on what else the
machine does. Writes docs/scale.json, and with --page the figures of docs/scale.md.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from scale_page import write_page

from dwcp_ml import models
from dwcp_ml.files import write_json

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests" / "scale"))
STEPS, NODES_PER_PART = 20_000, 5  # parts of 100,000 rows
BILLION = 10**9


class Watch:
    """Processor seconds and greatest memory of the processes below some others."""

    def __init__(self, roots: list[int]) -> None:
        self._roots, self._end = roots, threading.Event()
        self.python_mb = self.java_mb = 0.0

    def _tree(self) -> Iterator[psutil.Process]:
        for root in self._roots:
            yield from psutil.Process(root).children(recursive=True)

    def cpu_s(self) -> float:
        """Of all processes, and of their children that have ended."""
        total = 0.0
        for process in self._tree():
            try:
                total += sum(process.cpu_times()[:4])
            except psutil.Error:
                continue
        return total

    def __enter__(self) -> Watch:
        self._began = self.cpu_s()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self.used_s = self.cpu_s() - self._began

    def _look(self) -> None:
        while not self._end.wait(0.3):
            for process in self._tree():
                try:
                    name, size = process.name(), process.memory_info().rss / 1e6
                except psutil.Error:
                    continue
                if name == "java":
                    self.java_mb = max(self.java_mb, size)
                else:
                    self.python_mb = max(self.python_mb, size)


def machine_s() -> tuple[float, float]:
    """Processor seconds of all processes so far, and those that the host gave to others."""
    times = psutil.cpu_times()
    return times.user + times.nice + times.system, getattr(times, "steal", 0.0)


def foreign(runs: list[dict[str, Any]]) -> dict[str, float]:
    """Shares of the machine's processor time that others took while stages ran."""
    timed = [stage for run in runs for stage in run["stages"].values()]
    whole = sum(stage["wall_s"] for stage in timed) * (os.cpu_count() or 1)
    return {
        "other_processes": round(sum(stage["other_s"] for stage in timed) / whole, 3),
        "host": round(sum(stage["stolen_s"] for stage in timed) / whole, 3),
    }


def stages(
    spark: Any, work: Path, params: Any, registry: Path, model: str
) -> dict[str, Callable[[], Any]]:
    """The stages on Spark, or in this process where there is no session."""
    raw, splits = work / "raw", work / "splits"
    gap = models.gap_steps(params)
    artifact = (registry / model / "latest").resolve()
    if spark is None:
        from dwcp_ml.telemetry.contract import validate
        from dwcp_ml.telemetry.simulator import simulate
        from dwcp_ml.telemetry.split import split

        return {
            "simulate": lambda: simulate(params.simulate, raw),
            "validate": lambda: validate(raw, work / "reports"),
            "split": lambda: split(raw, params.split, splits, gap_steps=gap),
            "score": lambda: score_here(raw, work / "scores", model, artifact, params),
        }
    from dwcp_ml.scale import score, simulate, split, validate  # type: ignore[no-redef]

    return {
        "simulate": lambda: simulate.simulate(spark, params.simulate, str(raw)),
        "validate": lambda: validate.validate(spark, str(raw), str(work / "reports")),
        "split": lambda: split.split(spark, str(raw), params.split, str(splits), gap_steps=gap),
        "score": lambda: score.score(
            spark, str(raw), model, artifact, params, str(work / "scores")
        ),
    }


def score_here(raw: Path, out: Path, model: str, artifact: Path, params: Any) -> None:
    """The same parts one after the other, with the same session."""
    from dwcp_ml.scale.places import published
    from dwcp_ml.scale.score import _ScoreFiles
    from dwcp_ml.scale.windows import Windows, read_telemetry, unthinned

    found = read_telemetry(str(raw), "test")
    with published(str(out), replace=False) as target:
        windows = Windows(found, model, unthinned(params, model))
        work = _ScoreFiles(windows, (artifact / "model.onnx").read_bytes(), target)
        for number in range(len(found.names)):
            with tempfile.TemporaryDirectory() as scratch:
                work(number, Path(scratch))


@contextmanager
def side(workers: int, folder: Path) -> Iterator[tuple[Any, list[int]]]:
    """A session on a cluster of so many workers, none for this process alone."""
    if not workers:
        yield None, []
        return
    from spark_cluster import Cluster

    from dwcp_ml.scale.spark import session

    folder.mkdir()
    cluster = Cluster(folder, workers)
    settings = {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.executor.memory": "768m",
        "spark.scheduler.minRegisteredResourcesRatio": "1.0",
        "spark.sql.shuffle.partitions": str(4 * workers),
        "spark.ui.enabled": "false",
    }
    try:
        with session(cluster.url, settings) as spark:
            spark.range(workers).mapInPandas(lambda rows: rows, "id long").collect()  # warm
            yield spark, [worker.pid for worker in cluster.workers]
    finally:
        cluster.close()


def timed(stage: Callable[[], Any], roots: list[int]) -> dict[str, Any]:
    """Seconds and memory of one stage, whose workers' processes are below ``roots``."""
    busy_s, stolen_s = machine_s()
    own = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    began = time.perf_counter()
    with Watch([os.getpid()]) as whole, Watch(roots) as watch:
        stage()
    wall = time.perf_counter() - began
    own = sum(resource.getrusage(resource.RUSAGE_SELF)[:2]) - own
    after = machine_s()
    return {
        "wall_s": round(wall, 2),
        "cpu_s": round(watch.used_s if roots else own, 2),
        # This process, and the JVM that plans for it.
        "driver_cpu_s": round(own + whole.used_s - watch.used_s, 2) if roots else None,
        "other_s": round(max(0.0, after[0] - busy_s - own - whole.used_s), 2),
        "stolen_s": round(after[1] - stolen_s, 2),
        "python_mb": round(watch.python_mb),
        "java_mb": round(watch.java_mb),
    }


def measure(rows: int, workers: int, registry: Path, model: str) -> dict[str, Any]:
    """Seconds and memory of every stage."""
    params = models.read_params(ROOT / "params.yaml")
    sizes = {"nodes": rows // STEPS, "steps": STEPS, "nodes_per_part": NODES_PER_PART}
    params = params.model_copy(update={"simulate": params.simulate.model_copy(update=sizes)})
    found: dict[str, Any] = {"rows": rows, "workers": workers, "stages": {}}
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        began = time.perf_counter()
        with side(workers, work / "cluster") as (spark, roots):
            found["start_s"] = round(time.perf_counter() - began, 1) if workers else 0.0
            for name, stage in stages(spark, work, params, registry, model).items():
                found["stages"][name] = timed(stage, roots)
                print(rows, workers, name, found["stages"][name], flush=True)
            found["shuffle_bytes"] = shuffled(spark) if workers else 0
        found["bytes"] = {
            name: sum(f.stat().st_size for f in (work / name).rglob("*") if f.is_file())
            for name in ("raw", "splits", "scores")
        }
        found["bytes"]["telemetry"] = sum(
            f.stat().st_size for f in (work / "raw" / "telemetry").iterdir()
        )
    return found


def shuffled(spark: Any) -> int:
    """Bytes that all executors have written for shuffles."""
    store = spark.sparkContext._jsc.sc().statusStore()
    executors = store.executorList(False)
    return sum(executors.apply(i).totalShuffleWrite() for i in range(executors.size()))


def extrapolated(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Core seconds a million rows at both sizes with all workers, and a billion rows from these."""
    most = max(run["workers"] for run in runs)
    mine = sorted((r for r in runs if r["workers"] == most), key=lambda r: r["rows"])
    small, large = mine[0], mine[-1]
    stages_ = {}
    for name in large["stages"]:
        low, high = (r["stages"][name]["cpu_s"] for r in (small, large))
        # What a job costs whatever its rows, and what each row adds.
        slope = (high - low) / (large["rows"] - small["rows"]) if small is not large else 0.0
        stages_[name] = {
            "cpu_s_a_million": [
                round(r["stages"][name]["cpu_s"] / r["rows"] * 1e6, 2) for r in (small, large)
            ],
            "time_goes_with_rows_to_the": round(
                float(_exponent(low, high, small["rows"], large["rows"])), 3
            ),
            "core_hours_a_billion": round(slope * BILLION / 3600, 2),
        }
    sizes = {name: round(size / large["rows"], 1) for name, size in large["bytes"].items()}
    return {"workers": most, "stages": stages_, "bytes_a_row": sizes}


def _exponent(low: float, high: float, small: int, large: int) -> float:
    import math

    return math.log(high / low) / math.log(large / small) if large > small else 1.0


def main() -> None:
    """Measure, and write docs/scale.json."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[5_000_000, 10_000_000])
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2], help="0: no Spark")
    parser.add_argument("--registry", type=Path, default=ROOT / "models")
    parser.add_argument("--model", default=sorted(models.available())[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "scale.json")
    parser.add_argument("--page", type=Path, help="Markdown page whose figures are replaced.")
    given = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "SPARK_LOCAL_IP": "127.0.0.1"}
    runs = [measure(r, w, given.registry, given.model) for r in given.rows for w in given.workers]
    words = " ".join(str(rows) for rows in given.rows)
    last = runs[-1]
    found = {
        "command": f"python benchmarks/scale.py --rows {words}",
        "model": given.model,
        "cores_of_the_machine": os.cpu_count(),
        "shares": foreign(runs),
        "runs": runs,
        "shuffle_bytes_a_row": round(last["shuffle_bytes"] / last["rows"], 1),
        "billion": extrapolated(runs),
    }
    write_json(given.out, found)
    if given.page:
        write_page(given.page, found)


if __name__ == "__main__":
    main()
