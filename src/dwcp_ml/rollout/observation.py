"""What was seen of the world at one moment; adapters make it, ``decide`` reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dwcp_ml.rollout.state import GateResult


@dataclass(frozen=True)
class RevisionView:
    """One revision (Knative) or one side of the route (Standard).

    In Standard mode the name is made of the side's model and fingerprint, so that both sides have
    one name when they are the same.
    """

    name: str
    ready: bool
    replicas: int = 0
    failure: str | None = None  # why its pods do not come up, in words
    storage_uri: str | None = None


@dataclass(frozen=True)
class ServiceView:
    """An InferenceService and what its controllers made of it.

    Attributes:
        resource_version: of the InferenceService; every patch tests it.
        model: ``predictor.model`` as it stands.
        fingerprint: digest of everything else on it that makes a revision (rest of the predictor,
            labels and annotations that reach the pods, content of the ServingRuntime).
        percent: canaryTrafficPercent (or our route's canary weight); None where not set.
        rolled_out: revision that has passed 100 % (KServe's latestRolledoutRevision).
        previous: KServe's previousRolledoutRevision.
        latest_created: newest revision, ready or not.
        latest_ready: newest ready revision.
        traffic: revision -> percent in the router's own status, tags at 0 % included.
        settled: every controller has acted on the last patch and says Ready; above all, the newest
            revision is made of ``model`` as it stands.
        unsettled_why: which one has not.
        revisions: by name; at least those named above.
        stopped: someone stopped the service (serving.kserve.io/stop).
        incarnation: changes when revisions are numbered afresh (service deleted and made again,
            stopped and started): the Knative service's uid.
        self_promoting: ``rolled_out`` follows 100 % by itself; False where ``Finish`` does it.
    """

    resource_version: str
    model: Mapping[str, Any]
    fingerprint: str
    percent: int | None
    rolled_out: str | None
    previous: str | None
    latest_created: str | None
    latest_ready: str | None
    traffic: Mapping[str, int]
    settled: bool
    unsettled_why: str = ""
    revisions: Mapping[str, RevisionView] = field(default_factory=dict)
    stopped: bool = False
    incarnation: str = ""
    self_promoting: bool = True


@dataclass(frozen=True)
class Check:
    """One preflight or verification question."""

    name: str
    passed: bool | None  # None: could not be asked, which never lets a rollout go on
    why: str


@dataclass(frozen=True)
class Answered:
    """Requests answered through the gateway's public host since ``Needs.answered``."""

    by_revision: Mapping[str, int]


@dataclass(frozen=True)
class Observation:
    """One look at the world.

    ``view`` is None when the InferenceService does not exist, or, with ``unreachable`` set, when
    the API server could not be asked, or, with ``undrivable`` set, when nothing here can split the
    traffic of what is there. Measurements are None when they were not asked for
    (see ``needs``). ``refused`` is what the API server said when it refused the last change.
    """

    view: ServiceView | None
    unreachable: str | None = None
    refused: str | None = None
    preflight: tuple[Check, ...] | None = None
    verification: tuple[Check, ...] | None = None
    gates: tuple[GateResult, ...] | None = None
    answered: Answered | None = None
    undrivable: str | None = None


@dataclass(frozen=True)
class Window:
    """The minutes that a look compares, the revisions, and how many looks there will be at most.

    In the watch window stable has no traffic any more: its figures are those of
    ``stable_since`` to ``stable_until``, while it still served. None: the same minutes.
    """

    since: datetime
    until: datetime
    canary: str
    stable: str
    look: int
    looks: int
    stable_since: datetime | None = None
    stable_until: datetime | None = None


@dataclass(frozen=True)
class Needs:
    """What to measure before the next ``decide``."""

    preflight: bool = False
    verify: tuple[str, str | None] | None = None  # canary, stable (None: first version)
    analyse: Window | None = None
    answered: datetime | None = None  # count the answers by revision since then
    prober: bool = False  # the prober should be running
