"""A standalone cluster on loopback: a real master and two real workers, each a process."""

import os
import signal
import socket
import subprocess
import time
from contextlib import closing
from pathlib import Path

MEMORY_MB = 1024
QUICK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"  # a JVM that lives for seconds


def free_port():
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Cluster:
    """A master and workers of one core and 1 GiB each."""

    def __init__(self, folder, workers=2):
        import pyspark

        self.home, self.folder = Path(pyspark.__file__).parent, folder
        self.port, self.workers = free_port(), []
        self.url = f"spark://127.0.0.1:{self.port}"
        self.master = self._start(
            "master.Master", "--host", "127.0.0.1", "--port", self.port, "--webui-port", "0"
        )
        self._await(lambda: answers(self.port), "the master does not listen")
        for number in range(workers):
            self.workers.append(
                self._start(
                    "worker.Worker",
                    *("--host", "127.0.0.1", "--port", "0", "--webui-port", "0", "--cores", "1"),
                    *("--memory", f"{MEMORY_MB}m", "--work-dir", self.folder / f"work-{number}"),
                    self.url,
                )
            )
        self._await(
            lambda: self.said("master.Master").count("Registering worker") == workers,
            "the master does not know the workers",
        )

    def kill_worker(self, number=0):
        """As if its machine were gone: the worker and what it runs, without a word to anybody."""
        import psutil

        worker = self.workers.pop(number)
        for child in psutil.Process(worker.pid).children(recursive=True):
            os.kill(child.pid, signal.SIGKILL)
        worker.kill()
        worker.wait()

    def said(self, name):
        """What the processes of a name have logged."""
        return "".join(p.read_text() for p in sorted(self.folder.glob(f"{name}-*.log")))

    def close(self):
        for process in [*self.workers, self.master]:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, name, *words):
        log = self.folder / f"{name}-{len(self.workers)}-{time.monotonic_ns()}.log"
        settings = {
            "SPARK_HOME": str(self.home),
            "SPARK_DAEMON_MEMORY": "256m",
            "SPARK_DAEMON_JAVA_OPTS": QUICK,
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LOCAL_DIRS": str(self.folder / "local"),
        }
        with log.open("w") as file:
            return subprocess.Popen(
                [self.home / "bin" / "spark-class", f"org.apache.spark.deploy.{name}",
                 *map(str, words)],
                env=os.environ | settings,
                stdout=file,
                stderr=subprocess.STDOUT,
            )  # fmt: skip

    def _await(self, ready, why, seconds=90):
        end = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > end or self.master.poll() is not None:
                raise RuntimeError(f"{why}: {self.said('master.Master')[-2000:]}")
            time.sleep(0.1)


def answers(port):
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
