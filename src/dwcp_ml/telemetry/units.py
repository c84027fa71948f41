"""Named units of a source, turned into the units of the schema."""

from __future__ import annotations

from dwcp_ml.errors import ParamsError, nearest

_BYTES = {
    **{"byte": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12},
    **{"KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30, "TiB": 2.0**40},
}
_BITS = {"bit": 1.0, "kbit": 1e3, "Mbit": 1e6, "Gbit": 1e9, "Tbit": 1e12}


def _dimensions(step_s: int) -> tuple[dict[str, float], ...]:
    """Units that measure the same thing, each with its size; the first ones are guessed first."""
    data = {**_BITS, **{name: 8 * size for name, size in _BYTES.items()}}
    return (
        {"fraction": 1.0, "ratio": 1.0, "percent": 1e-2, "permille": 1e-3, "ppm": 1e-6},
        {"ms": 1e-3, "us": 1e-6, "ns": 1e-9, "s": 1.0, "min": 60.0},
        _BYTES,
        {
            **{f"{name}/s": size for name, size in data.items()},
            **{f"{name}/step": size / step_s for name, size in data.items()},
        },
        {"1/s": 1.0, "1/min": 1 / 60, "1/h": 1 / 3600, "1/day": 1 / 86400, "1/step": 1 / step_s},
        {"count": 1.0, "1/s": step_s, "1/min": step_s / 60, "1/h": step_s / 3600},
    )


def factors(target: str, step_s: int) -> dict[str, float]:
    """Source unit -> what a value is multiplied by to be in ``target``; the unit itself is 1."""
    for units in _dimensions(step_s):
        if target in units:
            return {name: size / units[target] for name, size in units.items()}
    return {target: 1.0}


def factor(source: str, target: str, step_s: int, where: str) -> float:
    """What a value in ``source`` is multiplied by to be in ``target``.

    Raises:
        ParamsError: the unit is unknown or measures something else.
    """
    known = factors(target, step_s)
    if source not in known:
        raise ParamsError(
            f"{where}: unit '{source}' cannot be turned into {target}{nearest(source, known)}; "
            f"known are {', '.join(known)}"
        )
    return known[source]


def likely_unit(
    low: float, high: float, least: float, most: float, target: str, step_s: int
) -> str | None:
    """A unit in which values from ``low`` to ``high`` would lie in the range least..most.

    Only units smaller than the target are guessed, as values that are too large give themselves
    away; the nearest one first, bits before bytes, and nothing that is counted by the step.
    """
    known = {n: size for n, size in factors(target, step_s).items() if not n.endswith("/step")}
    for name in sorted(known, key=lambda n: ("B" in n or "byte" in n, -known[n])):
        if known[name] < 1 and least <= low * known[name] and high * known[name] <= most:
            return name
    return None
