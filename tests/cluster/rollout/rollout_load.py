"""Users' requests through the gateway, counted by revision and by failure."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from typing import NamedTuple

import httpx
import rollout_cluster as rc

THREADS = 10  # enough for 50 requests a second of which each takes 0.2 s


class Answer(NamedTuple):
    at: float  # sent, seconds since the epoch
    status: int  # 0: no answer
    revision: str  # or the error's name
    taken: float  # seconds


class Load:
    """Requests at a steady rate to the public host, from threads that do not wait for each other.

    A slow answer delays its own thread only; what it missed is made up for, so that the rate
    holds.
    """

    def __init__(self, gateway, name, rate=50, body=None):
        self.url = f"{gateway}/v2/models/{name}/infer"
        self.headers = {"Host": f"{name}-predictor.{rc.NAMESPACE}.example.com"}
        self.rate, self.body = rate, body
        self.answers: list[Answer] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._main, args=(i,)) for i in range(THREADS)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _main(self, index):
        pause = THREADS / self.rate
        due = time.monotonic() + index * pause / THREADS
        draw = random.Random(index)  # noqa: S311 requests, no secret
        with httpx.Client(timeout=10, headers=self.headers, trust_env=False) as client:
            while not self._stop.wait(max(due - time.monotonic(), 0)):
                due = max(due + pause, time.monotonic() - 1)
                self.answers.append(self._one(client, draw))

    def request(self, draw):
        """The next body."""
        return self.body or rc.request(draw.random())

    def _one(self, client, draw):
        at, began = time.time(), time.perf_counter()
        try:
            answer = client.post(self.url, json=self.request(draw))
        except httpx.HTTPError as error:
            return Answer(at, 0, type(error).__name__, time.perf_counter() - began)
        revision = answer.headers.get("x-model-revision", "")
        return Answer(at, answer.status_code, revision, time.perf_counter() - began)

    def between(self, since=0.0, until=float("inf")):
        return [one for one in list(self.answers) if since <= one.at < until]

    def failed(self, since=0.0, other_than=""):
        """Answers other than 200, but for those of one revision."""
        return [a for a in self.between(since) if a.status != 200 and a.revision != other_than]

    def share(self, revision, since=0.0, until=float("inf")):
        """Requests of a revision, and all, in a time span."""
        inside = self.between(since, until)
        return sum(a.revision == revision for a in inside), len(inside)

    def by_revision(self, since=0.0):
        return Counter(a.revision for a in self.between(since))

    def slowest(self, since=0.0):
        return max((a.taken for a in self.between(since)), default=0.0)

    def busy(self, at_least=50):
        """Wait until requests flow."""
        rc.until(lambda: len(self.answers) > at_least, 30, "load")
