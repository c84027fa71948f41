"""Stops a run whose models may not be registered."""

from kfp import dsl


@dsl.component(base_image="dwcp-pipeline", install_kfp_package=False)
def gate(bundle: dsl.Input[dsl.Artifact]) -> None:
    """Fail with every reason, unless all gates of all models passed.

    Args:
        bundle: all reports and models.
    """
    from dwcp_ml.kubeflow import steps

    steps.gate(bundle.path)
