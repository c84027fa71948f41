from __future__ import annotations

import pytest
from two_revisions import Gateway, serving


@pytest.fixture
def gateway():
    """Two revisions behind one gateway, as a real HTTP server."""
    one = Gateway()
    with serving(one, one.port):
        yield one
