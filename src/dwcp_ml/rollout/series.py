"""From raw samples of counters to increases over exactly one window, or the reason why not. Pure.

Increases are computed here and not by PromQL's ``increase``, which extrapolates, hides gaps and
returns nothing that tells a stopped exporter from a quiet one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from dwcp_ml.rollout.analysis.evidence import Floats

# Labels that say how a sample was collected, not of what.
COLLECTION = frozenset(
    {"__name__", "job", "endpoint", "service", "prometheus", "prometheus_replica", "replica"}
)


class UnusableError(Exception):
    """Prometheus' answer cannot be judged; the text says why.

    ``transient``: it could not be asked at all, which may pass.
    """

    def __init__(self, why: str, transient: bool = False) -> None:
        """Keep the sentence."""
        super().__init__(why)
        self.transient = transient


@dataclass(frozen=True)
class Series:
    """One counter: labels and raw samples.

    Attributes:
        labels: with the name as ``__name__``.
        at_s: (n,) ascending, seconds since the epoch.
        values: (n,).
    """

    labels: Mapping[str, str]
    at_s: Floats
    values: Floats


@dataclass(frozen=True)
class Increase:
    """What one counter gained, by sample.

    Attributes:
        labels: of the counter.
        at_s: (n,) when each gain was seen.
        gains: (n,) never negative.
    """

    labels: Mapping[str, str]
    at_s: Floats
    gains: Floats

    @property
    def total(self) -> int:
        """Gain over the window."""
        return round(float(self.gains.sum()))


def increases(
    found: Sequence[Series], since_s: float, until_s: float, stale_after_s: float
) -> list[Increase]:
    """Gains of every counter between its first and last sample in the window.

    A value that falls is a restarted process: it counts from 0. A series that begins later than
    others of its own process counts from 0 too: it is a label first used, such as the first error.

    Args:
        found: of one metric and one revision, samples of the window only.
        since_s: start of the window.
        until_s: its end.
        stale_after_s: greatest age of the newest sample, and greatest lateness of the oldest.

    Raises:
        UnusableError: no series, duplicates, impossible values, stale, or only part of the
            window.
    """
    if not found:
        raise UnusableError("no such series")
    _unique(found)
    for one in found:
        if not np.isfinite(one.values).all() or (one.values < 0).any():
            raise UnusableError(f"{_name(one)} holds a value that no counter can have")
    _whole(found, since_s, until_s, stale_after_s)
    began: dict[str, float] = {}
    for one in found:
        key = _target(one)
        began[key] = min(began.get(key, np.inf), float(one.at_s[0]))
    return [_gains(one, born=float(one.at_s[0]) > began[_target(one)]) for one in found]


def _gains(one: Series, born: bool) -> Increase:
    steps = np.diff(one.values)
    steps = np.where(steps < 0, one.values[1:], steps)
    if born:
        return Increase(one.labels, one.at_s, np.concatenate([one.values[:1], steps]))
    return Increase(one.labels, one.at_s[1:], steps)


def _unique(found: Sequence[Series]) -> None:
    seen: set[frozenset[tuple[str, str]]] = set()
    for one in found:
        how = COLLECTION | {"instance"} if "pod" in one.labels else COLLECTION
        key = frozenset((k, v) for k, v in one.labels.items() if k not in how)
        if key in seen:
            raise UnusableError(f"{_name(one)} is collected twice: its counts would be doubled")
        seen.add(key)


def _whole(found: Sequence[Series], since_s: float, until_s: float, stale_after_s: float) -> None:
    newest = max(float(one.at_s[-1]) for one in found)
    oldest = min(float(one.at_s[0]) for one in found)
    if until_s - newest > stale_after_s:
        raise UnusableError(
            f"{_name(found[0])} is stale: newest sample {until_s - newest:.0f} s old",
            transient=True,
        )
    if oldest - since_s > stale_after_s:
        raise UnusableError(
            f"{_name(found[0])} covers only the last {until_s - oldest:.0f} s "
            f"of {until_s - since_s:.0f} s",
            transient=True,
        )
    if newest == oldest:
        raise UnusableError(f"{_name(found[0])} has only one sample in the window", transient=True)


def _target(one: Series) -> str:
    """The process that counts: its pod, or its address where pods are not labelled."""
    return one.labels.get("pod") or one.labels.get("instance", "")


def _name(one: Series) -> str:
    return one.labels.get("__name__", "the series")
