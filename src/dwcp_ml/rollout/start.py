"""Pending and Preflight: what is served now, may a rollout begin? Nothing is patched."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from dwcp_ml.rollout.applied import shares
from dwcp_ml.rollout.observation import Check, ServiceView
from dwcp_ml.rollout.state import Phase, RolloutState
from dwcp_ml.rollout.step import Look, Result, go, hold, late
from dwcp_ml.rollout.target import failure, is_ready, is_target, target_digest


def pending(look: Look, state: RolloutState) -> Result:
    """Wait while paused, then check."""
    if look.spec.paused:
        return hold(state, "paused before the start")
    name = look.spec.inference_service
    if look.seen.view is None and look.spec.template is None:
        why = f"there is no InferenceService {name}, and spec.template is not given"
        return go(look, state, Phase.HALTED, why)
    return go(
        look,
        state,
        Phase.PREFLIGHT,
        f"checking {name} before {look.spec.target.storage_uri}",
        target_digest=target_digest(look.spec.target),
    )


def preflight(look: Look, state: RolloutState) -> Result:
    """Begin when every check has passed and it is clear what to go back to."""
    view = look.seen.view
    if view is not None and _served(look, state, view):
        why = f"{view.rolled_out} is the target and has all traffic already; nothing was patched"
        return go(look, state, Phase.SUCCEEDED, why, canary=view.rolled_out)
    checks = look.seen.preflight
    if checks is not None:
        state = replace(state, last_look=look.now)
    if failed := said(checks, False):
        if late(look, state, _patience(look)):
            return go(look, state, Phase.HALTED, f"preflight failed, nothing was touched: {failed}")
        return hold(state, f"not yet: {failed}")
    obstacle = _obstacle(look, state)
    why = obstacle or open_question(checks)
    if not why and look.spec.paused:
        return hold(state, "paused after preflight")
    if not why:
        return _begin(look, state)
    limit = look.spec.strategy.ready_deadline * (2 if _unserved(view) else 1)
    told = why if obstacle or checks is not None else state.why  # what was said at the last look
    if late(look, state, limit) and not look.spec.paused:
        return go(look, state, Phase.HALTED, f"preflight did not pass, nothing was touched: {told}")
    return hold(state, told)


def _patience(look: Look) -> timedelta:
    """A service that has just started is not in Prometheus yet; a wrong name never will be."""
    metrics = look.spec.metrics
    return timedelta(0) if metrics is None else metrics.preflight_span


def said(checks: tuple[Check, ...] | None, passed: bool | None) -> str:
    """The checks that came out so, in words."""
    return "; ".join(f"{c.name}: {c.why}" for c in checks or () if c.passed is passed)


def open_question(checks: tuple[Check, ...] | None, none_is_fine: bool = False) -> str:
    """Why not all checks have passed; empty where they have. No check at all is no pass."""
    if checks is None:
        return "checks have not been made yet"
    if not checks and not none_is_fine:
        return "no check was made"
    return "; ".join(f"{c.name}: {c.why or 'failed'}" for c in checks if c.passed is not True)


def _served(look: Look, state: RolloutState, view: ServiceView) -> bool:
    wanted = is_target(view.model, look.spec.target) and not _unpassed(look, state, view)
    return wanted and not view.stopped and not _unclear(view)


def _unpassed(look: Look, state: RolloutState, view: ServiceView) -> bool:
    """A rollout of ours halted, and now its canary has all traffic without having passed."""
    target = look.spec.target
    if not state.stable_model or view.rolled_out is None:
        return False
    same = view.incarnation == state.incarnation
    if same and view.rolled_out in (state.stable, state.canary):
        return view.rolled_out != state.stable
    return is_target(view.model, target) and not is_target(state.stable_model, target)


def _unserved(view: ServiceView | None) -> bool:
    return view is not None and view.rolled_out is None


def _unclear(view: ServiceView) -> str:
    """Why the newest revision is not simply what everybody gets; empty where it is."""
    if not view.latest_created == view.latest_ready == view.rolled_out:
        return (
            f"somebody's canary is under way: newest revision {view.latest_created}"
            f"{failure(view, view.latest_created)}, rolled out {view.rolled_out}"
        )
    if {name for name, part in view.traffic.items() if part} != {view.rolled_out}:
        return f"traffic is split: {shares(view.traffic)}"
    if not is_ready(view, view.rolled_out):
        return f"{view.rolled_out} is not ready{failure(view, view.rolled_out)}"
    return "" if view.settled else f"not settled: {view.unsettled_why}"


def _obstacle(look: Look, state: RolloutState) -> str:
    """Why it is not clear what to go back to, or that it serves."""
    view = look.seen.view
    if view is None:
        return ""
    if view.stopped:
        return "the service is stopped"
    if view.rolled_out is None:
        # It may be starting. What never serves is replaced as if there were nothing.
        waits = not late(look, state, look.spec.strategy.ready_deadline)
        known = is_target(view.model, look.spec.target)
        return "waiting for the present model to serve" if waits and not known else ""
    if _unpassed(look, state, view):
        return (
            f"{view.rolled_out} has all traffic without having passed; "
            "'undo' tries the way back again"
        )
    if _known(view, state):
        return "" if is_ready(view, state.stable) else f"{state.stable} is not ready"
    return _unclear(view)


def _known(view: ServiceView, state: RolloutState) -> bool:
    """A rollout of ours halted here and left its stable revision serving."""
    same = view.incarnation == state.incarnation and view.rolled_out == state.stable
    return bool(state.stable_model) and same and bool(_unclear(view))


def _begin(look: Look, state: RolloutState) -> Result:
    view = look.seen.view
    if view is None or view.rolled_out is None:
        why = "first version: nothing serves yet, so it gets all traffic as soon as it is ready"
        blank = replace(state, stable=None, stable_model={}, canary=None, restored=None)
        incarnation = "" if view is None else view.incarnation
        return go(look, blank, Phase.DARK, why, topic="started", percent=100,
                  incarnation=incarnation)  # fmt: skip
    if not _known(view, state):
        state = replace(
            state,
            stable=view.rolled_out,
            stable_model=dict(view.model),
            stable_fingerprint=view.fingerprint,
        )
    return go(
        look,
        state,
        Phase.DARK,
        f"{look.spec.target.storage_uri} starts at 0 % beside {state.stable}",
        topic="started",
        percent=0,
        fingerprint=view.fingerprint,
        incarnation=view.incarnation,
        canary=None,
        restored=None,
    )
