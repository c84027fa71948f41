"""Windows of a live table one after the other, and whether they ask for a new training."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from dwcp_ml.errors import DriftError
from dwcp_ml.monitoring.columns import Table, aligned
from dwcp_ml.monitoring.drift import LEAST_ROWS, Reference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dwcp_ml.monitoring.drift import ColumnDrift
    from dwcp_ml.monitoring.performance import Performance, WindowPerformance

HOUR_S = 3600
PERFORMANCE = "performance"  # kind of a violation, beside those of columns


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
    performance: WindowPerformance | None = None

    @property
    def kinds(self) -> list[str]:
        """Kinds of the violations: input, output, missing, performance."""
        found = [column.kind for column in self.columns if column.drifted]
        late = [PERFORMANCE] if self.performance and self.performance.drifted else []
        return list(dict.fromkeys([*found, *late]))

    @property
    def drifted(self) -> bool:
        """Whether there is any violation."""
        return bool(self.kinds)


@dataclass(frozen=True)
class Verdict:
    """All windows, oldest first, and what follows.

    Attributes:
        rule: when to train again.
        reference_windows: from which it was learnt what is usual.
        false_alarm_rate: of a window, over all columns together.
        windows: that had enough rows.
        skipped: start and rows of the live windows that had too few.
        left_out: columns that could not be compared, with the reason.
        performance: what the model's figure is usually; None where it was not asked for or known.
        no_performance: why it is not known, or nothing.
    """

    rule: Rule
    reference_windows: int
    false_alarm_rate: float
    windows: Sequence[WindowDrift]
    skipped: Sequence[tuple[datetime, int]] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    performance: Performance | None = None
    no_performance: str = ""

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
            "left_out": dict(self.left_out),
            "skipped": [{"start": at.isoformat(), "rows": rows} for at, rows in self.skipped],
            "performance": self._performance(),
            "windows": [
                {
                    "start": window.start.isoformat(),
                    "rows": window.rows,
                    "drifted": window.drifted,
                    "kinds": window.kinds,
                    "columns": [_finite(asdict(column)) for column in window.columns],
                    "performance": window.performance and _finite(asdict(window.performance)),
                }
                for window in self.windows
            ],
        }

    def _performance(self) -> dict[str, Any] | None:
        if self.performance is None:
            return {"unknown": self.no_performance} if self.no_performance else None
        about = {f.name: getattr(self.performance, f.name) for f in fields(self.performance)}
        del about["windows"]
        return _finite({**about, "false_alarm_rate": self.performance.false_alarm_rate})


def watch(
    reference: Table,
    live: Table,
    rule: Rule,
    performance: Performance | None = None,
    no_performance: str = "",
) -> Verdict:
    """Compare each window of a live table with the reference.

    Columns that cannot be compared are left out and named. Windows with few rows, such as one that
    is cut by the end of the table, are left out too.

    Args:
        reference: what is usual.
        live: what is watched.
        rule: when to train again.
        performance: of the model in windows of the same length.
        no_performance: why it is not known.

    Raises:
        DriftError: no column in common, a reference too short, or no window with enough rows.
    """
    was, now, left_out = aligned(reference, live)
    seconds = rule.window_h * HOUR_S
    usual = Reference(was.columns, [rows for _, rows in _whole(was, seconds)])
    whole = dict(_whole(now, seconds))
    judged = performance.windows if performance else {}
    found = [
        WindowDrift(_time(start), len(rows), usual.compare(rows), judged.get(start))
        for start, rows in whole.items()
    ]
    if not found:
        raise DriftError(
            f"the live table has no window of {rule.window_h:g} hours with {LEAST_ROWS} rows; "
            "wait, or take shorter windows"
        )
    few = [(_time(at), len(rows)) for at, rows in now.windows(seconds) if at not in whole]
    return Verdict(
        rule, usual.windows, usual.false_alarm_rate, found, few, left_out, performance,
        no_performance,
    )  # fmt: skip


def _whole(table: Table, seconds: float) -> list[tuple[float, np.ndarray]]:
    """Windows with at least half of the rows of the fullest, and enough of them."""
    found = list(table.windows(seconds))
    fullest = max((len(rows) for _, rows in found), default=0)
    return [(at, rows) for at, rows in found if len(rows) >= max(LEAST_ROWS, fullest / 2)]


def _time(epoch_s: float) -> datetime:
    return datetime.fromtimestamp(epoch_s, UTC)


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    return {k: None if isinstance(v, float) and not np.isfinite(v) else v
            for k, v in values.items()}  # fmt: skip
