"""Trains the compression selector."""

from kfp import dsl


@dsl.component(base_image="dwcp-tensorflow", install_kfp_package=False)
def train_compression_selector(
    splits: dsl.Input[dsl.Dataset],
    seed: int,
    section: dict,
    trained: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
) -> None:
    """Train the compression selector on the training part, watched on the validation part.

    Args:
        splits: the parts of the telemetry.
        seed: of everything that is drawn.
        section: the model's section of params.yaml.
        trained: native model and history of its training.
        metrics: time, examples and the last epoch's figures.
    """
    from dwcp_ml.kubeflow import steps

    found = steps.train("compression_selector", splits.path, seed, section, trained.path)
    metrics.metadata.update(found)
