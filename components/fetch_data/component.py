"""Brings the telemetry of a revision."""

from kfp import dsl


@dsl.component(base_image="dwcp-data", install_kfp_package=False)
def fetch_data(
    data_uri: str,
    revision: str,
    content: str,
    simulate: dict,
    raw: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
) -> None:
    """Bring the telemetry of a revision, or simulate it.

    Args:
        data_uri: where the telemetry is.
        revision: which revision of it, for DVC.
        content: digest of what is there; the same digest is served from the cache.
        simulate: parameters of the simulator.
        raw: telemetry, incidents and manifest.
        metrics: rows and series.
    """
    from dwcp_ml.kubeflow import steps

    found = steps.fetch_data(data_uri, revision, content, simulate, raw.path)
    metrics.metadata.update(found)
