"""Cells and frames that several parts of the page share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dwcp_ml.evaluation.report import text
from dwcp_ml.evaluation.report.html import Markup, join, tag
from dwcp_ml.evaluation.report.master import APPROVED, FAILED

if TYPE_CHECKING:
    from collections.abc import Mapping


def badge(passed: bool) -> Markup:
    """APPROVED or FAILED."""
    return tag("span", APPROVED if passed else FAILED, css=f"badge {'ok' if passed else 'bad'}")


def with_interval(value: float | None, row: Mapping[str, Any], unit: str = "") -> Markup:
    """A value with its interval in small print below."""
    if row.get("ci_low") is None:
        return tag("span", text.number(value, unit))
    return join([text.number(value, unit), tag("span", text.interval(row), css="ci")], between="")


def plot(title: str, svg: str) -> Markup:
    """A drawing under its title."""
    return tag("figure", tag("figcaption", title), Markup(svg))


def axis(definition: Mapping[str, Any]) -> str:
    """Label of an axis that shows a metric."""
    unit = definition["unit"]
    better = f"{definition['better']} is better"
    return better if unit in text.PLAIN_UNITS else f"{unit}, {better}"
