"""Simulates fleets for the second verdict."""

from kfp import dsl


@dsl.component(base_image="dwcp-data", install_kfp_package=False)
def simulate_fresh(
    raw: dsl.Input[dsl.Dataset], simulate: dict, fresh: dict, fleets: dsl.Output[dsl.Dataset]
) -> None:
    """Simulate fleets from seeds never trained on; ingested telemetry gets none.

    Args:
        raw: telemetry whose manifest says whether it was simulated.
        simulate: parameters of the simulator.
        fresh: seeds and size of the fleets.
        fleets: one raw folder a seed.
    """
    from dwcp_ml.kubeflow import steps

    steps.simulate_fresh(raw.path, simulate, fresh, fleets.path)
