"""What the loop must measure before it decides, from what the rollout remembers alone."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from dwcp_ml.rollout.observation import Needs, Window
from dwcp_ml.rollout.spec import RolloutSpec
from dwcp_ml.rollout.state import Phase, RolloutState


def needs(spec: RolloutSpec, state: RolloutState, now: datetime) -> Needs:
    """What to measure before the next ``decide``.

    Args:
        spec: of the ModelRollout.
        state: as saved.
        now: aware time; the window ends here.
    """
    phase = state.phase
    prober = spec.prober is not None
    if phase is Phase.PREFLIGHT:
        return Needs(preflight=_due(spec, state.last_look, now))
    if phase is Phase.VERIFYING and state.canary is not None:
        asked = (state.canary, state.stable) if _due(spec, state.last_look, now) else None
        return Needs(verify=asked)
    if phase in (Phase.PROGRESSING, Phase.WATCHING) and state.applied:
        return Needs(analyse=_window(spec, state, now), prober=prober)
    if phase in (Phase.PROGRESSING, Phase.PROMOTING):
        return Needs(answered=state.applied_first, prober=prober)
    if phase in (Phase.DARK, Phase.ABORTING):
        return Needs(answered=state.applied_first)
    return Needs()


def looks_allowed(spec: RolloutSpec, state: RolloutState) -> int:
    """How many analyses fit before the deadline, at most; the correction is made for so many."""
    plan = spec.strategy
    limit = plan.step_deadline
    if state.phase is Phase.WATCHING:
        limit += plan.watch_window
    return max(1, math.ceil(limit / max(plan.analysis_interval, timedelta(seconds=1))))


def _due(spec: RolloutSpec, last: datetime | None, now: datetime) -> bool:
    return last is None or now - last >= spec.strategy.analysis_interval


def _window(spec: RolloutSpec, state: RolloutState, now: datetime) -> Window | None:
    since = state.analysis_since
    if since is None or state.canary is None or state.stable is None or state.finishing:
        return None
    if not _due(spec, state.last_look or since, now):
        return None
    looks = looks_allowed(spec, state)
    watching = state.phase is Phase.WATCHING
    return Window(
        since=since,
        until=now,
        canary=state.canary,
        stable=state.stable,
        look=min(state.looks + 1, looks),
        looks=looks,
        stable_since=state.baseline_since if watching else None,
        stable_until=state.baseline_until if watching else None,
    )
