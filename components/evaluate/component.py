"""Scores one model's ONNX file."""

from kfp import dsl


@dsl.component(base_image="dwcp-sklearn", install_kfp_package=False)
def evaluate(
    model: str,
    exported: dsl.Input[dsl.Model],
    splits: dsl.Input[dsl.Dataset],
    fleets: dsl.Input[dsl.Dataset],
    registry_uri: str,
    champions: dict,
    evaluate: dict,
    seed: int,
    section: dict,
    evaluated: dsl.Output[dsl.Model],
    gates: dsl.Output[dsl.Markdown],
    metrics: dsl.Output[dsl.Metrics],
    decisions: dsl.Output[dsl.ClassificationMetrics],
) -> None:
    """Score one model's ONNX file against targets, baselines, champion and ceiling.

    Args:
        model: its name.
        exported: the ONNX file and its metadata.
        splits: the parts of the telemetry.
        fleets: fleets never trained on.
        registry_uri: registry that holds the champion.
        champions: version of each model's champion.
        evaluate: bootstrap and limits.
        seed: of the bootstrap.
        section: the model's section of params.yaml.
        evaluated: report, figures and a copy of the model.
        gates: every gate with its verdict.
        metrics: the model's figures.
        decisions: confusion matrix and ROC curve of a detector.
    """
    from dwcp_ml.kubeflow import show, steps

    sections = {"seed": seed, "evaluate": evaluate, model: section}
    report = steps.evaluate(
        model,
        exported.path,
        splits.path,
        fleets.path,
        registry_uri,
        champions,
        sections,
        evaluated.path,
    )
    show.evaluation(report, evaluated.path, gates.path, metrics, decisions)
