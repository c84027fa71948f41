from __future__ import annotations

import pytest
from running_server import running
from small_registry import small_registry


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """One server of the small registry for all tests that leave it as it is."""
    root = small_registry(tmp_path_factory.mktemp("served") / "models")
    with running(root, "--log-every", "100", "--read-timeout-s", "3", "--drain-s", "0.5") as one:
        yield one
        assert one.alive()
        assert not one.logged("request failed")
        assert not one.logged("not JSON")


@pytest.fixture
def registry(tmp_path):
    return small_registry(tmp_path / "models")
