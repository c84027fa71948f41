"""How a rollout on the modelled cluster is brought to a step, and how it has to end."""

from __future__ import annotations

from driver import OLD, Driver

from dwcp_ml.rollout.state import Phase

STABLE, CANARY, RESTORED = "m-00002", "m-00003", "m-00004"


def at_step(driver: Driver, percent: int) -> None:
    """Until the step is in place and analysed."""
    for _ in range(60):
        driver.round()
        if driver.state.percent == percent and driver.state.applied:
            return
    raise AssertionError(driver.state.why)


def assert_rolled_back(driver: Driver, cause: str) -> None:
    state = driver.until()
    assert state.phase is Phase.ROLLED_BACK, state.why
    assert cause in state.why
    assert driver.cluster.isvc is not None
    assert driver.cluster.isvc.model == OLD
    (name,) = driver.cluster.flow()
    assert driver.cluster.revisions[name].template.uri == OLD["storageUri"]
    assert not driver.excess()
    assert not driver.pages()


def assert_halted(driver: Driver, cause: str, flow: dict[str, int]) -> None:
    state = driver.until()
    assert state.phase is Phase.HALTED, state.why
    assert cause in state.why
    assert driver.cluster.flow() == flow
    assert len(driver.pages()) == 1
