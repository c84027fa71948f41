"""Whether a split is really in place: in every status, by revision names, and in the answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from dwcp_ml.rollout.observation import ServiceView
from dwcp_ml.rollout.state import RolloutState
from dwcp_ml.rollout.step import Look
from dwcp_ml.rollout.target import failure, is_ready

CONFIRM = timedelta(seconds=2)  # between two looks that both see a split in place
BAND_ALPHA = 1e-6  # chance that a correct split is doubted at one look


def not_in_place(view: ServiceView, canary: str, stable: str | None, percent: int) -> str:
    """Why ``canary`` does not have ``percent`` and ``stable`` the rest; empty where they do.

    A first version (``stable`` None) has everything as soon as it is ready.
    """
    if view.latest_created != canary or view.latest_ready != canary:
        return f"revision {canary} is not ready yet{failure(view, canary)}"
    if not is_ready(view, canary):
        return f"revision {canary} is not ready{failure(view, canary)}"
    share = 100 if stable is None else percent
    wanted = {canary: share} if share == 100 else {canary: share, stable or "": 100 - share}
    if stable is not None and view.percent != percent and (percent, view.percent) != (100, None):
        return f"the service asks for {view.percent} %, not {percent} %"
    if {name: part for name, part in view.traffic.items() if part} != {
        name: part for name, part in wanted.items() if part
    }:
        return f"the router still splits {shares(view.traffic)}"
    rolled_out = {stable or canary} if share < 100 else {canary}
    if share == 100 and stable is not None and not view.self_promoting:
        rolled_out.add(stable)
    if view.rolled_out not in rolled_out:
        return f"{view.rolled_out} counts as rolled out, not {' or '.join(map(str, rolled_out))}"
    return "" if view.settled else f"not settled: {view.unsettled_why}"


def shares(traffic: Mapping[str, int]) -> str:
    """``a 99 %, b 1 %``."""
    return ", ".join(f"{name} {part} %" for name, part in traffic.items() if part) or "nothing"


def contradiction(answers: Mapping[str, int], split: Mapping[str, int]) -> str:
    """What the answers through the gateway say against a split; empty where they fit.

    Args:
        answers: requests answered, by revision.
        split: percent by revision; any other revision must not answer at all. The share of every
            revision must lie in the exact two-sided binomial band of ``BAND_ALPHA``.
    """
    from scipy.special import bdtr, bdtrc

    total = sum(answers.values())
    for name in sorted(set(answers) | set(split)):
        count, percent = answers.get(name, 0), split.get(name, 0)
        if percent == 0 and count:
            return f"{count} of {total} requests were answered by {name}, which should get none"
        if percent in (0, 100) or not total:
            continue
        below = bdtr(count, total, percent / 100)
        above = 1.0 if count == 0 else bdtrc(count - 1, total, percent / 100)
        if min(below, above) < BAND_ALPHA / 2:
            return (
                f"{count} of {total} requests were answered by {name}, which should get {percent} %"
            )
    return ""


def confirmed(look: Look, state: RolloutState, why_not: str) -> tuple[RolloutState, bool]:
    """Count a look that sees the split in place (``why_not`` empty), or one that does not.

    Returns:
        The state, and whether it was seen twice, CONFIRM apart, with nothing against it in
        between or in the answers.
    """
    if why_not:
        return replace(state, applied_first=None, why=why_not), False
    if state.applied_first is None:
        return replace(state, applied_first=look.now, why="seen in place once"), False
    if look.now - state.applied_first < CONFIRM:
        return state, False
    answered = look.seen.answered
    against = "" if answered is None else contradiction(answered.by_revision, look.view.traffic)
    if against:
        return replace(state, applied_first=look.now, why=against), False
    return state, True
