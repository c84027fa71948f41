"""Finds out what data and which champions a run will use."""

from typing import NamedTuple

from kfp import dsl


@dsl.component(base_image="dwcp-data", install_kfp_package=False)
def resolve(
    data_uri: str, revision: str, simulate: dict, registry_uri: str, models: list
) -> NamedTuple("Resolved", [("content", str), ("champions", dict)]):
    """Digest of the data as it is now, and the registered versions to compare with.

    It runs every time, so that the steps after it can be cached by content.

    Args:
        data_uri: where the telemetry is.
        revision: which revision of it, for DVC.
        simulate: parameters of the simulator.
        registry_uri: registry whose latest versions are the champions.
        models: names of the models.
    """
    from dwcp_ml.kubeflow import steps

    return steps.resolve(data_uri, revision, simulate, registry_uri, models)
