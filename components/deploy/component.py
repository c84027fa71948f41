"""Asks for the rollout of every registered version."""

from kfp import dsl


@dsl.component(base_image="dwcp-pipeline", install_kfp_package=False)
def deploy(registered: dict, namespace: str, runtime: str) -> list:
    """Create or update one ModelRollout a model, and wait for nothing.

    Args:
        registered: model -> version, uri, lineage.
        namespace: of the inference services.
        runtime: serving runtime; empty keeps the service's own.

    Returns:
        What was created or updated.
    """
    from dwcp_ml.kubeflow import steps

    return steps.deploy(registered, namespace, runtime)
