"""What each column of the telemetry holds: a few figures for the quality report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from dwcp_ml.telemetry.dataset import Manifest
    from dwcp_ml.telemetry.schema import Schema


@dataclass(frozen=True)
class ColumnFacts:
    """Figures of one column; those of a number are None for text, time and empty columns."""

    name: str
    group: str
    unit: str
    state: str  # measured, absent or label missing
    missing_percent: float | None
    least: float | None
    mean: float | None
    most: float | None


@dataclass
class _Sum:
    rows: int = 0
    present: int = 0
    total: float = 0.0
    least: float = np.inf
    most: float = -np.inf


@dataclass
class Profile:
    """Adds up batch by batch."""

    schema: Schema
    _sums: dict[str, _Sum] = field(default_factory=dict)

    def add(self, frame: pd.DataFrame) -> None:
        """Add the columns of a frame."""
        for name, values in frame.items():
            known = self._sums.setdefault(str(name), _Sum())
            known.rows += len(values)
            known.present += int(values.notna().sum())
            if values.dtype.kind in "if":
                known.total += float(values.sum())
                known.least = min(known.least, float(values.min()))
                known.most = max(known.most, float(values.max()))

    def columns(self, manifest: Manifest) -> Iterator[ColumnFacts]:
        """The figures of every column of the schema, in its order."""
        for column in self.schema.columns:
            seen = self._sums.get(column.name, _Sum())
            state = "absent" if column.name in manifest.absent_columns else "measured"
            state = "label missing" if column.name in manifest.missing_labels else state
            numeric = seen.present > 0 and np.isfinite([seen.least, seen.most]).all()
            yield ColumnFacts(
                name=column.name,
                group=column.group,
                unit=column.unit,
                state=state,
                missing_percent=100 * (1 - seen.present / seen.rows) if seen.rows else None,
                least=seen.least if numeric else None,
                mean=seen.total / seen.present if numeric else None,
                most=seen.most if numeric else None,
            )
