"""Speed of simulate beside numpy's normals, and of ingest, validate and split as rows grow."""

from __future__ import annotations

import math
import shutil
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import yaml
from bench_common import Figure, Spent, spent, turns

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[1]
ROWS_PER_S, TIMES_NORMALS = 200_000, 10
PEAK_MB, EXPONENT = 2000, 1.1
SCAN = """
from pathlib import Path
import pyarrow.parquet as pq
for path in sorted(Path("data/raw/telemetry").glob("*.parquet")):
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=131072, use_threads=False):
            pass
"""


def simulate_figures(given: Namespace) -> list[Figure]:
    """Rows a second, and the time beside that of drawing a normal for every cell."""
    import numpy as np

    from dwcp_ml.models import read_params
    from dwcp_ml.telemetry.dataset import part_files
    from dwcp_ml.telemetry.simulator import simulate

    steps = read_params(ROOT / "params.yaml").simulate.steps
    nodes = max(4, given.simulate_rows // steps)
    steps = min(steps, given.simulate_rows // nodes)
    size = {"nodes": nodes, "steps": steps}
    params = read_params(ROOT / "params.yaml").simulate.model_copy(update=size)
    with TemporaryDirectory(dir=given.work, prefix="bench-") as folder:
        out = Path(folder) / "raw"
        simulate(params, out)
        cells = sum(_numbers(part_files(out, kind)[0]) for kind in ("telemetry", "truth"))

        def normals(kind: type[np.floating]) -> None:
            rng = np.random.default_rng(42)
            for _ in range(nodes):
                rng.standard_normal((steps, cells), dtype=kind)

        double = turns(lambda: simulate(params, out), lambda: normals(np.float64), given.rounds)
        single = turns(lambda: simulate(params, out), lambda: normals(np.float32), given.rounds)
    rows = nodes * steps
    note = f"{rows:,} rows, files written and synced"
    peer = (
        f"`default_rng(42).standard_normal((steps, {cells}), dtype=...)` a node: one normal for "
        "each number of telemetry and truth; words and their constants do not count"
    )
    return [
        Figure("simulate", rows / double.ours_s, "rows/s", ROWS_PER_S, least=True, note=note),
        Figure("simulate / float64 normals", double.ratio, "x", TIMES_NORMALS, note=peer),
        Figure("simulate / float32 normals", single.ratio, "x", note="the same, single precision"),
    ]


def _numbers(path: Path) -> int:
    """Columns of a Parquet file that are no words."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pq.read_schema(path)
    return sum(not pa.types.is_dictionary(f.type) for f in schema)


def rows_figures(given: Namespace) -> list[Figure]:
    """Peak memory at most rows, and how processor time grows with rows."""
    taken: dict[str, list[Spent]] = {}
    rows = sorted(given.rows)
    for count in rows:
        with TemporaryDirectory(dir=given.work, prefix="bench-") as folder:
            for step, used in _steps(count, Path(folder)):
                taken.setdefault(step, []).append(used)
                print(f"{count:,} rows: {step} {used}", file=sys.stderr, flush=True)
    found = []
    for step, used in taken.items():
        times = ", ".join(f"{u.processor_s:.1f} s" for u in used)
        at = ", ".join(f"{count:,}" for count in rows)
        scan = used[-1].processor_s / taken["scan"][-1].processor_s
        note = f"processor time at {at} rows: {times}; {scan:.1f} x pyarrow's scan of the most"
        if step == "scan":
            continue
        peak_mb = max(u.peak_mib for u in used) * 2**20 / 1e6
        found.append(Figure(f"{step}: peak memory", peak_mb, "MB", PEAK_MB))
        if len(rows) > 1:
            power = exponent(rows, [u.processor_s for u in used])
            found.append(Figure(f"{step}: time ~ rows^", power, "", EXPONENT, note=note))
    return found


def exponent(rows: Sequence[int], seconds: Sequence[float]) -> float:
    """Least-squares slope of log time over log rows; 1 is linear, below 1 a fixed part weighs."""
    x, y = ([math.log(v) for v in values] for values in (rows, seconds))
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    over = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return over / sum((a - mean_x) ** 2 for a in x)


def _steps(rows: int, work: Path) -> list[tuple[str, Spent]]:
    """Run every step on a fleet of about that many rows, each a process of its own."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    steps = min(params["simulate"]["steps"], rows // 4)
    params["simulate"] |= {"nodes": round(rows / steps), "steps": steps}
    (work / "params.yaml").write_text(yaml.safe_dump(params))
    (work / "columns.yaml").write_text(yaml.safe_dump({"step_s": params["simulate"]["step_s"]}))
    run = partial(_dwcp, work)
    run("simulate")
    found = [("scan", spent([sys.executable, "-c", SCAN], work))]
    files = sorted(str(p.relative_to(work)) for p in work.glob("data/raw/telemetry/*"))
    found.append(("ingest", run("ingest", "--map", "columns.yaml", "--out", "ingested", *files)))
    shutil.rmtree(work / "ingested")
    return [*found, ("validate", run("validate")), ("split", run("split"))]


def _dwcp(work: Path, *arguments: str) -> Spent:
    return spent([sys.executable, "-m", "dwcp_ml.cli", *arguments], work)
