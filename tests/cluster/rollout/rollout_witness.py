"""Looks over the operator's shoulder: what the router was told, beside what the rollout allows."""

from __future__ import annotations

import threading
import time
from typing import NamedTuple

import rollout_cluster as rc

EVERY_S, LAG_S = 0.5, 6.0
PASSED = ("Promoting", "Watching", "Succeeded")


class Seen(NamedTuple):
    at: float
    traffic: dict  # revision -> percent in Knative's status
    status: dict  # of the ModelRollout


class Witness:
    """Reads a service and its rollout until it is closed."""

    def __init__(self, name):
        self.name, self.seen = name, []
        self.forced = False  # somebody else moves traffic in this test
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._thread.start()

    def close(self):
        self._stop.set()
        self._thread.join(15)

    def _main(self):
        from dwcp_ml.rollout import cluster as api

        while not self._stop.wait(EVERY_S):
            try:
                knative = rc.reader().get(api.KNATIVE_SERVICE, f"{self.name}-predictor") or {}
                found = rc.rollout_object(self.name) or {}
            except (api.UnreachableError, api.RefusedError):
                continue
            traffic = {}
            for entry in (knative.get("status") or {}).get("traffic") or []:
                revision = entry.get("revisionName", "")
                traffic[revision] = traffic.get(revision, 0) + int(entry.get("percent") or 0)
            self.seen.append(Seen(time.time(), traffic, found.get("status") or {}))

    def over(self):
        """Most percent points beyond its step that a revision had which had not passed.

        A status is written before the router is told, so the greatest percent of the last LAG_S
        is what may be in place.
        """
        worst, passed = 0, set()
        for i, one in enumerate(self.seen):
            status = one.status
            if not status.get("stable"):
                continue
            if status["phase"] in PASSED:
                passed.add(status.get("canary"))
            good = {status["stable"], status.get("restored"), *passed}
            given = sum(part for name, part in one.traffic.items() if name not in good)
            recent = [
                s.status.get("percent", 0) for s in self.seen[: i + 1] if s.at > one.at - LAG_S
            ]
            worst = max(worst, given - max(recent))
        return worst

    def spans(self):
        """percent -> (in place since, until the rollout went on), of the walk upwards."""
        found = {}
        for one in self.seen:
            status = one.status
            if status.get("applied") and status.get("phase") in ("Progressing", "Watching"):
                since, _ = found.get(status["percent"], (one.at, 0))
                found[status["percent"]] = (since, one.at)
            elif status.get("phase") in ("Dark", "Verifying"):
                since, _ = found.get(0, (one.at, 0))
                found[0] = (since, one.at)
        return found

    def conditions(self):
        """Every kind of condition that was ever True."""
        return {
            entry["type"]
            for one in self.seen
            for entry in one.status.get("conditions", [])
            if entry["status"] == "True"
        }
