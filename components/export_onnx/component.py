"""Writes one model as ONNX."""

from kfp import dsl


@dsl.component(base_image="dwcp-tensorflow", install_kfp_package=False)
def export_onnx(
    model: str,
    trained: dsl.Input[dsl.Model],
    splits: dsl.Input[dsl.Dataset],
    seed: int,
    section: dict,
    exported: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
) -> None:
    """Write one model as a single ONNX graph, and prove that it answers like the native one.

    Args:
        model: its name.
        trained: native model and history.
        splits: the parts; validation examples are compared.
        seed: of the model.
        section: the model's section of params.yaml.
        exported: model.onnx, metadata and history.
        metrics: size and digest.
    """
    from dwcp_ml.kubeflow import steps

    found = steps.export_onnx(model, trained.path, splits.path, seed, section, exported.path)
    metrics.metadata.update(found)
