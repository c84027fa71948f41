"""A real Prometheus with the rules of manifests/, scraping what it is told to."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

RULES = Path(__file__).parents[2] / "manifests" / "monitoring" / "rules.yaml"
# What Grafana fills in, over everything there is.
FILLED_IN = {
    "$__rate_interval": "1m",
    "$__range": "5m",
    "$namespace": ".*",
    "$model": ".*",
    "$rollout": ".*",
}


def program() -> str | None:
    """Where Prometheus is."""
    return os.environ.get("PROMETHEUS") or shutil.which("prometheus")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@dataclass(frozen=True)
class Prometheus:
    """What can be asked."""

    url: str

    def ask(self, query: str) -> list[dict]:
        """Series and values of now."""
        for name, value in FILLED_IN.items():
            query = query.replace(name, value)
        got = httpx.get(f"{self.url}/api/v1/query", params={"query": query}, timeout=20).json()
        assert got["status"] == "success", f"{query}: {got.get('error')}"
        return got["data"]["result"]

    def rules(self) -> list[dict]:
        """Every rule with its health and its alerts."""
        got = httpx.get(f"{self.url}/api/v1/rules", timeout=20).json()
        return [rule for group in got["data"]["groups"] for rule in group["rules"]]

    def up(self) -> int:
        """How many targets answer."""
        try:
            found = self.ask("count(up == 1)")
        except (httpx.TransportError, ValueError):
            return 0
        return int(found[0]["value"][1]) if found else 0


@contextmanager
def prometheus(folder: Path, server_port: int, operator_port: int, drift_port: int):
    """Scrape a model server, an operator and drift's metrics five times a second."""
    jobs = [
        {
            "job_name": "server",
            "static_configs": [
                {
                    "targets": [f"127.0.0.1:{server_port}"],
                    "labels": {"namespace": "dwcp-models", "pod": "server-0"},
                }
            ],
        },
        {
            "job_name": "operator",
            "honor_labels": True,
            "static_configs": [
                {
                    "targets": [f"127.0.0.1:{operator_port}"],
                    "labels": {"namespace": "dwcp-system"},
                }
            ],
        },
        {
            "job_name": "push gateway",
            "honor_labels": True,
            "metrics_path": "/drift.prom",
            "static_configs": [
                {
                    "targets": [f"127.0.0.1:{drift_port}"],
                    "labels": {"namespace": "monitoring"},
                }
            ],
        },
    ]
    config = {
        "global": {
            "scrape_interval": "200ms",
            "scrape_timeout": "200ms",
            "evaluation_interval": "500ms",
        },
        "rule_files": [str(RULES)],
        "scrape_configs": jobs,
    }
    folder.mkdir()
    (folder / "prometheus.yml").write_text(json.dumps(config))
    port = free_port()
    process = subprocess.Popen(
        [
            str(program()),
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=error",
        ]
    )
    try:
        yield Prometheus(f"http://127.0.0.1:{port}")
    finally:
        process.kill()
        process.wait()
