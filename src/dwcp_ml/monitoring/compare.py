"""Reference and live values from where they lie, to a verdict."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from dwcp_ml.errors import DriftError, ParamsError
from dwcp_ml.monitoring.answers import answered, is_log, logged
from dwcp_ml.monitoring.performance import Performance, judge
from dwcp_ml.monitoring.tables import read_values
from dwcp_ml.monitoring.telemetry import as_part
from dwcp_ml.monitoring.truth import of_log, of_telemetry
from dwcp_ml.monitoring.watch import HOUR_S, Verdict, watch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dwcp_ml.monitoring.model import Watched
    from dwcp_ml.monitoring.watch import Rule
    from dwcp_ml.telemetry.dataset import Part


def compare_values(reference: Path, live: Path, rule: Rule, columns: Sequence[str] = ()) -> Verdict:
    """All columns of two tables, or some of them.

    Raises:
        DriftError: nothing can be compared.
        MissingColumnError: one of ``columns`` is not there.
        UnreadableFileError: a table cannot be read.
    """
    was, now = read_values(reference), read_values(live)
    if columns:
        was, now = was.only(columns), now.only(columns)
    return watch(was, now, rule)


def compare_model(
    reference: Path,
    live: Path,
    rule: Rule,
    watched: Watched,
    *,
    truth: Path | None = None,
    columns: Sequence[str] = (),
) -> Verdict:
    """What a model is asked, what it answers, and how well, where the truth has arrived.

    Args:
        reference: telemetry; the model's graph answers to it here.
        live: telemetry too, or a log of the model's answers.
        rule: when to train again.
        watched: the model.
        truth: telemetry that came after a log; of live telemetry it is in there already.
        columns: only these.

    Raises:
        DriftError: nothing can be compared, or the truth that was given is of other questions.
        ParamsError: a truth beside live telemetry.
        MissingColumnError, UnreadableFileError: as of ``as_part``, ``answered`` and ``logged``.
    """
    with ExitStack() as scratch:

        def part(path: Path) -> Part:
            return as_part(path, Path(scratch.enter_context(TemporaryDirectory())))

        if is_log(reference, watched):
            raise ParamsError(
                f"{reference} is a log of answers; as the reference of a model give telemetry"
            )
        log = is_log(live, watched)
        if truth is not None and not log:
            raise ParamsError(
                f"{live} is telemetry, which holds the truth about itself; a truth of its own "
                "belongs to a log of answers"
            )
        before = part(reference)
        after = None if log else part(live)
        was = answered(before, watched)
        now = logged(live, watched) if after is None else answered(after, watched)
        later = part(truth) if truth is not None else None
        performance, why = _performance(before, after, live, later, watched, rule)
    if columns:
        was, now = was.only(columns), now.only(columns)
    return watch(was, now, rule, performance, why)


def _performance(
    before: Part, after: Part | None, log: Path, truth: Part | None, watched: Watched, rule: Rule
) -> tuple[Performance | None, str]:
    """The model's figure; or why it is not known, unless a truth was given for it."""
    try:
        if after is not None:
            live = of_telemetry(after, watched)
        elif truth is not None:
            live = of_log(log, truth, watched)
        else:
            return None, "a log holds no truth; give the telemetry that came after it"
        return judge(watched, of_telemetry(before, watched), live, rule.window_h * HOUR_S), ""
    except DriftError as error:
        if truth is not None:
            raise
        return None, str(error)
