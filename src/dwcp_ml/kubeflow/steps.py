"""What the components call: a stage on the paths and parameters that a pipeline hands over.

Every function returns the few figures that its Metrics artifact shows.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from dwcp_ml.errors import ContractError, GateFailedError, ParamsError
from dwcp_ml.kubeflow import sources
from dwcp_ml.kubeflow.failure import step
from dwcp_ml.kubeflow.parameters import model_parameters, read_parameters, whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dwcp_ml.evaluation.report.rows import Report

Section = dict[str, Any]
ARTIFACTS, REPORTS, FIGURES = "artifacts", "reports", "figures"  # folders of an evaluated model


@step
def resolve(
    data_uri: str, revision: str, simulate: Section, registry_uri: str, names: Sequence[str]
) -> tuple[str, dict[str, str]]:
    """Digest of the data as it is now, and the registered versions to compare with."""
    from dwcp_ml.registry.remote import champions

    content = sources.content_of(data_uri, revision, whole(simulate))
    return content, champions(registry_uri, names)


@step
def fetch_data(data_uri: str, revision: str, content: str, simulate: Section, raw: str) -> Section:
    """Bring the telemetry of a revision, or simulate it."""
    from dwcp_ml.telemetry.dataset import read_manifest

    sources.bring(data_uri, revision, content, whole(simulate), Path(raw))
    manifest = read_manifest(Path(raw))
    return {"rows": manifest.rows, "series": manifest.series}


@step
def validate_data(raw: str, quality: str, page: str) -> Section:
    """Check telemetry against the data contract."""
    from dwcp_ml.telemetry.contract import validate

    with TemporaryDirectory() as scratch:
        try:
            found = validate(Path(raw), Path(scratch))
        except ContractError as error:
            raise ContractError(str(error).partition("; see ")[0]) from error
        shutil.copyfile(Path(scratch, "data_quality.json"), quality)
        shutil.copyfile(Path(scratch, "data_quality.html"), page)
    return {"rows": found.rows, "parts": found.parts, "expectations": len(found.results)}


@step
def split(raw: str, section: Section, gap_steps: int, splits: str) -> Section:
    """Cut telemetry by time."""
    from dwcp_ml.models.train import read_split
    from dwcp_ml.telemetry.split import split as stage

    params = read_parameters(split=section).split
    stage(Path(raw), params, Path(splits), gap_steps=gap_steps)
    parts = read_split(Path(splits))["parts"]
    return {f"{name}_rows": part["rows"] for name, part in parts.items()}


@step
def simulate_fresh(raw: str, simulate: Section, section: Section, fresh: str) -> None:
    """Simulate fleets from seeds never trained on."""
    from dwcp_ml.telemetry.fresh import simulate_fresh as stage

    params = read_parameters(simulate=simulate, fresh=section)
    stage(Path(raw), params.simulate, params.fresh, Path(fresh))


@step
def train(name: str, splits: str, seed: int, section: Section, trained: str) -> Section:
    """Train one model."""
    from dwcp_ml import models
    from dwcp_ml.models.train import read_split
    from dwcp_ml.models.train import train as stage
    from dwcp_ml.session import now

    params = model_parameters(name, seed, section)
    needed, gap = models.gap_steps(params), read_split(Path(splits))["gap_steps"]
    if gap < needed:
        raise ParamsError(
            f"the split leaves a gap of {gap} steps, {name} reads {needed}; set gap_steps to that"
        )
    record = stage(name, Path(splits), params, Path(trained), started=now())
    figures = {f"{part}_examples": rows for part, rows in record["rows"].items()}
    last = record["epochs"][-1] if record["epochs"] else {}
    numbers = {key: value for key, value in last.items() if isinstance(value, int | float)}
    return {"training_seconds": record["training_time_seconds"], **figures, **numbers}


@step
def export_onnx(
    name: str, trained: str, splits: str, seed: int, section: Section, exported: str
) -> Section:
    """Write one model as ONNX with its metadata, and prove that both answer alike."""
    from dwcp_ml.evaluation.artifact import HISTORY, METADATA, ONNX
    from dwcp_ml.kubeflow.build_info import git_commit
    from dwcp_ml.models.export import export as stage

    params = model_parameters(name, seed, section)
    with TemporaryDirectory() as scratch:
        work = Path(scratch, name)
        shutil.copytree(Path(trained, name), work)
        record = stage(name, work.parent, Path(splits), params, git_commit=git_commit())
        target = Path(exported, name)
        target.mkdir(parents=True, exist_ok=True)
        for file in (ONNX, METADATA, HISTORY):
            shutil.copyfile(work / file, target / file)
    return {"onnx_bytes": record["onnx_bytes"], "onnx_sha256": record["onnx_sha256"]}


@step
def evaluate(
    name: str,
    exported: str,
    splits: str,
    fresh: str,
    registry_uri: str,
    champions: Mapping[str, str],
    sections: Mapping[str, Any],
    evaluated: str,
) -> Report:
    """Score one model's ONNX file; ``sections`` are seed, evaluate and the model's own.

    Returns:
        The report; ``evaluated`` receives it with its figures and a copy of the model.
    """
    from dwcp_ml.evaluation.evaluate import evaluate as stage
    from dwcp_ml.registry.remote import bring_version

    out = Path(evaluated)
    params = read_parameters(models=[name], **sections)
    shutil.copytree(Path(exported, name), out / ARTIFACTS / name)
    with TemporaryDirectory() as scratch:
        version = champions.get(name)
        champion = bring_version(registry_uri, name, version, Path(scratch)) if version else None
        return stage(
            name,
            out / ARTIFACTS,
            Path(splits),
            out / REPORTS,
            params,
            fresh=Path(fresh),
            champion=champion,
        )


@step
def report(
    quality: str, evaluated: Mapping[str, str | None], bundle: str, page: str, summary: str
) -> Section:
    """Join the models' reports; ``bundle`` receives everything that a decision needs."""
    from dwcp_ml.evaluation.report import MASTER
    from dwcp_ml.evaluation.report import report as stage
    from dwcp_ml.kubeflow.figures import master_metrics

    out = Path(bundle)
    given = {name: path for name, path in evaluated.items() if path}
    for path in given.values():
        shutil.copytree(path, out, dirs_exist_ok=True)
    shutil.copyfile(quality, out / REPORTS / "data_quality.json")
    master = stage(out / REPORTS, list(given))
    shutil.copyfile(out / REPORTS / f"{MASTER}.html", page)
    shutil.copyfile(out / REPORTS / f"{MASTER}.md", summary)
    _track(out, dict.fromkeys(given))
    return master_metrics(master)


@step
def gate(bundle: str) -> None:
    """Fail with every reason, unless all gates of all models passed."""
    from dwcp_ml.evaluation.jsons import read_json
    from dwcp_ml.evaluation.report import MASTER
    from dwcp_ml.kubeflow.figures import reasons

    master = read_json(Path(bundle, REPORTS, f"{MASTER}.json"))
    if not master["overall_success"]:
        raise GateFailedError(f"FAILED: {'; '.join(reasons(master)) or 'no gate was evaluated'}")


@step
def register(bundle: str, registry_uri: str, content: str) -> dict[str, dict[str, Any]]:
    """Give every model an immutable version: name -> version, uri, new, lineage."""
    from dwcp_ml.evaluation.artifact import read_artifact
    from dwcp_ml.evaluation.jsons import read_json
    from dwcp_ml.evaluation.report import MASTER
    from dwcp_ml.kubeflow.build_info import git_commit
    from dwcp_ml.registry.remote import register_at, version_uri
    from dwcp_ml.session import now

    reports, artifacts = Path(bundle, REPORTS), Path(bundle, ARTIFACTS)
    names = list(read_json(reports / f"{MASTER}.json")["models"])
    made = register_at(
        registry_uri,
        reports,
        artifacts,
        names,
        created=now(),
        git_commit=git_commit(),
        data_revision=content,
    )
    for entry in made:
        print(entry)
    _track(Path(bundle), {entry.name: str(entry.version) for entry in made})
    return {
        entry.name: {
            "version": str(entry.version),
            "uri": version_uri(registry_uri, entry),
            "new": entry.new,
            "lineage": {"data": content, "onnx": read_artifact(artifacts / entry.name).digest},
        }
        for entry in made
    }


@step
def deploy(registered: Mapping[str, Mapping[str, Any]], namespace: str, runtime: str) -> list[str]:
    """Ask for the rollout of every registered version."""
    from dwcp_ml.kubeflow.deploy import roll_out

    return roll_out(registered, namespace, runtime)


def _track(bundle: Path, versions: Mapping[str, str | None]) -> None:
    """Send trainings to the server that the pipeline was compiled with, if there is one."""
    import os

    from dwcp_ml.kubeflow.build_info import git_commit
    from dwcp_ml.tracking.after import UNSENT, after_stage
    from dwcp_ml.tracking.training import Around

    around = Around(
        artifacts=bundle / ARTIFACTS,
        reports=bundle / REPORTS,
        git_commit=git_commit(),
        versions=versions,
    )
    for line in after_stage(list(versions), around, os.environ):
        print(line)
    # Another step is another try, and the bundle that it is handed holds results alone.
    (bundle / REPORTS / UNSENT).unlink(missing_ok=True)
