"""The data contract: Great Expectations on every row, with counts merged over the batches."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dwcp_ml.errors import ContractError
from dwcp_ml.files import whole_file
from dwcp_ml.telemetry.contract_report import ContractReport, Result, as_html, as_json
from dwcp_ml.telemetry.dataset import INCIDENTS, read_manifest
from dwcp_ml.telemetry.expectations import ONCE, Expected, suite
from dwcp_ml.telemetry.frames import Frames
from dwcp_ml.telemetry.incidents import read_incidents
from dwcp_ml.telemetry.parquet import table_files
from dwcp_ml.telemetry.profile import Profile
from dwcp_ml.telemetry.schema import load_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import pandas as pd

SAMPLES = 5


def validate(
    raw: Path,
    out: Path,
    *,
    expectations: Sequence[Expected] | None = None,
    tick: Callable[[int, int], None] = lambda _done, _total: None,
) -> ContractReport:
    """Check a raw telemetry folder against the contract and write data_quality.{json,html}.

    Args:
        raw: raw telemetry folder with its manifest.
        out: reports folder.
        expectations: what to check; by default the suite that follows from the schema.
        tick: progress as (part files looked at, part files + 1).

    Raises:
        ContractError: an expectation failed, raised or was dropped, or none was evaluated; the
            reports are written before.
        UnreadableFileError, MissingColumnError: there is no telemetry to check.
    """
    with (
        whole_file(out / "data_quality.json") as values,
        whole_file(out / "data_quality.html") as page,
    ):
        report = _checked(raw, expectations, tick)
        values.write_text(as_json(report), encoding="utf-8")
        page.write_text(as_html(report), encoding="utf-8")
    if not report.success:
        raise ContractError(f"{report.why()}; see {out / 'data_quality.html'}")
    return report


def _checked(
    raw: Path, expectations: Sequence[Expected] | None, tick: Callable[[int, int], None]
) -> ContractReport:
    schema = load_schema()
    manifest = read_manifest(raw)
    incidents = len(read_incidents(raw / INCIDENTS, schema)) if (raw / INCIDENTS).exists() else 0
    written = list(suite(schema, manifest) if expectations is None else expectations)
    parts = table_files(raw / "telemetry")
    frames = Frames(schema, manifest.step_s)
    profile = Profile(schema)
    with _great_expectations() as engine:
        checks = _Checks(written, engine)
        for batch in frames.read(parts):
            checks.row_batches += 1
            for name, frame in batch:
                if name in schema.groups:
                    profile.add(frame)
                checks.run(name, frame)
            tick(len(frames.layout), len(parts) + 1)
        for name, frame in frames.about_files().items():
            checks.run(name, frame)
        tick(len(parts) + 1, len(parts) + 1)
    return ContractReport(
        results=tuple(checks.result(i, frames.places) for i in range(len(written))),
        rows=frames.rows,
        parts=len(parts),
        incidents=incidents,
        columns=tuple(profile.columns(manifest)),
        manifest=manifest,
    )


@dataclass
class _Seen:
    """What came back for one expectation so far."""

    batches: int = 0
    checked: int = 0
    unexpected: int = 0
    samples: list[Any] = field(default_factory=list)
    raised: str = ""


@dataclass
class _Checks:
    """Runs the expectations of each frame and merges their counts."""

    written: list[Expected]
    validate: Callable[[pd.DataFrame, list[dict[str, Any]]], list[dict[str, Any]]]
    row_batches: int = 0

    def __post_init__(self) -> None:
        self.seen = [_Seen() for _ in self.written]

    def run(self, name: str, frame: pd.DataFrame) -> None:
        """Evaluate every expectation on the frame of that name."""
        asked = [
            {"type": e.type, "kwargs": e.kwargs, "meta": {"number": i}}
            for i, e in enumerate(self.written)
            if e.frame == name
        ]
        for answer in self.validate(frame, asked) if asked else ():
            self._merge(answer)

    def _merge(self, answer: dict[str, Any]) -> None:
        seen = self.seen[answer["expectation_config"]["meta"]["number"]]
        seen.batches += 1
        raised = _exception(answer["exception_info"])
        counts = answer["result"]
        if raised or "element_count" not in counts:
            seen.raised = raised or "it gave no counts"
            return
        seen.checked += counts["element_count"] - counts.get("missing_count", 0)
        seen.unexpected += counts["unexpected_count"]
        room = SAMPLES - len(seen.samples)
        seen.samples += counts.get("partial_unexpected_list", [])[:room]

    def result(self, number: int, places: dict[str, str]) -> Result:
        """The verdict on one expectation over all batches."""
        expected, seen = self.written[number], self.seen[number]
        evaluations = 1 if expected.frame in ONCE else self.row_batches
        share = seen.unexpected / seen.checked if seen.checked else 0.0
        why = ""
        if seen.raised:
            why = f"raised: {seen.raised}"
        elif seen.batches == 0 or seen.batches < evaluations:
            why = f"dropped: evaluated on {seen.batches} of {evaluations} batches"
        elif share > 1 - expected.mostly + 1e-9:
            why = f"{seen.unexpected:,} of {seen.checked:,} values disagree ({share:.2%})"
            place = places.get(expected.kwargs.get("column", ""))
            why += f", {place}" if place else ""
        return Result(
            expectation=expected.type,
            columns=expected.columns,
            title=expected.title,
            evaluated=bool(seen.batches) and seen.batches >= evaluations and not seen.raised,
            success=not why,
            checked=seen.checked,
            unexpected=seen.unexpected,
            unexpected_percent=round(100 * share, 4),
            sample=tuple(_shown(value) for value in seen.samples),
            why=why,
        )


def _shown(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _exception(info: dict[str, Any]) -> str:
    """The message of an exception that Great Expectations caught, or nothing."""
    for entry in [info, *(v for v in info.values() if isinstance(v, dict))]:
        if entry.get("raised_exception"):
            return str(entry.get("exception_message")).splitlines()[0]
    return ""


@contextmanager
def _great_expectations() -> Iterator[
    Callable[[pd.DataFrame, list[dict[str, Any]]], list[dict[str, Any]]]
]:
    """A function (frame, expectations) -> answers; nothing is sent, drawn or kept on disk."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read once, when the package is imported
    os.environ["TQDM_DISABLE"] = "1"
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_pandas("telemetry")
    definition = source.add_dataframe_asset("frame").add_batch_definition_whole_dataframe("batch")

    def answers(frame: pd.DataFrame, asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
        batch = definition.get_batch(batch_parameters={"dataframe": frame})
        expectations = gx.ExpectationSuite(name="contract", expectations=asked)
        form = {"result_format": "BASIC", "partial_unexpected_count": SAMPLES}
        found = batch.validate(expectations, result_format=form).to_json_dict()["results"]
        return list(found)

    # It logs a stack trace for what it drops or catches; both are counted and told here.
    logger = logging.getLogger("great_expectations")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield answers
    finally:
        logger.setLevel(level)
