"""Checks telemetry against the data contract."""

from kfp import dsl


@dsl.component(base_image="dwcp-data", install_kfp_package=False)
def validate_data(
    raw: dsl.Input[dsl.Dataset],
    quality: dsl.Output[dsl.Artifact],
    page: dsl.Output[dsl.HTML],
    metrics: dsl.Output[dsl.Metrics],
) -> None:
    """Check telemetry against the data contract; any failed expectation fails the step.

    Args:
        raw: telemetry, incidents and manifest.
        quality: every expectation with its verdict, JSON.
        page: the same to read.
        metrics: rows and expectations.
    """
    from dwcp_ml.kubeflow import steps

    metrics.metadata.update(steps.validate_data(raw.path, quality.path, page.path))
