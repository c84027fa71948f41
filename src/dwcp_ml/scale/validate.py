"""The data contract by Great Expectations' Spark engine: the expectations of ``dwcp validate``."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import replace as changed
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwcp_ml.errors import ContractError
from dwcp_ml.scale.frames import About, Ends, Key, Kind, Parts, Rows, columns_of, narrowed
from dwcp_ml.scale.places import place
from dwcp_ml.scale.spark import watched
from dwcp_ml.scale.split import read_raw
from dwcp_ml.scale.work import Receipt, over_parts
from dwcp_ml.telemetry.contract import SAMPLES, _Checks, _great_expectations
from dwcp_ml.telemetry.contract_report import ContractReport, as_html, as_json
from dwcp_ml.telemetry.dataset import INCIDENTS
from dwcp_ml.telemetry.expectations import LAYOUT, ORDER, PAIRS, WHOLE, suite
from dwcp_ml.telemetry.incidents import read_incidents
from dwcp_ml.telemetry.profile import Profile, _Sum
from dwcp_ml.telemetry.schema import Schema, load_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from pyspark.sql import DataFrame, SparkSession

    from dwcp_ml.scale.split import Raw

JSON, HTML = "data_quality.json", "data_quality.html"
GROUPS = "groups"
KINDS: dict[str, Kind] = {GROUPS: "groups", PAIRS: "pairs", ORDER: "order"}
Tick = Callable[[int, int], None]


def validate(
    spark: SparkSession,
    raw: str,
    out: str,
    *,
    tick: Tick = lambda _done, _total: None,
) -> ContractReport:
    """Check raw telemetry against the contract and write data_quality.{json,html}.

    Args:
        spark: session.
        raw: raw telemetry folder that all workers see, or s3://BUCKET/PREFIX.
        out: folder of this machine, or s3://BUCKET/PREFIX, for the reports.
        tick: progress as (tasks done, tasks).

    Raises:
        ContractError: an expectation failed, raised or was dropped, or none was evaluated; the
            reports are written before.
        UnreadableFileError, MissingColumnError: there is no telemetry to check.
        ScaleError: a job failed.
    """
    report = _checked(spark, read_raw(raw), tick)
    target = place(out)
    target.write(JSON, as_json(report))
    target.write(HTML, as_html(report))
    if not report.success:
        raise ContractError(f"{report.why()}; see {out}/{HTML}")
    return report


def _checked(spark: SparkSession, raw: Raw, tick: Tick) -> ContractReport:
    schema, count = load_schema(), len(raw.telemetry)
    parts = Parts(raw.place, raw.telemetry, raw.manifest)
    ends = over_parts(spark, count, Ends(parts), tick)
    parts = _with_keys(parts, ends)
    about = over_parts(spark, count, About(parts, schema), tick)
    layouts = _layouts(about, ends)
    rows, series = (sum(f) for f in zip(*((a.rows, a.facts["series"]) for a in about), strict=True))
    written = [
        changed(e, frame=GROUPS) if e.frame in schema.groups else e
        for e in suite(schema, raw.manifest)
    ]
    frames: dict[str, Any] = {
        name: _frame(spark, parts, schema, kind, layouts) for name, kind in KINDS.items()
    }
    frames |= about_files(layouts, rows, series)
    with _engine() as engine:
        checks = _Checks(written, engine, row_batches=1)
        for name, frame in frames.items():
            watched(spark, partial(checks.run, name, frame), tick)
    places: dict[str, str] = {}
    for receipt in about:
        places = receipt.facts["places"] | places
    return ContractReport(
        results=tuple(checks.result(i, places) for i in range(len(written))),
        rows=rows,
        parts=count,
        incidents=_incidents(raw, schema),
        columns=tuple(_profile(about, schema).columns(raw.manifest)),
        manifest=raw.manifest,
    )


def about_files(layouts: list[dict[str, Any]], rows: int, series: int) -> dict[str, pd.DataFrame]:
    """The frames on files, a row a part: the driver holds them, as one process does."""
    import pandas as pd

    whole = pd.DataFrame({"rows": [rows], "series": [series]})
    return {LAYOUT: pd.DataFrame(layouts), WHOLE: whole}


def _incidents(raw: Raw, schema: Schema) -> int:
    if not raw.place.has(INCIDENTS):
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        return len(read_incidents(raw.place.fetch(INCIDENTS, Path(scratch)), schema))


def _with_keys(parts: Parts, ends: Sequence[Receipt]) -> Parts:
    before: list[Key | None] = []
    last: Key | None = None
    for receipt in ends:
        before.append(last)
        if receipt.facts:
            key, micros = receipt.facts["last"]
            last = (tuple(key), micros)
    return changed(parts, before=tuple(before))


def _layouts(about: Sequence[Receipt], ends: Sequence[Receipt]) -> list[dict[str, Any]]:
    """One row a part file; each begins after the last one with rows ended."""
    found: list[dict[str, Any]] = []
    last: list[str] | None = None
    for receipt, end in zip(about, ends, strict=True):
        follows = bool(end.facts) and (last is None or end.facts["first"] > last)
        found.append(receipt.facts["layout"] | {"follows": int(follows)})
        last = end.facts["last"][0] if end.facts else last
    return found


def _profile(about: Sequence[Receipt], schema: Schema) -> Profile:
    whole = Profile(schema)
    for receipt in about:
        for name, figures in receipt.facts["sums"].items():
            one = {k: float(v) for k, v in figures.items()}
            known = whole._sums.setdefault(name, _Sum())
            known.rows += int(one["rows"])
            known.present += int(one["present"])
            known.total += one["total"]
            known.least = min(known.least, one["least"])
            known.most = max(known.most, one["most"])
    return whole


def _frame(
    spark: SparkSession,
    parts: Parts,
    schema: Schema,
    kind: Kind,
    layouts: Sequence[dict[str, Any]],
) -> DataFrame:
    from pyspark.sql.pandas.types import from_arrow_schema

    kinds = columns_of(kind, schema, layouts)
    rows = Rows(parts, narrowed(schema, kind), kind, kinds)
    count = len(parts.names)
    return spark.range(0, count, 1, count).mapInArrow(rows, from_arrow_schema(kinds))


@contextmanager
def _engine() -> Iterator[Callable[[Any, list[dict[str, Any]]], list[dict[str, Any]]]]:
    """A function (frame, expectations) -> answers, for frames of Spark and of pandas."""
    with _great_expectations() as on_pandas:  # it also sets the package up
        on_spark = _SparkEngine()
        yield (
            lambda frame, asked: (
                on_spark.answers(frame, asked)
                if hasattr(frame, "sparkSession")
                else on_pandas(frame, asked)
            )
        )


class _SparkEngine:
    """Great Expectations on Spark."""

    def __init__(self) -> None:
        import great_expectations as gx

        self._suite = partial(gx.ExpectationSuite, name="contract")
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}
        self._batches = {}
        for kept in (False, True):
            source = context.data_sources.add_spark(f"kept {kept}", persist=kept)
            asset = source.add_dataframe_asset("frame")
            self._batches[kept] = asset.add_batch_definition_whole_dataframe("batch")

    def answers(self, frame: DataFrame, asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Counts first; then samples of what disagrees, for which each takes a job of its own."""
        found = self._evaluated(frame, asked, 0)
        wrong = {_number(a) for a in found if a["result"].get("unexpected_count")}
        again = [e for e in asked if e["meta"]["number"] in wrong]
        sampled = self._evaluated(frame, again, SAMPLES) if again else []
        samples = {_number(a): a["result"].get("partial_unexpected_list", []) for a in sampled}
        for answer in found:
            if _number(answer) in samples:
                answer["result"]["partial_unexpected_list"] = samples[_number(answer)]
        return found

    def _evaluated(
        self, frame: DataFrame, asked: list[dict[str, Any]], samples: int
    ) -> list[dict[str, Any]]:
        # One job answers all expectations on single columns; the others take a job each, for
        # which their few columns are worth keeping.
        kept = not all("column" in e["kwargs"] for e in asked)
        batch = self._batches[kept].get_batch(batch_parameters={"dataframe": frame})
        form = {"result_format": "BASIC", "partial_unexpected_count": samples}
        found = batch.validate(self._suite(expectations=asked), result_format=form)
        return list(found.to_json_dict()["results"])


def _number(answer: dict[str, Any]) -> int:
    return int(answer["expectation_config"]["meta"]["number"])
