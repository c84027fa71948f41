"""A model of KServe's and Knative's controllers, as they were seen on a real cluster.

Time goes in ticks of 0.1 s. In a tick every controller that is up acts once on what the others
left behind in the tick before, so that a patch takes three or four ticks to reach the route and
the InferenceService's status. With a random generator a controller also misses ticks.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from random import Random
from typing import Any

TICK_S = 0.1
READY_S = 5.0  # a new revision's pods
RUNTIME_S = 22.0  # until KServe acts on an edited ServingRuntime
SCALE_DOWN_S = 87.0  # until an unrouted revision has no pods
COLD_START_S = 4.8


@dataclass(frozen=True)
class Template:
    """All that makes a revision."""

    uri: str
    runtime: str | None
    extras: tuple[tuple[str, Any], ...]
    runtime_content: int


@dataclass
class Revision:
    name: str
    number: int
    template: Template
    born: float
    ready: bool = False
    was_ready: bool = False
    sick: bool = False  # a person broke it: not ready any more
    routed: float = 0.0  # last time with traffic


@dataclass(frozen=True)
class Target:
    """One line of a Knative service's traffic."""

    percent: int
    latest: bool
    revision: str | None = None
    tag: str | None = None


@dataclass
class Isvc:
    """The InferenceService: spec, and KServe's status."""

    model: dict[str, Any]
    percent: int | None = None
    extras: dict[str, Any] = field(default_factory=dict)
    stop: bool = False
    version: int = 1  # resourceVersion
    rolled_out: str | None = None
    previous: str | None = None
    traffic: dict[str, int] = field(default_factory=dict)
    failed: bool = False  # Ready=False ReconcileFailed


@dataclass
class Ksvc:
    """The Knative service: spec, configuration, route, and the status that mirrors them."""

    uid: int
    template: Template
    targets: tuple[Target, ...]
    generation: int = 1
    observed: int = 0
    created: str | None = None  # of the configuration
    ready: str | None = None
    routed: tuple[Target, ...] = ()  # as resolved by the route
    route_ready: bool = False
    latest_created: str | None = None  # status, mirrored
    latest_ready: str | None = None
    traffic: tuple[Target, ...] = ()
    conditions_ready: bool = False


class Cluster:
    """One InferenceService and everything that acts on it."""

    def __init__(self, name: str = "m", random: Random | None = None, race: bool = False) -> None:
        self.name, self.random, self.race = name, random, race
        self.now = 0.0
        self.isvc: Isvc | None = None
        self.ksvc: Ksvc | None = None
        self.revisions: dict[str, Revision] = {}
        self.runtime_content, self._runtime_seen, self._runtime_at = 0, 0, 0.0
        self.kserve_up = self.knative_up = True
        self.quota = False  # no new pods
        self.broken: set[str] = set()  # storage locations that never become ready
        self.broken_content: set[int] = set()  # runtime contents that never become ready
        self._uids = itertools.count(1)
        self._versions = itertools.count(1)
        self.flows: list[tuple[float, dict[str, int]]] = []

    # What people and the operator do -----------------------------------------------------------

    def create(self, model: dict[str, Any], percent: int | None = None, **extras: Any) -> None:
        self.isvc = Isvc(dict(model), percent, extras)
        self._touch()

    def patch(self, model: dict[str, Any] | None = None, **fields: Any) -> None:
        """``percent``, ``stop`` or ``extras`` (labels, annotations, minReplicas)."""
        assert self.isvc is not None
        if model is not None:
            self.isvc.model = dict(model)
        for key, value in fields.items():
            if key == "extras":
                self.isvc.extras = {**self.isvc.extras, **value}
            else:
                setattr(self.isvc, key, value)
        self._touch()

    def delete(self) -> None:
        self.isvc = None

    def edit_runtime(self, content: int) -> None:
        self.runtime_content, self._runtime_at = content, self.now + RUNTIME_S

    def _touch(self) -> None:
        assert self.isvc is not None
        self.isvc.version = next(self._versions)

    # Time --------------------------------------------------------------------------------------

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / TICK_S)):
            self.tick()

    def tick(self) -> None:
        self.now += TICK_S
        if self._acts() and self.knative_up:
            self._mirror()
        if self.knative_up:
            created_first = not self.race or self._acts()
            if self._acts():
                if created_first:
                    self._configure()
                self._route()
            else:
                self._configure()
        self._pods()
        if self.kserve_up and self._acts():
            self._kserve()
        self._record()

    def _acts(self) -> bool:
        return self.random is None or self.random.random() < 0.7

    def flow(self) -> dict[str, int]:
        """Percent of the requests that each revision answers now."""
        if self.ksvc is None or not self.ksvc.routed:
            return {}
        flow: dict[str, int] = {}
        for target in self.ksvc.routed:
            if target.percent:
                name = target.revision or ""
                flow[name] = flow.get(name, 0) + target.percent
        return flow

    def _record(self) -> None:
        flow = self.flow()
        if not self.flows or self.flows[-1][1] != flow:
            self.flows.append((self.now, flow))
        for name in flow:
            self.revisions[name].routed = self.now

    def replicas(self, name: str) -> int:
        found = self.revisions[name]
        warm = found.ready and self.now - max(found.routed, found.born) < SCALE_DOWN_S
        return int(warm)

    # KServe ------------------------------------------------------------------------------------

    def _kserve(self) -> None:
        isvc = self.isvc
        if isvc is None or isvc.stop:
            self.ksvc, self.revisions = None, {}
            if isvc is not None and isvc.rolled_out is not None:
                isvc.rolled_out = isvc.previous = None
                isvc.traffic = {}
                self._touch()
            return
        if self._runtime_at and self.now >= self._runtime_at:
            self._runtime_seen, self._runtime_at = self.runtime_content, 0.0
        elif self.runtime_content != self._runtime_seen and not self._runtime_at:
            self._runtime_seen = self.runtime_content
        if isvc.percent is not None and not 0 <= isvc.percent <= 100:
            if not isvc.failed:
                isvc.failed = True
                self._touch()
            return
        if isvc.failed:
            isvc.failed = False
            self._touch()
        template, targets = self._template(isvc), self._targets(isvc)
        if self.ksvc is None:
            self.ksvc = Ksvc(next(self._uids), template, targets)
        elif (self.ksvc.template, self.ksvc.targets) != (template, targets):
            self.ksvc.template, self.ksvc.targets = template, targets
            self.ksvc.generation += 1
        self._propagate(isvc, self.ksvc)

    def _template(self, isvc: Isvc) -> Template:
        extras = tuple(sorted(isvc.extras.items()))
        return Template(
            isvc.model["storageUri"], isvc.model.get("runtime"), extras, self._runtime_seen
        )

    def _targets(self, isvc: Isvc) -> tuple[Target, ...]:
        """The rule: with a percent and a rolled-out revision, latest N and that one the rest."""
        if isvc.percent is None or isvc.rolled_out is None:
            return (Target(100, latest=True),)
        latest = Target(isvc.percent, latest=True)
        if isvc.percent == 100:
            return (latest,)
        return (latest, Target(100 - isvc.percent, False, isvc.rolled_out, "prev"))

    def _propagate(self, isvc: Isvc, ksvc: Ksvc) -> None:
        """The rule: the rolled-out revision moves forward at 100 %, and back below it."""
        before = (isvc.rolled_out, isvc.previous, dict(isvc.traffic))
        ready = ksvc.latest_ready
        percents: dict[str, int] = {}
        for target in ksvc.traffic:
            name = target.revision or ""
            percents[name] = percents.get(name, 0) + target.percent
        for target in ksvc.traffic:
            if not target.latest or target.revision != ready or ready is None:
                continue
            if isvc.rolled_out != ready:
                if target.percent == 100:
                    isvc.previous, isvc.rolled_out = isvc.rolled_out, ready
            elif ready == ksvc.latest_created and target.percent < 100 == percents[ready]:
                isvc.rolled_out = isvc.previous or isvc.rolled_out
        isvc.traffic = percents
        if before != (isvc.rolled_out, isvc.previous, isvc.traffic):
            self._touch()

    # Knative -----------------------------------------------------------------------------------

    def _configure(self) -> None:
        ksvc = self.ksvc
        if ksvc is None:
            return
        newest = self.revisions.get(ksvc.created or "")
        if newest is None or newest.template != ksvc.template:
            number = 1 if newest is None else newest.number + 1
            name = f"{self.name}-{number:05d}"
            self.revisions[name] = Revision(name, number, ksvc.template, self.now)
            ksvc.created = name
        newest = self.revisions[ksvc.created or ""]
        if newest.ready:
            ksvc.ready = newest.name

    def _pods(self) -> None:
        for revision in self.revisions.values():
            starts = (
                self.now - revision.born >= READY_S
                and not self.quota
                and revision.template.uri not in self.broken
                and revision.template.runtime_content not in self.broken_content
            )
            if starts:
                revision.was_ready = True
            revision.ready = revision.was_ready and not revision.sick

    def _route(self) -> None:
        ksvc = self.ksvc
        if ksvc is None:
            return
        resolved: list[Target] = []
        for target in ksvc.targets:
            name = ksvc.ready if target.latest else target.revision
            found = self.revisions.get(name or "")
            if found is None or (not found.ready and name not in self.flow()):
                ksvc.route_ready = False
                return  # the old split keeps serving
            resolved.append(Target(target.percent, target.latest, name, target.tag))
        ksvc.routed, ksvc.route_ready = tuple(resolved), True

    def _mirror(self) -> None:
        ksvc = self.ksvc
        if ksvc is None:
            return
        ksvc.latest_created, ksvc.latest_ready = ksvc.created, ksvc.ready
        ksvc.traffic = ksvc.routed
        newest = self.revisions.get(ksvc.created or "")
        done = newest is not None and newest.ready and newest.template == ksvc.template
        ksvc.conditions_ready = done and ksvc.route_ready
        ksvc.observed = ksvc.generation
