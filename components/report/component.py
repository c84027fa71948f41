"""Joins the reports of all models.

The models' inputs are optional by their default alone: KFP's executor cannot fill one annotated
as such on a backend that leaves out an artifact's type.
"""

from kfp import dsl


@dsl.component(base_image="dwcp-pipeline", install_kfp_package=False)
def report(
    quality: dsl.Input[dsl.Artifact],
    bundle: dsl.Output[dsl.Artifact],
    page: dsl.Output[dsl.HTML],
    summary: dsl.Output[dsl.Markdown],
    metrics: dsl.Output[dsl.Metrics],
    bandwidth_predictor: dsl.Input[dsl.Model] = None,
    compression_selector: dsl.Input[dsl.Model] = None,
    node_reliability: dsl.Input[dsl.Model] = None,
    consensus_latency: dsl.Input[dsl.Model] = None,
) -> None:
    """Join the reports of all models into one page; it never fails on a bad verdict.

    Args:
        quality: verdict of the data contract.
        bundle: all reports and models, what a decision needs.
        page: the report.
        summary: headline table, gates and figures.
        metrics: how many models passed.
        bandwidth_predictor: the evaluated model, if it takes part.
        compression_selector: the evaluated model, if it takes part.
        node_reliability: the evaluated model, if it takes part.
        consensus_latency: the evaluated model, if it takes part.
    """
    from dwcp_ml.kubeflow import steps

    given = {
        "bandwidth_predictor": bandwidth_predictor,
        "compression_selector": compression_selector,
        "node_reliability": node_reliability,
        "consensus_latency": consensus_latency,
    }
    evaluated = {name: model.path for name, model in given.items() if model}
    found = steps.report(quality.path, evaluated, bundle.path, page.path, summary.path)
    metrics.metadata.update(found)
