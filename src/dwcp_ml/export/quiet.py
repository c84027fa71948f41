"""TensorFlow and Keras without their start-up messages; imported only when called."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


def tensorflow() -> Any:
    """The module ``tensorflow``, silent."""
    return _silent("tensorflow")


def keras(seed: int | None = None) -> Any:
    """The module ``keras`` on TensorFlow, silent.

    Args:
        seed: start afresh: layer names count from 1 again, and Python, numpy and TensorFlow
            draw from this seed. Weights are then equal bit by bit from run to run on one CPU type.
    """
    tensorflow()
    module = _silent("keras")
    if seed is not None:
        module.utils.clear_session()
        module.utils.set_random_seed(seed)
    return module


def tf2onnx() -> Any:
    """The module ``tf2onnx``, silent below errors."""
    tensorflow()
    return _silent("tf2onnx")


def _silent(name: str) -> Any:
    if name in sys.modules:
        return sys.modules[name]
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    logging.getLogger(name).setLevel(logging.ERROR)
    with _muted_stderr():
        return import_module(name)


@contextmanager
def _muted_stderr() -> Iterator[None]:
    """Swallow what C++ code writes to file descriptor 2; show it after all if the body fails.

    TensorFlow writes before its own log level takes effect, so no setting silences it.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as swallowed:
        os.dup2(swallowed.fileno(), 2)
        try:
            yield
        except BaseException:
            swallowed.seek(0)
            os.write(kept, swallowed.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
