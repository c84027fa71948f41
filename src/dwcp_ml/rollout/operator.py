"""The operator: one daemon per ModelRollout, one active process per Lease."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dwcp_ml.errors import RolloutError
from dwcp_ml.rollout.cluster import MODEL_ROLLOUT, Cluster, UnreachableError, connect
from dwcp_ml.rollout.lease import RENEW_S, Lease
from dwcp_ml.rollout.loop import IDLE_S, Loop, aborting
from dwcp_ml.rollout.state import TERMINAL, Phase
from dwcp_ml.rollout.store import ObjectStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from dwcp_ml.rollout.store import Record

LOG = logging.getLogger("dwcp.rollout")
FINALIZER = "dwcp.io/rollout"


class LeavingStore(ObjectStore):
    """The store of a rollout that is being deleted: it asks for an abort."""

    def __init__(self, cluster: Cluster, name: str, at: datetime) -> None:
        """Abort as of ``at``."""
        super().__init__(cluster, name)
        self._at = at

    def load(self) -> Record | None:
        """The rollout, told to abort."""
        record = super().load()
        if record is None:
            return None
        return replace(record, spec=aborting(record.spec, "deletion", self._at))


@dataclass
class Operator:
    """Settings of one operator process.

    Attributes:
        namespace: watched; None for all.
        lease_namespace: of the Lease.
        health: address of the liveness endpoint.
        make_loop: builds the loop of one rollout.
    """

    namespace: str | None
    lease_namespace: str
    health: str
    make_loop: Callable[[Cluster, ObjectStore], Loop]
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Wait for the lease, drive rollouts while it is ours, end when it is lost.

        Whoever loses the lease ends at once, and is started again to wait for it.
        """
        import kopf

        connect()
        lease = Lease(self.lease_namespace, "dwcp-rollout-operator", _identity())
        while not await asyncio.to_thread(lease.hold):
            LOG.info("another operator is active; waiting")
            if await _waited(self.stop, RENEW_S):
                return
        LOG.info("active as %s", lease.holder)
        registry = self._registry()
        keeper = asyncio.create_task(self._keep(lease))
        try:
            await kopf.operator(
                registry=registry,
                settings=_settings(),
                standalone=True,
                namespaces=[self.namespace] if self.namespace else (),
                clusterwide=self.namespace is None,
                liveness_endpoint=self.health,
                stop_flag=self.stop,
            )
        finally:
            keeper.cancel()
            await asyncio.to_thread(lease.release)

    async def _keep(self, lease: Lease) -> None:
        while await asyncio.to_thread(lease.hold):
            await asyncio.sleep(RENEW_S)
        LOG.error("the lease was lost; ending")
        self.stop.set()

    def _registry(self) -> Any:
        import kopf

        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry)(kopf.login_via_client)

        @kopf.daemon(  # type: ignore[untyped-decorator,unused-ignore]
            MODEL_ROLLOUT.group,
            MODEL_ROLLOUT.version,
            MODEL_ROLLOUT.plural,
            registry=registry,
            cancellation_timeout=None,
        )
        async def drive(name: str, namespace: str, stopped: Any, **_: object) -> None:
            await self.drive(Cluster(namespace), name, stopped)

        return registry

    async def drive(self, cluster: Cluster, name: str, stopped: Any) -> None:
        """Make rounds until the object is deleted or the operator ends.

        A rollout that is deleted half-way first goes back to stable.
        """
        loop = self.make_loop(cluster, ObjectStore(cluster, name))
        while not stopped:
            await stopped.wait(await _round(loop, name))
        loop.close()
        if not _deleted(stopped):
            return
        loop = self.make_loop(cluster, LeavingStore(cluster, name, datetime.now(UTC)))
        while not self.stop.is_set():
            wait_s = await _round(loop, name)
            left = await asyncio.to_thread(ObjectStore(cluster, name).load)
            if left is None or left.state.phase in TERMINAL or left.state.phase is Phase.PENDING:
                break
            await asyncio.sleep(wait_s)
        loop.close()


async def _round(loop: Loop, name: str) -> float:
    try:
        _, wait_s = await loop.round()
    except RolloutError as error:
        LOG.error("%s: %s", name, error)
        return IDLE_S * 5
    except UnreachableError as error:
        LOG.warning("%s: %s", name, error)
        return IDLE_S
    except Exception:
        # A defect must not end the daemon: the rollout would stand still at its percent.
        LOG.exception("%s: round failed", name)
        return IDLE_S
    return wait_s


def _deleted(stopped: Any) -> bool:
    import kopf

    return kopf.DaemonStoppingReason.RESOURCE_DELETED in (stopped.reason or ())


def _settings() -> Any:
    import kopf

    settings = kopf.OperatorSettings()
    settings.persistence.finalizer = FINALIZER
    settings.posting.enabled = False  # events are ours
    settings.scanning.disabled = True  # the kind is known; no right to list all kinds is needed
    settings.background.cancellation_polling = 2  # or a deleted rollout stays for a minute
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.networking.request_timeout = 15
    return settings


def _identity() -> str:
    return f"{os.environ.get('POD_NAME') or socket.gethostname()}_{os.getpid()}"


async def _waited(stop: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return False
    return True
