"""From a data URI to registered models: the stages of dvc.yaml, each in a container of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dwcp_ml.kubeflow.kit import Kit, need_inputs, pipeline
from dwcp_ml.kubeflow.parameters import pipeline_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kfp.dsl import PipelineTask
    from kfp.dsl.graph_component import GraphComponent

    from dwcp_ml.kubeflow.settings import Settings
    from dwcp_ml.params import Params

NAME = "dwcp-train"
SOURCES = {
    "data_uri": "simulator:",
    "revision": "",
    "registry_uri": "s3://mlpipeline/dwcp/models",
}


def build(params: Params, settings: Settings) -> GraphComponent:
    """Train, judge and register the models of the parameter file.

    Args:
        params: defaults of the pipeline's parameters, and which models take part.
        settings: images, store and placement.
    """

    def body(given: Mapping[str, Any]) -> None:
        from kfp import dsl

        kit = Kit(settings)
        with dsl.ExitHandler(kit.task("report_failure"), name="train"):
            train(kit, given, params.models)

    need_inputs("report", params.models)
    return pipeline(NAME, SOURCES | pipeline_parameters(params), body, "Train and register models.")


def train(kit: Kit, given: Mapping[str, Any], models: Sequence[str]) -> PipelineTask:
    """Every task up to the registered versions; returns the last one."""
    source = {name: given[name] for name in ("data_uri", "revision", "simulate")}
    registry = given["registry_uri"]
    found = kit.task("resolve", **source, registry_uri=registry, models=list(models))
    content = found.outputs["content"]
    raw = kit.task("fetch_data", **source, content=content).outputs["raw"]
    quality = kit.task("validate_data", raw=raw).outputs["quality"]
    parts = {"split": given["split"], "gap_steps": given["gap_steps"]}
    splits = kit.task("split", raw=raw, quality=quality, **parts).outputs["splits"]
    fresh = {name: given[name] for name in ("simulate", "fresh")}
    fleets = kit.task("simulate_fresh", raw=raw, **fresh).outputs["fleets"]
    judged_on = {
        "splits": splits,
        "fleets": fleets,
        "registry_uri": registry,
        "champions": found.outputs["champions"],
        "evaluate": given["evaluate"],
    }
    evaluated = {
        model: _evaluated(kit, model, splits, judged_on, _own(given, model)) for model in models
    }
    bundle = kit.task("report", quality=quality, **evaluated).outputs["bundle"]
    approved = kit.task("gate", bundle=bundle)
    registered = kit.task("register", bundle=bundle, registry_uri=registry, content=content)
    return registered.after(approved)


def _own(given: Mapping[str, Any], model: str) -> dict[str, Any]:
    return {"seed": given["seed"], "section": given[model]}


def _evaluated(
    kit: Kit, model: str, splits: Any, judged_on: Mapping[str, Any], own: Mapping[str, Any]
) -> Any:
    """One model's own branch: train, export, evaluate."""
    trained = kit.task(f"train_{model}", splits=splits, **own).outputs["trained"]
    export = {"trained": trained, "splits": splits}
    exported = kit.task("export_onnx", model, model=model, **export, **own).outputs["exported"]
    judged = kit.task("evaluate", model, model=model, exported=exported, **judged_on, **own)
    return judged.outputs["evaluated"]
