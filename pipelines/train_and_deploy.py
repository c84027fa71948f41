"""The training pipeline, followed by the rollout of what it registered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipelines.train import SOURCES, train

from dwcp_ml.kubeflow.kit import Kit, need_inputs, pipeline
from dwcp_ml.kubeflow.parameters import pipeline_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kfp.dsl.graph_component import GraphComponent

    from dwcp_ml.kubeflow.settings import Settings
    from dwcp_ml.params import Params

NAME = "dwcp-train-and-deploy"
TARGET = {"namespace": "dwcp", "runtime": ""}


def build(params: Params, settings: Settings) -> GraphComponent:
    """Train, judge, register, and ask for the rollout of every registered version.

    Args:
        params: defaults of the pipeline's parameters, and which models take part.
        settings: images, store and placement.
    """

    def body(given: Mapping[str, Any]) -> None:
        from kfp import dsl

        kit = Kit(settings)
        with dsl.ExitHandler(kit.task("report_failure"), name="train-and-deploy"):
            registered = train(kit, given, params.models)
            target = {name: given[name] for name in TARGET}
            kit.task("deploy", registered=registered.output, **target)

    need_inputs("report", params.models)
    defaults = SOURCES | TARGET | pipeline_parameters(params)
    return pipeline(NAME, defaults, body, "Train, register and roll out models.")
