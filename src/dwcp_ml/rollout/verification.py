"""Questions to the dark revision before it gets traffic: golden answers, and a replay."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dwcp_ml.rollout.observation import Check
from dwcp_ml.rollout.v2 import Endpoint, NoAnswerError, ask, number, relative_error

if TYPE_CHECKING:
    from dwcp_ml.rollout.adapter import Hosts
    from dwcp_ml.rollout.spec import Golden, Verification

REPLAY_TOLERANCE = 0.1  # relative; two versions of a model are not expected to agree better
LOST = (None, 502, 503, 504)  # no revision said this: the way there is not open


def verify(
    spec: Verification, endpoint: Endpoint | None, hosts: Hosts, stable: str | None
) -> tuple[Check, ...]:
    """Ask the canary's tag host everything in ``spec``; compare the replay with stable's.

    Args:
        spec: golden requests and a sample of logged ones.
        endpoint: None where the rollout names no gateway.
        hosts: of both revisions.
        stable: None for a first version, whose replay is only answered, not compared.
    """
    if not spec.golden and not spec.replay:
        return (Check("verification", True, "no requests were declared to verify with"),)
    if endpoint is None:
        return (Check("verification", None, "spec.prober.gateway is needed to ask the revision"),)
    checks = [_golden(i, one, endpoint, hosts) for i, one in enumerate(spec.golden)]
    if spec.replay:
        checks.append(_replay(spec, endpoint, hosts, stable is not None))
    return tuple(checks)


def golden_error(golden: Golden, endpoint: Endpoint, host: str) -> float | str:
    """Relative error of one golden answer; infinite if refused, a text if it could not be asked."""
    try:
        return relative_error(ask(endpoint, host, golden.request), golden.outputs)
    except NoAnswerError as error:
        return str(error) if error.status in LOST else math.inf


def _golden(index: int, golden: Golden, endpoint: Endpoint, hosts: Hosts) -> Check:
    name = f"golden/{index}"
    try:
        error = relative_error(ask(endpoint, hosts.canary, golden.request), golden.outputs)
    except NoAnswerError as lost:
        return Check(name, None if lost.status in LOST else False, str(lost))
    why = f"worst relative error {error:.3g}, tolerance {golden.tolerance:g}"
    return Check(name, error <= golden.tolerance, why)


def _replay(spec: Verification, endpoint: Endpoint, hosts: Hosts, compare: bool) -> Check:
    """Share of output values in which the two revisions disagree."""
    values = differing = compared = 0
    for index, body in enumerate(spec.replay):
        try:
            expected = ask(endpoint, hosts.stable, body) if compare else None
        except NoAnswerError as lost:
            if lost.status in LOST:
                return Check("replay", None, str(lost))
            continue  # stable refuses it too: it says nothing of the canary
        try:
            given = ask(endpoint, hosts.canary, body)
        except NoAnswerError as lost:
            passed = None if lost.status in LOST else False
            return Check("replay", passed, f"request {index}, which stable answers: {lost}")
        strange = _strange(given, expected)
        if strange is not None:
            return Check("replay", False, f"request {index}: {strange}")
        compared += 1
        for name in expected or {}:
            pairs = list(zip(given[name], (expected or {})[name], strict=True))
            values += len(pairs)
            differing += sum(_disagree(new, old) for new, old in pairs)
    if not compared:
        return Check("replay", None, "stable answers none of the logged requests")
    share = differing / values if values else 0.0
    limit = spec.max_replay_disagreement
    why = f"{compared} requests, {share:.1%} of {values} values differ, limit {limit:.0%}"
    return Check("replay", share <= limit, why)


def _strange(
    given: Mapping[str, list[Any]], expected: Mapping[str, list[Any]] | None
) -> str | None:
    for name, values in given.items():
        if any(one is None or one != one or one in (math.inf, -math.inf) for one in values):
            return f"output {name} holds values that are not finite"
    for name, values in (expected or {}).items():
        if len(given.get(name, [])) != len(values):
            return (
                f"output {name} has {len(given.get(name, []))} values, stable's has {len(values)}"
            )
    return None


def _disagree(new: Any, old: Any) -> bool:
    """Codes, booleans and texts differ or not; floats may differ by REPLAY_TOLERANCE."""
    if not isinstance(new, float) and not isinstance(old, float):
        return bool(new != old)
    scale = max(abs(number(old)), 1e-6)
    return not abs(number(new) - number(old)) <= REPLAY_TOLERANCE * scale
