"""Puts the pieces together: for the operator, and for one rollout driven from a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from dwcp_ml.rollout.loop import Loop
from dwcp_ml.rollout.measure import Measurement
from dwcp_ml.rollout.modes import adapter_for
from dwcp_ml.rollout.operator import Operator
from dwcp_ml.rollout.state import TERMINAL
from dwcp_ml.rollout.store import FileStore, ObjectStore, read_manifest

if TYPE_CHECKING:
    from pathlib import Path

    from dwcp_ml.rollout.actions import Event
    from dwcp_ml.rollout.cluster import Cluster
    from dwcp_ml.rollout.notify import Notifier
    from dwcp_ml.rollout.observation import Observation
    from dwcp_ml.rollout.rollout_metrics import RolloutMetrics
    from dwcp_ml.rollout.state import RolloutState
    from dwcp_ml.rollout.store import Record, Store


class Reporter:
    """Passes on what happens: metrics, webhooks, and one line of text a change."""

    def __init__(
        self,
        namespace: str,
        name: str,
        say: Callable[[str], None],
        notifier: Notifier,
        metrics: RolloutMetrics | None = None,
    ) -> None:
        """Report the rollout ``name`` of ``namespace``."""
        self._namespace, self._name, self._say = namespace, name, say
        self._notifier, self._metrics = notifier, metrics
        self._said = ""

    def round(self, record: Record, seen: Observation) -> None:
        """See ``Watch.round``."""
        state = record.state
        if self._metrics is not None:
            self._metrics.saw(self._namespace, self._name, state)
        line = f"{self._name}: {state.phase} {state.percent} %: {state.why}"
        if line != self._said:
            self._say(line)
            self._said = line

    def event(self, record: Record, event: Event) -> None:
        """See ``Watch.event``."""
        if event.topic is not None:
            text = f"{self._namespace}/{self._name}: {event.reason}: {event.message}"
            self._notifier.send(record.spec.notify, event.topic, text)

    def problem(self, record: Record, kind: str, text: str) -> None:
        """See ``Watch.problem``."""
        self._say(f"{self._name}: {kind}: {text}")
        if self._metrics is not None:
            self._metrics.problem(self._namespace, self._name, kind)


def make_operator(
    namespace: str | None, lease_namespace: str, health: str, metrics_port: int
) -> Operator:
    """An operator with its metrics on ``metrics_port``."""
    import logging

    from prometheus_client import REGISTRY, start_http_server

    from dwcp_ml.rollout.notify import Notifier
    from dwcp_ml.rollout.rollout_metrics import RolloutMetrics

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for chatty in ("httpx", "aiohttp.access"):  # one line a question, every few seconds
        logging.getLogger(chatty).setLevel(logging.WARNING)
    metrics = RolloutMetrics(REGISTRY)
    notifier = Notifier(metrics.webhook)
    start_http_server(metrics_port)
    say = logging.getLogger("dwcp.rollout").info

    def make_loop(cluster: Cluster, store: ObjectStore) -> Loop:
        reporter = Reporter(cluster.namespace, store.name, say, notifier, metrics)
        return _loop(cluster, store, reporter)

    return Operator(namespace, lease_namespace, health, make_loop)


async def run_file(
    cluster: Cluster, manifest: Path, state: Path, say: Callable[[str], None]
) -> RolloutState:
    """Drive the rollout of a file to its end; the state file lets a killed run be taken up.

    Raises:
        RolloutError: the manifest cannot be read.
    """
    import asyncio

    from dwcp_ml.rollout.notify import Notifier

    notifier = Notifier()
    name = str((read_manifest(manifest).get("metadata") or {}).get("name", manifest.stem))
    loop = _loop(
        cluster, FileStore(manifest, state), Reporter(cluster.namespace, name, say, notifier)
    )
    try:
        while True:
            reached, wait_s = await loop.round()
            if reached is not None and reached.phase in TERMINAL:
                return reached
            await asyncio.sleep(wait_s)
    finally:
        loop.close()
        notifier.close()


def _loop(cluster: Cluster, store: Store, reporter: Reporter) -> Loop:
    return Loop(
        store, lambda spec: adapter_for(cluster, spec), Measurement(cluster.namespace), reporter
    )
