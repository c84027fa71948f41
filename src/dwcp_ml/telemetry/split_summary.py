"""What a split holds: split.json, and the check that every part has a window."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from dwcp_ml.errors import EmptySplitError
from dwcp_ml.telemetry.boundaries import LEFT_OUT, ROLES
from dwcp_ml.telemetry.windows import SEGMENT_COLUMNS, Columns, segments

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dwcp_ml.params import SplitParams
    from dwcp_ml.telemetry.boundaries import Boundaries
    from dwcp_ml.telemetry.dataset import Manifest, Role


@dataclass
class PartSummary:
    """One part of the split; ``longest_run`` is the rows of its longest unbroken run."""

    rows: int = 0
    series: int = 0
    start: str = ""
    end: str = ""
    longest_run: int = 0


@dataclass(frozen=True)
class SplitSummary:
    """What split.json holds; ``boundaries`` are the first and last times of the parts."""

    source: str
    step_s: int
    gap_steps: int
    by: str
    fractions: dict[str, float]
    boundaries: dict[str, tuple[str, str]] | None
    parts: dict[Role, PartSummary]
    rows_left_out: int
    absent_columns: tuple[str, ...]
    missing_labels: tuple[str, ...]


@dataclass
class Counts:
    """Adds up part file by part file."""

    step_s: int
    parts: dict[Role, PartSummary] = field(
        default_factory=lambda: {r: PartSummary() for r in ROLES}
    )
    left_out: int = 0

    def add(self, columns: Columns, roles: NDArray[np.int8]) -> None:
        """Count the rows of one part file; ``roles`` says where each one goes."""
        node, peer, time_s = (columns[name] for name in SEGMENT_COLUMNS)
        for number, role in enumerate(ROLES):
            mine = roles == number
            if not mine.any():
                continue
            part = self.parts[role]
            part.rows += int(mine.sum())
            pairs = node[mine].astype(np.int64) * (int(peer.max()) + 1) + peer[mine]
            part.series += len(np.unique(pairs))
            start, end = _iso(time_s[mine].min()), _iso(time_s[mine].max())
            part.start = min(part.start or start, start)
            part.end = max(part.end, end)
            part.longest_run = max(part.longest_run, segments(columns, self.step_s, mine).longest())
        self.left_out += int((roles == LEFT_OUT).sum())

    def check(self, needed: int, by: str) -> None:
        """Raise EmptySplitError unless every part has ``needed`` rows in a row."""
        short = [
            f"{role} has {part.rows:,} rows, at most {part.longest_run:,} in a row"
            for role, part in self.parts.items()
            if part.longest_run < needed
        ]
        if short:
            hint = "; by: series_time cuts each series by itself" if by == "time" else ""
            raise EmptySplitError(
                f"one window takes {needed:,} unbroken steps, but {'; '.join(short)}. Bring more "
                f"data, shorten the models' windows or change the fractions of the split{hint}"
            )

    def summary(
        self,
        manifest: Manifest,
        params: SplitParams,
        gap_steps: int,
        bounds: Boundaries | None,
    ) -> SplitSummary:
        """All of it."""
        spans = bounds.spans() if bounds else None
        return SplitSummary(
            source=manifest.source,
            step_s=manifest.step_s,
            gap_steps=gap_steps,
            by=params.by,
            fractions={role: getattr(params, role) for role in ROLES},
            boundaries={r: (_iso(a), _iso(b)) for r, (a, b) in spans.items()} if spans else None,
            parts=dict(self.parts),
            rows_left_out=self.left_out,
            absent_columns=manifest.absent_columns,
            missing_labels=manifest.missing_labels,
        )


def _iso(time_s: int | np.number) -> str:
    return datetime.fromtimestamp(int(time_s), UTC).isoformat()
