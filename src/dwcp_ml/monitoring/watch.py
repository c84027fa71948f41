"""Windows of a live table one after the other, and whether they ask for a new training."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from dwcp_ml.errors import DriftError
from dwcp_ml.monitoring.drift import LEAST_ROWS, Reference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dwcp_ml.monitoring.drift import ColumnDrift
    from dwcp_ml.monitoring.tables import Table

HOUR_S = 3600


@dataclass(frozen=True)
class Rule:
    """When to train again: ``k`` of the last ``n`` windows of ``window_h`` hours drifted."""

    window_h: float = 24.0
    k: int = 2
    n: int = 3

    def __post_init__(self) -> None:
        """DriftError for a rule that can never, or always, be met."""
        if not 1 <= self.k <= self.n or not self.window_h > 0:
            raise DriftError(
                f"{self.k} of {self.n} windows of {self.window_h:g} hours is no rule; k lies "
                "between 1 and n, and a window lasts longer than 0 hours"
            )


@dataclass(frozen=True)
class WindowDrift:
    """One window: its start, its rows, every column, and the performance where it is known."""

    start: datetime
    rows: int
    columns: Sequence[ColumnDrift]

    @property
    def drifted(self) -> bool:
        """Whether any column did."""
        return any(column.drifted for column in self.columns)


@dataclass(frozen=True)
class Verdict:
    """All windows, oldest first, and what follows."""

    rule: Rule
    reference_windows: int
    false_alarm_rate: float
    windows: Sequence[WindowDrift]

    @property
    def drifted(self) -> list[bool]:
        """Of each window."""
        return [window.drifted for window in self.windows]

    @property
    def retrain(self) -> bool:
        """Whether the newest windows meet the rule."""
        return sum(self.drifted[-self.rule.n :]) >= self.rule.k

    @property
    def since(self) -> datetime | None:
        """Start of the first window at which the rule was met."""
        flags = self.drifted
        for end in range(1, len(flags) + 1):
            if sum(flags[max(0, end - self.rule.n) : end]) >= self.rule.k:
                return self.windows[end - 1].start
        return None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "retrain": self.retrain,
            "since": None if self.since is None else self.since.isoformat(),
            "rule": asdict(self.rule),
            "reference_windows": self.reference_windows,
            "false_alarm_rate": self.false_alarm_rate,
            "windows": [
                {
                    "start": window.start.isoformat(),
                    "rows": window.rows,
                    "drifted": window.drifted,
                    "columns": [_finite(asdict(column)) for column in window.columns],
                }
                for window in self.windows
            ],
        }


def watch(reference: Table, live: Table, rule: Rule) -> Verdict:
    """Compare each window of a live table with the reference.

    Columns that either side lacks are left out. Windows with few rows, such as one that is cut
    by the end of the table, are left out too.

    Raises:
        DriftError: no column in common, a reference too short, or no window with enough rows.
    """
    names = [name for name in reference.names if name in live.names]
    if not names:
        raise DriftError(
            "reference and live table have no column in common: "
            f"{', '.join(reference.names[:5])} against {', '.join(live.names[:5])}"
        )
    seconds = rule.window_h * HOUR_S
    usual = Reference(names, [rows for _, rows in _whole(reference.only(names), seconds)])
    found = [
        WindowDrift(datetime.fromtimestamp(start, UTC), len(rows), usual.compare(rows))
        for start, rows in _whole(live.only(names), seconds)
    ]
    if not found:
        raise DriftError(
            f"the live table has no window of {rule.window_h:g} hours with {LEAST_ROWS} rows; "
            "wait, or take shorter windows"
        )
    return Verdict(rule, usual.windows, usual.false_alarm_rate, found)


def _whole(table: Table, seconds: float) -> list[tuple[float, np.ndarray]]:
    """Windows with at least half of the rows of the fullest, and enough of them."""
    found = list(table.windows(seconds))
    fullest = max((len(rows) for _, rows in found), default=0)
    return [(at, rows) for at, rows in found if len(rows) >= max(LEAST_ROWS, fullest / 2)]


def _finite(column: dict[str, Any]) -> dict[str, Any]:
    return {k: None if isinstance(v, float) and not np.isfinite(v) else v
            for k, v in column.items()}  # fmt: skip
