"""The loop: look, measure, decide, tell, write down what is wanted, then do it.

The state is persisted before the cluster is changed. A crash in between loses the change, never
the intention: the next round sees from the observation that it is still to be done.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from dwcp_ml.errors import RolloutError
from dwcp_ml.rollout.actions import Change, Event
from dwcp_ml.rollout.cluster import RaceLostError, RefusedError, UnreachableError
from dwcp_ml.rollout.decide import decide, needs
from dwcp_ml.rollout.observation import Observation
from dwcp_ml.rollout.state import TERMINAL

if TYPE_CHECKING:
    from dwcp_ml.rollout.adapter import Adapter
    from dwcp_ml.rollout.observation import Needs
    from dwcp_ml.rollout.spec import RolloutSpec
    from dwcp_ml.rollout.state import RolloutState
    from dwcp_ml.rollout.store import Record, Store

LOG = logging.getLogger("dwcp.rollout")
ACTIVE_S, IDLE_S = 1.0, 3.0


class Measure(Protocol):
    """Does what ``needs`` asks for; fills in the measured parts of an observation."""

    async def __call__(
        self, spec: RolloutSpec, needs: Needs, seen: Observation, adapter: Adapter
    ) -> Observation:
        """``seen`` with its measurements."""
        ...

    def close(self) -> None:
        """Stop what runs in the background."""
        ...


class Watch(Protocol):
    """Is told what happens, for metrics, messages and the console."""

    def round(self, record: Record, seen: Observation) -> None:
        """A round was made."""
        ...

    def event(self, record: Record, event: Event) -> None:
        """Something worth telling people happened."""
        ...

    def problem(self, record: Record, kind: str, text: str) -> None:
        """The API server could not be asked, refused, a race was lost, or nothing can be driven."""
        ...


@dataclass
class Loop:
    """Drives one rollout, round by round.

    Attributes:
        store: keeps spec and state.
        adapter_for: makes the adapter that the spec asks for; RolloutError where none fits.
        measure: measures.
        watch: is told.
        clock: aware time.
    """

    store: Store
    adapter_for: Callable[[RolloutSpec], Adapter]
    measure: Measure
    watch: Watch
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    _refused: str | None = None

    async def round(self) -> tuple[RolloutState | None, float]:
        """One look, one decision, at most one change.

        Returns:
            The state (None: the rollout is gone) and seconds until the next round.
        """
        import asyncio

        try:
            record = await asyncio.to_thread(self.store.load)
            if record is None:
                return None, IDLE_S
            return await self._step(record)
        except (UnreachableError, RaceLostError) as error:
            LOG.warning("%s", error)
            return None, IDLE_S

    async def _step(self, record: Record) -> tuple[RolloutState, float]:
        import asyncio

        wanted = needs(record.spec, record.state, self.clock())
        adapter, seen = await asyncio.to_thread(self._look, record)
        if adapter is not None and seen.unreachable is None and seen.undrivable is None:
            seen = await self.measure(record.spec, wanted, seen, adapter)
        actions, state = decide(record.spec, record.state, seen, self.clock())
        for action in actions:
            if isinstance(action, Event):
                await asyncio.to_thread(self._tell, record, action)
        if state != record.state:
            record = await asyncio.to_thread(self.store.save, record, state)
        for action in actions:
            if not isinstance(action, Event) and adapter is not None:
                await asyncio.to_thread(self._change, record, adapter, action)
        self.watch.round(record, seen)
        return state, IDLE_S if state.phase in TERMINAL else ACTIVE_S

    def close(self) -> None:
        """Stop measuring."""
        self.measure.close()

    def _look(self, record: Record) -> tuple[Adapter | None, Observation]:
        adapter = None
        try:
            adapter = self.adapter_for(record.spec)
            return adapter, Observation(adapter.view(), refused=self._refused)
        except (UnreachableError, RefusedError) as error:
            self.watch.problem(record, "unreachable", str(error))
            return adapter, Observation(None, unreachable=str(error))
        except RolloutError as error:
            if record.state.phase not in TERMINAL:
                self.watch.problem(record, "undrivable", str(error))
            return adapter, Observation(None, undrivable=str(error))

    def _tell(self, record: Record, event: Event) -> None:
        with suppress(UnreachableError):
            self.store.event(record, event)
        self.watch.event(record, event)

    def _change(self, record: Record, adapter: Adapter, change: Change) -> None:
        self._refused = None
        try:
            adapter.apply(change)
        except RaceLostError as error:
            self.watch.problem(record, "race", str(error))
        except UnreachableError as error:
            self.watch.problem(record, "unreachable", str(error))
        except (RefusedError, RolloutError) as error:
            self._refused = str(error)
            self.watch.problem(record, "refused", str(error))


def aborting(spec: RolloutSpec, by: str, at: datetime) -> RolloutSpec:
    """The spec with an order to abort, for a rollout that is being deleted."""
    from dwcp_ml.rollout.spec import Command

    command = Command(name="abort", id=f"deleted-{at.isoformat()}", by=by, at=at.isoformat())
    return spec.model_copy(update={"command": command, "paused": False})
