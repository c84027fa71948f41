"""Trains the bandwidth predictor."""

from kfp import dsl


@dsl.component(base_image="dwcp-tensorflow", install_kfp_package=False)
def train_bandwidth_predictor(
    splits: dsl.Input[dsl.Dataset],
    seed: int,
    section: dict,
    trained: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
) -> None:
    """Train the bandwidth predictor on the training part, watched on the validation part.

    Args:
        splits: the parts of the telemetry.
        seed: of everything that is drawn.
        section: the model's section of params.yaml.
        trained: native model and history of its training.
        metrics: time, examples and the last epoch's figures.
    """
    from dwcp_ml.kubeflow import steps

    found = steps.train("bandwidth_predictor", splits.path, seed, section, trained.path)
    metrics.metadata.update(found)
