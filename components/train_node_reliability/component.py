"""Trains the node reliability detector."""

from kfp import dsl


@dsl.component(base_image="dwcp-sklearn", install_kfp_package=False)
def train_node_reliability(
    splits: dsl.Input[dsl.Dataset],
    seed: int,
    section: dict,
    trained: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
) -> None:
    """Train the node reliability detector on the training part, watched on the validation part.

    Args:
        splits: the parts of the telemetry.
        seed: of everything that is drawn.
        section: the model's section of params.yaml.
        trained: native model and history of its training.
        metrics: time, examples and the last epoch's figures.
    """
    from dwcp_ml.kubeflow import steps

    found = steps.train("node_reliability", splits.path, seed, section, trained.path)
    metrics.metadata.update(found)
