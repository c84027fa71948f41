"""Requests of our own, at a bounded rate, to either revision alone and to the split.

A cross-check of what the servers count of themselves, seen from where users stand: a revision that
is gone counts nothing, but does not answer either. At small percents it is also the load that
gives a gate its samples. Both revisions get the same request at the same moment, so that whatever
slows the way there slows both.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from dwcp_ml.rollout.v2 import PROBE_HEADERS, Endpoint, first_value

if TYPE_CHECKING:
    import httpx

    from dwcp_ml.rollout.adapter import Hosts

KEPT_S = 3600  # of samples, so that the watch window still knows stable's last minutes
KEPT_MOST = 200_000
IN_FLIGHT_MOST = 64

Place = Literal["canary", "stable", "public"]


@dataclass(frozen=True)
class Sample:
    """One probe.

    Attributes:
        at_s: when it was sent, seconds since the epoch.
        tick: the same for the probes sent together.
        request: index of the body.
        status: None: no answer in time, or no connection.
        taken_s: until the answer, or until it was given up.
        value: first value of the first output; NaN where there is none.
        revision: who answered, where the answer says.
    """

    at_s: float
    tick: int
    request: int
    status: int | None
    taken_s: float
    value: float = math.nan
    revision: str | None = None


class Prober:
    """Probes in a thread of its own until it is closed."""

    def __init__(
        self,
        endpoint: Endpoint,
        hosts: Hosts,
        requests: Sequence[dict[str, Any]],
        rate_per_s: float,
        revision_header: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Nothing is sent before ``probe``.

        Args:
            endpoint: gateway, model, timeout.
            hosts: Host headers of the split and of either revision.
            requests: V2 bodies, sent in turn; at least one.
            rate_per_s: ticks a second; each sends one request to every place probed.
            revision_header: of answers.
            clock: seconds since the epoch.
        """
        self.endpoint, self.hosts = endpoint, hosts
        self.skipped = 0  # ticks left out because too many probes were under way
        self._requests, self._rate, self._header = list(requests), rate_per_s, revision_header
        self._clock = clock
        kept = min(KEPT_MOST, math.ceil(rate_per_s * KEPT_S))
        self._samples: dict[Place, deque[Sample]] = {
            "canary": deque(maxlen=kept),
            "stable": deque(maxlen=kept),
            "public": deque(maxlen=kept),
        }
        self._places: frozenset[Place] = frozenset()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def probe(self, *places: Place) -> None:
        """From now on probe these places; without any, pause."""
        with self._lock:
            self._places = frozenset(places)
        if places and self._thread is None:
            self._thread = threading.Thread(target=self._main, name="prober", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop; the samples stay."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(self.endpoint.timeout_s + 5)

    def samples(self, place: Place, since_s: float, until_s: float) -> list[Sample]:
        """Finished probes sent in [since, until)."""
        with self._lock:
            return [one for one in self._samples[place] if since_s <= one.at_s < until_s]

    def _main(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        import httpx

        limits = httpx.Limits(max_connections=2 * IN_FLIGHT_MOST)
        async with httpx.AsyncClient(
            headers=PROBE_HEADERS, timeout=self.endpoint.timeout_s, limits=limits, trust_env=False
        ) as client:
            await self._ticks(client)

    async def _ticks(self, client: httpx.AsyncClient) -> None:
        under_way: set[asyncio.Task[None]] = set()
        tick, due = 0, time.monotonic()
        while not self._stop.is_set():
            with self._lock:
                places = sorted(self._places)
            if len(under_way) + len(places) > IN_FLIGHT_MOST:
                self.skipped += 1
                places = []
            if tick % 2:
                places.reverse()  # neither side is always the first one
            for place in places:
                task = asyncio.create_task(self._one(client, place, tick))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            tick += 1
            # A late tick is not made up for: bursts would measure themselves.
            due = max(due + 1 / self._rate, time.monotonic())
            await asyncio.sleep(due - time.monotonic())
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    async def _one(self, client: httpx.AsyncClient, place: Place, tick: int) -> None:
        import httpx

        index = tick % len(self._requests)
        at_s, began = self._clock(), time.perf_counter()
        status: int | None = None
        value, revision = math.nan, None
        try:
            answer = await client.post(
                self.endpoint.url,
                json=self._requests[index],
                headers={"host": getattr(self.hosts, place)},
            )
            taken_s = time.perf_counter() - began
            status, revision = answer.status_code, answer.headers.get(self._header)
            value = first_value(answer.json()) if status == 200 else math.nan
        except (httpx.HTTPError, httpx.InvalidURL):
            taken_s = time.perf_counter() - began
        except ValueError:  # no JSON: as good as an answer that is no number
            pass
        sample = Sample(at_s, tick, index, status, taken_s, value, revision)
        with self._lock:
            self._samples[place].append(sample)
