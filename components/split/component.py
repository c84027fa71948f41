"""Cuts telemetry by time."""

from kfp import dsl


@dsl.component(base_image="dwcp-data", install_kfp_package=False)
def split(
    raw: dsl.Input[dsl.Dataset],
    quality: dsl.Input[dsl.Artifact],  # noqa: ARG001 (orders the steps)
    split: dict,
    gap_steps: int,
    splits: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
) -> None:
    """Cut telemetry by time into train, validation and test.

    Args:
        raw: telemetry, incidents and manifest.
        quality: proof that the contract holds.
        split: fractions of the parts.
        gap_steps: steps left out between two parts, the longest window plus horizon.
        splits: the three parts.
        metrics: rows of each part.
    """
    from dwcp_ml.kubeflow import steps

    metrics.metadata.update(steps.split(raw.path, split, gap_steps, splits.path))
