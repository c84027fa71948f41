"""The environment of a worker that a test starts."""

import os

from dwcp_ml.scale.workers import TENSORFLOW


def environment(place):
    """Of a worker, with one thread, so that sums are taken in one order."""
    own = {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    return os.environ | own | ({TENSORFLOW: place.config} if place else {})
