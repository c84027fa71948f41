"""One active operator: a Kubernetes Lease that is held, renewed and lost.

Two operators could do no harm to each other's patches, which all test a resourceVersion; the
lease keeps them from measuring and paging twice.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dwcp_ml.rollout.cluster import RaceLostError, RefusedError, UnreachableError, told_apart

if TYPE_CHECKING:
    from collections.abc import Callable

DURATION_S, RENEW_S = 15, 4


class Lease:
    """A Lease object of one namespace.

    Whether another holder is gone is judged by our own clock: its renewTime must stand still for
    DURATION_S since we first saw it, so that clocks of two machines need not agree.

    Args:
        namespace: of the Lease.
        name: of the Lease.
        holder: this process, for example the pod's name.
        clock: monotonic seconds.
    """

    def __init__(
        self, namespace: str, name: str, holder: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Hold nothing yet."""
        from kubernetes import client

        self._api = client.CoordinationV1Api()
        self._namespace, self._name, self.holder = namespace, name, holder
        self._clock = clock
        self._seen: tuple[Any, float] | None = None
        self._renewed: float | None = None

    def hold(self) -> bool:
        """Take or renew the lease; True while it is ours.

        An API server that cannot be asked does not end our term before DURATION_S is over.
        """
        try:
            held = self._try()
        except (UnreachableError, RaceLostError):
            return self._renewed is not None and (
                self._clock() - self._renewed < DURATION_S - RENEW_S
            )
        self._renewed = self._clock() if held else None
        return held

    def release(self) -> None:
        """Let the next holder in at once."""
        if self._renewed is None:
            return
        try:
            with told_apart():
                lease = self._api.read_namespaced_lease(self._name, self._namespace)
                if lease.spec.holder_identity == self.holder:
                    lease.spec.holder_identity = None
                    self._api.replace_namespaced_lease(self._name, self._namespace, lease)
        except (UnreachableError, RaceLostError, RefusedError):
            pass  # it runs out by itself
        self._renewed = None

    def _try(self) -> bool:
        from kubernetes import client

        now = datetime.now(UTC)
        with told_apart():
            lease = self._read()
            if lease is None:
                spec = client.V1LeaseSpec(
                    holder_identity=self.holder,
                    lease_duration_seconds=DURATION_S,
                    acquire_time=now,
                    renew_time=now,
                    lease_transitions=0,
                )
                meta = client.V1ObjectMeta(name=self._name, namespace=self._namespace)
                body = client.V1Lease(metadata=meta, spec=spec)
                self._api.create_namespaced_lease(self._namespace, body, _request_timeout=RENEW_S)
                return True
            if not self._may_take(lease.spec):
                return False
            if lease.spec.holder_identity != self.holder:
                lease.spec.acquire_time = now
                lease.spec.lease_transitions = (lease.spec.lease_transitions or 0) + 1
            lease.spec.holder_identity, lease.spec.renew_time = self.holder, now
            lease.spec.lease_duration_seconds = DURATION_S
            self._api.replace_namespaced_lease(
                self._name, self._namespace, lease, _request_timeout=RENEW_S
            )
        return True

    def _read(self) -> Any | None:
        from kubernetes.client import ApiException

        try:
            return self._api.read_namespaced_lease(
                self._name, self._namespace, _request_timeout=RENEW_S
            )
        except ApiException as error:
            if error.status == 404:
                return None
            raise

    def _may_take(self, spec: Any) -> bool:
        if spec.holder_identity in (None, "", self.holder):
            return True
        mark = (spec.holder_identity, spec.renew_time)
        if self._seen is None or self._seen[0] != mark:
            self._seen = (mark, self._clock())
            return False
        return self._clock() - self._seen[1] > DURATION_S
