"""Numbers as people read them: four digits, the unit, a hyphen where there is none."""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

NONE = "-"
PLAIN_UNITS = ("", "1", "fraction", "bool")


def number(value: float | None, unit: str = "") -> str:
    """For example "4.703 %", "0.9882", "12,345"."""
    if value is None:
        return NONE
    value += 0.0  # no negative zero
    whole = float(value).is_integer() and abs(value) >= 1000
    text = f"{value:,.0f}" if whole or abs(value) >= 1e4 else f"{value:.4g}"
    return text if unit in PLAIN_UNITS else f"{text} {unit}"


def interval(row: Mapping[str, Any]) -> str:
    """The confidence interval of a row or gate, for example "4.61 to 4.79".

    Its own width says how many digits mean something: two of the width are shown.
    """
    low, high = row.get("ci_low"), row.get("ci_high")
    if low is None or high is None:
        return NONE
    if low == high:
        return f"{number(low)} to {number(high)}"
    decimals = max(0, 1 - math.floor(math.log10(high - low)))
    return f"{low:,.{decimals}f} to {high:,.{decimals}f}"


def bound(direction: str, value: float, unit: str = "") -> str:
    """For example "≥ 0.98"."""
    return f"{'≥' if direction == 'min' else '≤'} {number(value, unit)}"


def words(name: str) -> str:
    """An identifier as words: "mape_by_tier" becomes "mape by tier"."""
    return name.replace("_", " ")


def seconds(value: float | None) -> str:
    """A duration, for example "42 s" or "3 min 05 s"."""
    if value is None:
        return NONE
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{value:.3g} s"


def moment(iso: str | None) -> str:
    """A time in ISO 8601 as people write it, for example "2025-02-03 04:05 UTC"."""
    if iso is None:
        return NONE
    when = datetime.fromisoformat(iso)
    return f"{when:%Y-%m-%d %H:%M} {when.tzname() or ''}".strip()


def verdict(passed: bool | None) -> str:
    """The word for a verdict: pass, FAIL or not checked."""
    return "not checked" if passed is None else "pass" if passed else "FAIL"
