"""A finished training of one model, as it is logged: read from artifacts, reports and registry."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwcp_ml.errors import UnreadableFileError
from dwcp_ml.evaluation.artifact import Artifact, read_artifact
from dwcp_ml.evaluation.jsons import read_json
from dwcp_ml.evaluation.report.master import QUALITY, approved
from dwcp_ml.registry.chain import chain
from dwcp_ml.registry.store import CARD, show, versions
from dwcp_ml.tracking.revision import revision_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dwcp_ml.evaluation.report.rows import Report

DATASETS = ("test", "fresh")  # those whose figures are compared; the report file has all
TRAINING, CONTENT, ONNX_SHA256, VERSION = "training", "content", "onnx_sha256", "version"  # tags


@dataclass(frozen=True)
class Around:
    """What the files do not say: where they lie and who asks.

    Attributes:
        git_commit: of the code; None where it is unknown.
        experiment: name of the DVC experiment that is run.
        user: who sends it.
        versions: of the models where the registry is not a folder here.
    """

    artifacts: Path = Path("artifacts")
    reports: Path = Path("reports")
    registry: Path = Path("models")
    git_commit: str | None = None
    experiment: str | None = None
    user: str | None = None
    versions: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Training:
    """What is logged of it.

    Attributes:
        name: of the model.
        title: of the run.
        started: when the training began.
        ended: when it was over.
        params: its parameters, with dots for nesting.
        metrics: figures of the model and of what it is measured by.
        curves: figure -> (step, value) of each epoch that was recorded.
        tags: lineage and verdict; "training" is the same for the same data, parameters and graph.
        data: part of the split -> (sha256, what is known about it).
        artifact: the ONNX file with its metadata.
        report: of the evaluation.
        quality: of the data contract, None where none was run.
        figures: folder of the models' figures.
        files: file -> folder of the run that receives it.
    """

    name: str
    title: str
    started: datetime
    ended: datetime
    params: dict[str, str]
    metrics: dict[str, float]
    curves: dict[str, list[tuple[int, float]]]
    tags: dict[str, str]
    data: dict[str, tuple[str, dict[str, Any]]]
    artifact: Artifact
    report: Report
    quality: dict[str, Any] | None
    figures: Path
    files: dict[Path, str]

    @property
    def note(self) -> str:
        """A few words on top of the run's page."""
        version = self.tags.get(VERSION, "not registered")
        failed = self.tags.get("gates_failed", "")
        verdict = f"gates {self.tags['gates_verdict']}{': ' * bool(failed)}{failed}"
        return f"{self.report['title']}, {version}, {verdict}. The figures are in report.html."


def evaluated(reports: Path) -> list[str]:
    """Models that have a report."""
    ending = "_report.json"
    found = sorted(reports.glob(f"*{ending}")) if reports.is_dir() else []
    names = (path.name.removesuffix(ending) for path in found)
    return [name for name in names if "gates" in read_json(reports / f"{name}{ending}")]


def read_training(name: str, around: Around) -> Training:
    """Read a training of a model that was evaluated.

    Raises:
        UnreadableFileError: a file is missing, or the report is about another ONNX file.
    """
    path = around.reports / f"{name}_report.json"
    artifact, report = read_artifact(around.artifacts / name), read_json(path)
    if report["onnx_sha256"] != artifact.digest:
        raise UnreadableFileError(
            f"{path} is about another file than {artifact.onnx}; run 'dwcp evaluate {name}' first"
        )
    if name in around.versions:
        version = around.versions[name]
    else:
        version = registered(around.registry, name, artifact.digest)
    card = around.registry / name / (version or "") / CARD
    began = report["training_date"]  # None where the stage was called without a command
    written = datetime.fromtimestamp(artifact.onnx.stat().st_mtime, UTC)
    started = datetime.fromisoformat(began) if began else written
    quality = around.reports / QUALITY
    tags = _tags(artifact, report, version, around)
    when = f"{started:%Y-%m-%d %H:%M}"
    return Training(
        name=name,
        title=around.experiment or f"{when} {artifact.digest[:8]}",
        started=started,
        ended=started + timedelta(seconds=report["training_time_seconds"] or 0),
        params=flat(artifact.metadata["params"]),
        metrics={k: v for k, v in figures(report) if v is not None and math.isfinite(v)},
        curves=curves(artifact),
        tags=tags | {CONTENT: _digest(report, tags, card.is_file())},
        data=_data(artifact.metadata),
        artifact=artifact,
        report=report,
        quality=read_json(quality) if quality.exists() else None,
        figures=around.reports / "figures",
        files=_files(artifact, around.reports, path, card),
    )


def registered(registry: Path, name: str, digest: str) -> str | None:
    """The version that holds this ONNX file, None where it is not registered."""
    for version in reversed(versions(registry / name)):
        if show(registry, name, str(version)).get("onnx_sha256") == digest:
            return str(version)
    return None


def figures(report: Report) -> Iterator[tuple[str, float | None]]:
    """Figures by name: "test/mape_pct/model", "test/mape_pct/baseline.persistence".

    MLflow's pages draw what has one path in one section: a model beside what it is measured by.
    """
    for row in report["metrics"]:
        if row["dataset"] in DATASETS:
            by = ".".join(dict.fromkeys((row["kind"], row["predictor"])))
            yield f"{row['dataset']}/{row['metric']}/{by}", row["value"]
    yield "gates", len(report["gates"])
    yield "failed_gates", sum(not gate["passed"] for gate in report["gates"])
    for name in ("training_time_seconds", "model_size_mb", "row_p99_ms", "test_set_size"):
        yield name, report.get(name)


def curves(artifact: Artifact) -> dict[str, list[tuple[int, float]]]:
    """Figures of each epoch at the epoch's own number; boosting records every tenth."""
    found: dict[str, list[tuple[int, float]]] = {}
    for epoch in artifact.epochs:
        for key, value in epoch.items():
            if key != "epoch" and isinstance(value, int | float) and math.isfinite(value):
                found.setdefault(f"training/{key}", []).append((int(epoch["epoch"]), value))
    return found


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Dotted keys; lists as JSON."""
    found: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value if isinstance(value, str) else json.dumps(value)
    return found


def _tags(
    artifact: Artifact, report: Report, version: str | None, around: Around
) -> dict[str, str]:
    links = chain(artifact.metadata)
    failed = [f"{g['name']} on {g['slice']}" for g in report["gates"] if not g["passed"]]
    training = (artifact.metadata["name"], artifact.digest, links["params"], links["data"])
    revision = links["data_revision"] or revision_of(artifact.onnx)
    found = {
        "model": artifact.metadata["name"],
        TRAINING: hashlib.sha256(json.dumps(training).encode()).hexdigest(),
        "gates_verdict": "passed" if approved(report) else "failed",
        "gates_failed": ", ".join(failed),
        "data_source": report["source"],
        "data_sha256": links["data"],
        "data_revision": revision,
        "params_sha256": links["params"],
        "git_commit": links["code"] or around.git_commit,
        ONNX_SHA256: artifact.digest,
        VERSION: version,
        "mlflow.user": around.user,
        "mlflow.source.git.commit": around.git_commit,
        "champion": (report["champion"] or {}).get("version"),
        "dvc_experiment": around.experiment,
        "tools": ", ".join(f"{k} {v}" for k, v in links["tools"].items()),
    }
    return {key: str(value) for key, value in found.items() if value}


def _digest(report: Report, tags: Mapping[str, str], card: bool) -> str:
    """Of everything that may differ between two evaluations of one training."""
    known = {key: tags.get(key) for key in ("data_revision", VERSION)}
    text = json.dumps([report, known, card], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _data(metadata: Mapping[str, Any]) -> dict[str, tuple[str, dict[str, Any]]]:
    data = metadata.get("data") or {}
    parts = data.get("parts") or {}
    return {
        file: (digest, parts.get(Path(file).stem) or {})
        for file, digest in (data.get("sha256") or {}).items()
    }


def _files(artifact: Artifact, reports: Path, report: Path, card: Path) -> dict[Path, str]:
    found = {artifact.onnx: "model", artifact.folder / "metadata.json": "model", report: "report"}
    drawn = sorted((reports / "figures" / artifact.folder.name).glob("*.csv"))
    found |= dict.fromkeys(drawn, "report/figures")
    return found | ({card: ""} if card.is_file() else {})
