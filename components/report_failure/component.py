"""Tells how a run ended."""

from kfp import dsl


@dsl.component(base_image="dwcp-pipeline", install_kfp_package=False)
def report_failure(status: dsl.PipelineTaskFinalStatus, outcome: dsl.Output[dsl.Markdown]) -> None:
    """Say how the run ended and, if it failed, where to look; it runs whatever happened.

    Args:
        status: final state of everything else.
        outcome: the same to read.
    """
    from dwcp_ml.kubeflow import show

    show.outcome(status.state, status.pipeline_job_resource_name, outcome.path)
