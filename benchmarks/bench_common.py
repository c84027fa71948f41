"""What the parts of the benchmark share: one figure, one child process, pairs that take turns."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """One row of the table; ``value`` is asked to be at least or at most ``bound``."""

    what: str
    value: float
    unit: str
    bound: float | None = None
    least: bool = False  # the bound is a lower one
    note: str = ""  # what the figure was measured against, or how

    @property
    def met(self) -> bool | None:
        """Whether the bound holds; None where nothing was asked."""
        if self.bound is None:
            return None
        return self.value >= self.bound if self.least else self.value <= self.bound


class Spent(NamedTuple):
    """What a process took."""

    wall_s: float
    processor_s: float
    peak_mib: float


def spent(command: Sequence[str], work: Path) -> Spent:
    """Run a command in ``work``: time, processor time of user and system, largest resident set.

    The kernel counts what the parent held when it started the child too, so a caller that asks
    for the peak must hold little itself.

    Raises:
        SystemExit: the command failed.
    """
    began = time.perf_counter()
    with (work / "log.txt").open("w+b") as log:
        child = subprocess.Popen(command, cwd=work, stdout=log, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            log.seek(0)
            text = log.read()[-2000:].decode(errors="replace")
            sys.exit(f"{' '.join(command)} ended with {child.returncode}\n{text}")
    taken = time.perf_counter() - began
    return Spent(taken, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


class Turns(NamedTuple):
    """Medians of two that took turns: seconds of each, and of the ratios of the rounds."""

    ours_s: float
    peer_s: float
    ratio: float
    ratios: tuple[float, ...]  # of the rounds, in their order


def turns(
    ours: Callable[[], object], peer: Callable[[], object], rounds: int, *, warm: bool = True
) -> Turns:
    """Time both in turn, the other one first in every second round.

    Args:
        ours: to be compared.
        peer: what it is compared with.
        rounds: how often both are timed.
        warm: call each once before, untimed.
    """
    if warm:
        ours()
        peer()
    pairs = []
    for number in range(rounds):
        first, second = (ours, peer) if number % 2 == 0 else (peer, ours)
        taken = (_seconds(first), _seconds(second))
        pairs.append(taken if number % 2 == 0 else taken[::-1])
    ratios = tuple(a / b for a, b in pairs)
    ours_s, peer_s = (statistics.median(side) for side in zip(*pairs, strict=True))
    return Turns(ours_s, peer_s, statistics.median(ratios), ratios)


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
