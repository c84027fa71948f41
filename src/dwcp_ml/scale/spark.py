"""A Spark session, or one sentence about why there is none; jobs with progress and plain errors."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dwcp_ml import errors
from dwcp_ml.errors import DwcpError, ScaleError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pyspark.sql import SparkSession

T = TypeVar("T")
LEAST_JAVA = 17
REACH_S = 5.0
POLL_S = 0.5
MASTER = re.compile(r"local(\[[\d*]+(,\s*\d+)?\])?|spark://\S+|k8s://\S+|yarn")
RAISED = re.compile(r"dwcp_ml\.errors\.(\w+): (.+)")
SETTINGS = {
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
    "spark.sql.session.timeZone": "UTC",
    # One thread for each Python worker: the cores are Spark's to share out.
    "spark.executorEnv.OMP_NUM_THREADS": "1",
    "spark.executorEnv.ORT_DISABLE_TELEMETRY": "1",
    # The contract has some 200 aggregates of one job: more than one generated method holds.
    "spark.sql.codegen.maxFields": "400",
}


@contextmanager
def session(master: str | None, settings: Mapping[str, str]) -> Iterator[SparkSession]:
    """A session that ends with the block.

    Args:
        master: Spark's URL of the cluster; None takes that of spark-submit, or all local cores.
        settings: Spark's own settings, above ours.

    Raises:
        ScaleError: no pyspark, no Java, an unknown or unreachable master.
    """
    submitted = "PYSPARK_GATEWAY_PORT" in os.environ  # under spark-submit its settings hold
    if not submitted:
        _check(master or "local[*]")
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName("dwcp")
    if master or not submitted:
        builder = builder.master(master or "local[*]")
    if not submitted:
        quiet = f"-Dlog4j2.configurationFile={Path(__file__).with_name('log4j2.properties')}"
        builder = builder.config("spark.driver.extraJavaOptions", quiet)
    if not submitted and (master or "local").startswith("local"):
        builder = builder.config("spark.driver.bindAddress", "127.0.0.1")
        builder = builder.config("spark.driver.host", "127.0.0.1")
        builder = builder.config("spark.ui.enabled", "false")
    for key, value in (SETTINGS | dict(settings)).items():
        builder = builder.config(key, value)
    try:
        spark = builder.getOrCreate()
    except Exception as error:  # py4j's, Java's and pyspark's own share no base
        raise ScaleError(f"Spark does not start: {_first_line(error)}") from error
    try:
        yield spark
    finally:
        spark.stop()


def _check(master: str) -> None:
    if find_spec("pyspark") is None:
        raise ScaleError("pyspark is not installed; run 'uv sync --group scale'")
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home, "bin", "java")) if home else shutil.which("java")
    if java is None or not Path(java).is_file():
        where = f"JAVA_HOME is {home}, which holds no bin/java" if home else "java is not on PATH"
        raise ScaleError(
            f"Spark needs Java {LEAST_JAVA}, and {where}; install it, for example "
            "'apt-get install openjdk-17-jre-headless'"
        )
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', said)
    if not found or int(found[1]) < LEAST_JAVA:
        version = found[1] if found else "unknown"
        raise ScaleError(f"Spark needs Java {LEAST_JAVA} or newer; {java} is version {version}")
    if not MASTER.fullmatch(master):
        raise ScaleError(
            f"'{master}' is no Spark master; write local[2], spark://HOST:7077, "
            "k8s://https://HOST:PORT or yarn"
        )
    if master.startswith("spark://"):
        _reach(master)


def _reach(master: str) -> None:
    """Spark itself would try for a minute and end the process."""
    reasons = []
    for address in master.removeprefix("spark://").split(","):
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), REACH_S).close()
        except (OSError, ValueError) as error:
            reasons.append(f"{address}: {error}")
        else:
            return
    raise ScaleError(f"the Spark master cannot be reached: {'; '.join(reasons)}")


def watched(
    spark: SparkSession, job: Callable[[], T], tick: Callable[[int, int], None], total: int = 0
) -> T:
    """What a job answers, telling the tasks that are done while it runs.

    Args:
        spark: the session that runs it.
        job: starts Spark's work and waits for it.
        tick: progress as (tasks done, tasks).
        total: tasks; 0 for those of the stages that run.

    Raises:
        DwcpError: one that a worker raised.
        ScaleError: anything else that ended the job.
    """
    tracker = spark.sparkContext.statusTracker()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(job)
        try:
            while True:
                try:
                    answer = future.result(POLL_S)
                    break
                except TimeoutError:
                    if future.done():  # it was the job's own
                        raise
                    _tell(tracker, tick, total)
        except KeyboardInterrupt:
            spark.sparkContext.cancelAllJobs()
            raise
        except Exception as error:
            raise _told(error) from error
    if total:
        tick(total, total)
    return answer


def _tell(tracker: Any, tick: Callable[[int, int], None], total: int) -> None:
    running = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
    known = [stage for stage in running if stage is not None]
    if known:
        tick(sum(s.numCompletedTasks for s in known), total or sum(s.numTasks for s in known))


def _told(error: Exception) -> Exception:
    """The failure that a worker met, as the same failure would read without Spark."""
    if isinstance(error, (DwcpError, MemoryError)):
        return error
    text = str(error)
    found = RAISED.search(text)
    kind = getattr(errors, found[1], None) if found else None
    if found and isinstance(kind, type) and issubclass(kind, DwcpError):
        return kind(found[2])
    if "MemoryError" in text or "OutOfMemoryError" in text:
        return MemoryError(_first_line(error))
    return ScaleError(f"the job failed: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    """The sentence that says most: the last line of a worker's stack trace, or the first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    python = [line for line in lines if re.match(r"[\w.]+(Error|Exception)\b.*: ", line)]
    return (python or lines or [type(error).__name__])[0][:300]
