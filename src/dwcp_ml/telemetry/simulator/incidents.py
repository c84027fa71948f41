"""Node incidents of four types, their precursors, and harmless events that look like them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dwcp_ml.params import IncidentParams
from dwcp_ml.telemetry.simulator.streams import Float, autoregressive, events, stream, student4

SIGNALS = ("uptime", "failures", "loss", "retransmits", "burn", "rtt")  # order of all (steps, 6)
TYPES = ("crash", "network_failure", "disk_full", "memory_leak")
SEVERITIES = ("low", "medium", "high", "critical")
SEVERITY_SHARE = (0.3, 0.4, 0.2, 0.1)
# How much of the shift each signal shows, signed: a network failure spares uptime, a full disk
# moves failures and the budget only.
SIGNATURES = {
    "crash": (-1.0, 1.0, 0.1, 0.4, 0.9, 0.0),
    "network_failure": (0.0, 0.3, 1.0, 1.0, 0.6, 1.0),
    "disk_full": (-0.2, 1.0, 0.0, 0.0, 1.0, 0.0),
    "memory_leak": (-0.7, 0.7, 0.1, 0.5, 0.6, 0.8),
}
PRECURSOR_STEPS = {
    "crash": (0, 3),
    "network_failure": (0, 5),
    "disk_full": (10, 40),
    "memory_leak": (20, 60),
}
# (signature, mean steps, size in sd): a restart resembles a weak crash, a load peak a weak network
# failure, so that a single large value means little by itself.
LOOKALIKES = {
    "restart": ((-1.0, 0.8, 0.05, 0.35, 0.6, 0.0), 7.0, 5.5),
    "load_peak": ((0.0, 0.25, 0.9, 0.8, 0.45, 0.25), 18.0, 5.5),
}
NOISE_LAG1 = 0.9
LOOKALIKE_FACTOR = (0.8, 1.3)  # uniform, on the size
OUTAGE_DEPTH = {"crash": 0.7, "network_failure": 0.5, "disk_full": 0.0, "memory_leak": 0.1}


@dataclass(frozen=True)
class Incident:
    """One incident in steps: precursor from ``early``, full effect in [start, end)."""

    kind: str
    severity: str
    early: int
    start: int
    end: int


@dataclass(frozen=True)
class NodeHealth:
    """Signals of one node in units of their noise deviation, 0 being the fleet's centre.

    Attributes:
        z: (steps, 6) what the signals show, in the order of ``SIGNALS``.
        shift: (steps, 6) the part of z that incidents cause.
        kind: (steps,) 0 none, else 1 + index into ``TYPES``, full effect only.
        phase: (steps,) 0 none, 1 precursor, 2 full effect.
        lookalike: (steps,) 0 none, 1 restart, 2 load peak.
        evidence: (steps,) log likelihood ratio of an incident for one who knows the node's base
            and every rate and size; the ceiling of a detector that reads one step.
        delay: (steps,) what events add to the round-trip time, in sd; 0 outside events.
        outage: (steps,) log depth taken from the node's link.
        incidents: all of them, in time order.
    """

    z: Float
    shift: Float
    kind: NDArray[np.int8]
    phase: NDArray[np.int8]
    lookalike: NDArray[np.int8]
    evidence: Float
    delay: Float
    outage: Float
    incidents: tuple[Incident, ...]


def simulate_health(
    index: int, steps: int, steps_a_day: float, params: IncidentParams, seed: int
) -> NodeHealth:
    """Simulate the six health signals of node ``index``."""
    rng = stream(seed, "health", index)
    noise = np.stack([student4(autoregressive(rng, steps, NOISE_LAG1)) for _ in SIGNALS], axis=1)
    base = params.base_spread_sd * rng.standard_normal(len(SIGNALS))
    incidents = draw_incidents(stream(seed, "incidents", index), steps, params)
    shift = np.zeros((steps, len(SIGNALS)))
    kind, phase = np.zeros(steps, np.int8), np.zeros(steps, np.int8)
    outage = np.zeros(steps)
    for incident in incidents:
        _apply(rng, incident, params, shift, kind, phase, outage)
    harmless, lookalike = _lookalikes(rng, steps, steps_a_day, params, phase)
    seen = noise + shift + harmless
    late = shift[:, 5] + harmless[:, 5] > 0
    return NodeHealth(
        z=seen + base,
        shift=shift,
        kind=kind,
        phase=phase,
        lookalike=lookalike,
        evidence=log_evidence(seen, steps_a_day, params),
        delay=np.where(late, np.maximum(seen[:, 5], 0), 0.0),
        outage=outage,
        incidents=tuple(incidents),
    )


def draw_incidents(rng: np.random.Generator, steps: int, params: IncidentParams) -> list[Incident]:
    """Incidents that do not overlap, at the prevalence asked for."""
    log_sd = 0.6
    mean_steps = params.median_steps * np.exp(log_sd**2 / 2)
    rate = params.prevalence / (1 - params.prevalence) / mean_steps
    found: list[Incident] = []
    free = 0
    for at in events(rng, steps, rate):
        kind = TYPES[int(rng.integers(len(TYPES)))]
        severity = str(rng.choice(SEVERITIES, p=SEVERITY_SHARE))
        early = int(rng.integers(PRECURSOR_STEPS[kind][0], PRECURSOR_STEPS[kind][1] + 1))
        length = max(3, round(params.median_steps * float(np.exp(log_sd * rng.standard_normal()))))
        start = int(at) + early
        if int(at) >= free and start + length < steps:
            found.append(Incident(kind, severity, int(at), start, start + length))
            free = start + length + 60  # uptime and the budget recover within the hour
    return found


def _apply(
    rng: np.random.Generator,
    incident: Incident,
    params: IncidentParams,
    shift: Float,
    kind: NDArray[np.int8],
    phase: NDArray[np.int8],
    outage: Float,
) -> None:
    size = params.shift_sd * params.severity_factors[incident.severity]
    each = np.asarray(SIGNATURES[incident.kind]) * rng.uniform(0.85, 1.2, len(SIGNALS))
    lead = np.linspace(0, 1, incident.start - incident.early + 2)[1:-1]
    shift[incident.early : incident.start] += lead[:, None] * size * each
    shift[incident.start : incident.end] += size * each
    phase[incident.early : incident.start] = 1
    phase[incident.start : incident.end] = 2
    kind[incident.start : incident.end] = 1 + TYPES.index(incident.kind)
    outage[incident.start : incident.end] += OUTAGE_DEPTH[incident.kind]


def _lookalikes(
    rng: np.random.Generator,
    steps: int,
    steps_a_day: float,
    params: IncidentParams,
    phase: NDArray[np.int8],
) -> tuple[Float, NDArray[np.int8]]:
    """Restarts and load peaks outside incidents: their shift (steps, 6) and code (steps,)."""
    shift, code = np.zeros((steps, len(SIGNALS))), np.zeros(steps, np.int8)
    rates = (params.restarts_a_day, params.load_peaks_a_day)
    for number, (name, rate) in enumerate(zip(LOOKALIKES, rates, strict=True), start=1):
        signature, mean_steps, size = LOOKALIKES[name]
        for at in events(rng, steps, rate / steps_a_day):
            span = slice(int(at), int(at) + 1 + int(rng.poisson(mean_steps)))
            if not phase[span].any() and not code[span].any():
                shift[span] += size * rng.uniform(*LOOKALIKE_FACTOR) * np.asarray(signature)
                code[span] = number
    return shift, code


def log_evidence(clean: Float, steps_a_day: float, params: IncidentParams) -> Float:
    """Log likelihood ratio of an incident against anything harmless, (steps,).

    The Neyman-Pearson statistic of one step: a mixture over types and severities over a mixture
    of quiet, restart and load peak, each a product of t4 densities. The small spread of each
    incident's signature is left out.

    Args:
        clean: (steps, 6) signals less the node's base.
        steps_a_day: turns the daily rates of lookalikes into shares of time.
        params: sizes and rates.
    """
    sizes = params.shift_sd * np.array([params.severity_factors[s] for s in SEVERITIES])
    harm = _mixture(clean, [(SIGNATURES[k], sizes, SEVERITY_SHARE, 1.0) for k in TYPES])
    low, high = LOOKALIKE_FACTOR
    factors = low + (high - low) * (np.arange(5) + 0.5) / 5  # midpoints of the uniform factor
    quiet, parts = 1.0, []
    rates = (params.restarts_a_day, params.load_peaks_a_day)
    for (signature, mean_steps, size), rate in zip(LOOKALIKES.values(), rates, strict=True):
        share = min(rate * (mean_steps + 1) / steps_a_day, 0.4)
        parts.append((signature, size * factors, (0.2,) * 5, share))
        quiet -= share
    nothing = ((0.0,) * len(SIGNALS), np.zeros(1), (1.0,), quiet)
    return np.asarray(np.log(harm / len(TYPES)) - np.log(_mixture(clean, [nothing, *parts])))


_Part = tuple[tuple[float, ...], Float, tuple[float, ...], float]


def _mixture(clean: Float, parts: list[_Part]) -> Float:
    """Density up to a constant, (steps,): parts are (signature, sizes, shares of sizes, weight).

    t4 scaled to unit deviation has a density proportional to (1 + z^2 / 2) ** -2.5.
    """
    total = np.zeros(len(clean))
    for signature, sizes, shares, weight in parts:
        for size, share in zip(sizes, shares, strict=True):
            spread = np.ones(len(clean))
            for signal, part in enumerate(signature):
                spread *= 1 + 0.5 * (clean[:, signal] - part * size) ** 2
            total += weight * share * spread**-2.5
    return total
