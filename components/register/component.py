"""Gives every model an immutable version."""

from kfp import dsl


@dsl.component(base_image="dwcp-sklearn", install_kfp_package=False)
def register(bundle: dsl.Input[dsl.Artifact], registry_uri: str, content: str) -> dict:
    """Give every model an immutable version; the same digest again changes nothing.

    Args:
        bundle: all reports and models.
        registry_uri: a folder, or s3://BUCKET/PREFIX in the registry's layout.
        content: digest of the data, for the record.

    Returns:
        Model -> version, uri, new, lineage.
    """
    from dwcp_ml.kubeflow import steps

    return steps.register(bundle.path, registry_uri, content)
