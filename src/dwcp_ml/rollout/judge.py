"""From the gates' results to one verdict, and the sentence that says it."""

from __future__ import annotations

from dataclasses import replace

from dwcp_ml.rollout.needs import looks_allowed
from dwcp_ml.rollout.spec import Gate
from dwcp_ml.rollout.state import GateResult, RolloutState, Verdict
from dwcp_ml.rollout.step import Look


def overall(gates: tuple[Gate, ...], results: tuple[GateResult, ...]) -> Verdict:
    """Fail where one fails; pass only where every declared gate has answered, and passed."""
    if any(result.verdict == "fail" for result in results):
        return "fail"
    said = {gate.name: [r.verdict for r in results if r.gate == gate.name] for gate in gates}
    passed = all(verdicts == ["pass"] for verdicts in said.values())
    return "pass" if passed else "inconclusive"


def looked(look: Look, state: RolloutState) -> tuple[RolloutState, Verdict | None]:
    """Count a look at the gates; None where none was taken."""
    results = look.seen.gates
    if results is None:
        return state, None
    verdict = overall(look.spec.gates, results)
    if not state.applied:
        return replace(state, gates=results), "fail" if verdict == "fail" else None
    state = replace(state, gates=results, last_look=look.now, looks=state.looks + 1)
    if look.spec.paused and verdict != "fail" and state.looks >= looks_allowed(look.spec, state):
        # A pause may last longer than the looks that the correction is made for: new minutes.
        state = replace(state, looks=0, analysis_since=look.now)
    return state, verdict


def sentence(gates: tuple[Gate, ...], results: tuple[GateResult, ...]) -> str:
    """``2 of 3 gates pass; latency: 40 of 100 requests``."""
    if not gates:
        return "no gates are declared: only time passes"
    passed = sum(result.verdict == "pass" for result in results)
    others = [f"{r.gate}: {r.why}" for r in results if r.verdict != "pass"]
    missing = sorted({gate.name for gate in gates} - {result.gate for result in results})
    others += [f"{name}: no answer" for name in missing]
    return "; ".join([f"{passed} of {len(gates)} gates pass", *others])


def failures(results: tuple[GateResult, ...]) -> str:
    """The gates that failed, in words."""
    return "; ".join(f"{r.gate}: {r.why}" for r in results if r.verdict == "fail")
