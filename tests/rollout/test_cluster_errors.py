"""What the client raises becomes: race lost, refused or unreachable."""

from __future__ import annotations

import pytest
import urllib3
from kubernetes.client import ApiException

from dwcp_ml.rollout.cluster import (
    RaceLostError,
    RefusedError,
    UnreachableError,
    raced,
    told_apart,
)


@pytest.mark.parametrize(
    ("given", "becomes"),
    [
        (ApiException(status=409), RaceLostError),
        (ApiException(status=403), RefusedError),
        (ApiException(status=404), RefusedError),
        (ApiException(status=429), UnreachableError),
        (ApiException(status=500), UnreachableError),
        (ApiException(status=0), UnreachableError),
        (urllib3.exceptions.ProtocolError("closed"), UnreachableError),
        (ConnectionResetError(), UnreachableError),
    ],
)
def test_errors_are_told_apart(given, becomes):
    with pytest.raises(becomes), told_apart():
        raise given


def test_a_write_to_what_is_gone_has_lost_a_race():
    with pytest.raises(RaceLostError), raced():
        raise ApiException(status=404)
    with pytest.raises(RefusedError), raced():
        raise ApiException(status=403)
