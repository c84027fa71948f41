"""Answers beside the truth that arrived later: of telemetry, or of a server's log.

A log holds no link and no node. What it holds is the exact numbers that were asked with, and the
telemetry that came later holds the same numbers beside what followed: equal bytes are the same
question. What is asked twice with different truths, or is in neither, is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dwcp_ml.errors import DriftError, MissingColumnError
from dwcp_ml.evaluation.dataset import numbered
from dwcp_ml.export.session import score
from dwcp_ml.monitoring.drift import LEAST_ROWS
from dwcp_ml.monitoring.performance import Judged
from dwcp_ml.monitoring.tables import lists

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from dwcp_ml.models.base import Array, Examples
    from dwcp_ml.monitoring.model import Watched
    from dwcp_ml.telemetry.dataset import Part


def of_telemetry(part: Part, watched: Watched) -> Judged:
    """Every example of a part with the answer of the graph.

    Raises:
        DriftError: the part has no truth for this model.
    """
    examples = _examples(part, watched)
    return Judged(examples, score(watched.session, examples.features))


def of_log(log: Path, part: Part, watched: Watched) -> Judged:
    """Logged answers with the truth from a part of telemetry, by the numbers asked with.

    Raises:
        DriftError: too few of the logged questions are found in the telemetry.
    """
    examples = _examples(part, watched)
    asked, answers = lists(log, watched.session.get_inputs()[0].name, list(watched.outputs))
    known = _unique(examples.features)
    pairs = [
        (place, known[key])
        for place, row in enumerate(asked)
        if (key := np.ascontiguousarray(row, np.float32).tobytes()) in known
    ]
    if len(pairs) < LEAST_ROWS:
        raise DriftError(
            f"{len(pairs)} of {len(asked)} questions in {log} are found in {part.telemetry}, "
            f"{LEAST_ROWS} are needed. A log holds no link or node: a question is found by its "
            "exact numbers, so clients have to send what telemetry records; else give live "
            "telemetry instead of a log"
        )
    mine, theirs = np.array(pairs).T
    return Judged(examples.take(theirs), {name: rows[mine] for name, rows in answers.items()})


def _examples(part: Part, watched: Watched) -> Examples:
    try:
        found = watched.model.examples(part, watched.section)
    except MissingColumnError as error:
        raise DriftError(f"no truth for {watched.name} in {part.telemetry}: {error}") from None
    if not len(found):
        raise DriftError(
            f"no truth for {watched.name} in {part.telemetry}: no row has a whole window before it"
        )
    return numbered(found)


def _unique(features: NDArray[np.float32]) -> dict[bytes, int]:
    """Bytes of each row that is there once -> its place."""
    found: dict[bytes, int] = {}
    twice: set[bytes] = set()
    rows: Array = np.ascontiguousarray(features, np.float32)
    for place, row in enumerate(rows):
        key = row.tobytes()
        if key in found:
            twice.add(key)
        found[key] = place
    return {key: place for key, place in found.items() if key not in twice}
