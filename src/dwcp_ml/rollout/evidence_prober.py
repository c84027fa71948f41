"""What the prober saw of both revisions over one window, gate by gate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from dwcp_ml.rollout.analysis.evidence import Counts, Distribution, Judged, Missing, distribution
from dwcp_ml.rollout.analysis.latency import block_quantiles
from dwcp_ml.rollout.observation import Answered

if TYPE_CHECKING:
    from dwcp_ml.rollout.analysis.evidence import Floats
    from dwcp_ml.rollout.analysis.judge import Evidence
    from dwcp_ml.rollout.observation import Window
    from dwcp_ml.rollout.prober import Prober, Sample
    from dwcp_ml.rollout.spec import Gate

MIN_DISTINCT = 20  # scores of fewer different requests are no distribution


def evidence_of(
    gate: Gate, window: Window, prober: Prober, names: Mapping[str, str] | None = None
) -> Evidence:
    """Evidence for a gate; Missing where the probes did not reach the right revision.

    Args:
        gate: what is judged.
        window: both revisions and their minutes.
        prober: whose samples count.
        names: what answers call a revision -> the revision, where they have another name for it.
    """
    stable_since = window.stable_since or window.since
    stable_until = window.stable_until or window.until
    canary = prober.samples("canary", window.since.timestamp(), window.until.timestamp())
    stable = prober.samples("stable", stable_since.timestamp(), stable_until.timestamp())
    for side, other in ((canary, window.stable), (stable, window.canary)):
        if other != "" and any(_named(one, names) == other for one in side):
            return Missing(f"a tag host answers as the other revision, {other}")
    if not canary or not stable:
        return Judged("inconclusive", f"{len(canary)} and {len(stable)} probes so far")
    if gate.kind == "error-ratio":
        return _errors(canary, stable), _errors(stable, canary)
    if gate.kind == "rejected-ratio":
        return _rejected(canary), _rejected(stable)
    if gate.kind == "latency":
        paired = window.stable_since is None
        return block_quantiles(_latencies(canary), _latencies(stable), gate.quantile, paired)
    if gate.kind == "score-distribution":
        return _scores(canary, stable)
    return Missing(f"the prober measures nothing of kind {gate.kind}")


def answered(
    prober: Prober, since: datetime, until: datetime, names: Mapping[str, str] | None = None
) -> Answered | None:
    """Who answered on the public host; None where answers do not say."""
    seen = prober.samples("public", since.timestamp(), until.timestamp())
    told = [one for one in seen if one.revision and one.status is not None]
    named = Counter(_named(one, names) for one in told)
    return Answered({str(name): count for name, count in named.items()}) if named else None


def _named(one: Sample, names: Mapping[str, str] | None) -> str | None:
    return (names or {}).get(one.revision or "", one.revision)


def _errors(side: Sequence[Sample], other: Sequence[Sample]) -> Counts:
    """No answer, 5xx, or a refusal of what the other side answered at the same moment.

    A refusal that the other side gives too is the request's fault and counts for nobody.
    """
    good = {one.tick for one in other if one.status is not None and one.status < 400}
    fine = sum(one.status is not None and one.status < 400 for one in side)
    broken = sum(one.status is None or one.status >= 500 for one in side)
    refused = sum(
        one.status is not None and 400 <= one.status < 500 and one.tick in good for one in side
    )
    return Counts(broken + refused, fine + broken + refused)


def _rejected(side: Sequence[Sample]) -> Counts:
    status = [one.status for one in side if one.status is not None]
    return Counts(sum(400 <= code < 500 for code in status), len(status))


def _latencies(side: Sequence[Sample]) -> tuple[Floats, Floats]:
    """Of good answers, and of those given up; a fast error must not make a revision look fast."""
    used = [one for one in side if one.status is None or one.status < 400]
    return np.array([one.at_s for one in used]), np.array([one.taken_s for one in used])


def _scores(
    canary: Sequence[Sample], stable: Sequence[Sample]
) -> tuple[Distribution, Distribution] | Judged:
    """One score for each different request: asking again adds no knowledge of the distribution."""
    sides = []
    for side in (canary, stable):
        good = [one for one in side if one.status == 200]
        last = {one.request: one.value for one in good if np.isfinite(one.value)}
        bad = sum(not np.isfinite(one.value) for one in good)
        seen = distribution(np.array(list(last.values())))
        sides.append(Distribution(seen.values, seen.weights, bad))
    if sides[0].non_finite == sides[1].non_finite == 0 and sides[1].total < MIN_DISTINCT:
        return Judged(
            "inconclusive",
            f"scores of {sides[1].total} different probes are no distribution: give "
            f"spec.prober.requests at least {MIN_DISTINCT}, or name a score in spec.metrics",
        )
    return sides[0], sides[1]
