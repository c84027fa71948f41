"""The connection of the workers: MultiWorkerMirroredStrategy's all-reduce, with a deadline."""

from __future__ import annotations

import faulthandler
import hashlib
import os
import signal
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from dwcp_ml.errors import WorkersError
from dwcp_ml.export import quiet
from dwcp_ml.scale.workers import TENSORFLOW

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dwcp_ml.scale.workers import Team

REACHED_S = 5.0  # for a look whether a worker listens
LOOK_S = 0.2  # between two looks


class Link:
    """Sums over all workers.

    Keras 3 cannot ``fit`` under the strategy's scope over several workers, so that networks live
    outside of it and only what is summed goes through it.
    """

    def __init__(self, team: Team, strategy: Any, timeout_s: float) -> None:
        tf = quiet.tensorflow()
        self.team = team
        self._strategy = strategy
        self._options = tf.distribute.experimental.CommunicationOptions(timeout_seconds=timeout_s)

    def sum(self, tensors: Sequence[Any]) -> list[Any]:
        """Sum tensors of one type and of known shapes over the workers, in one message.

        Every worker receives the same bits.
        """
        tf = quiet.tensorflow()
        flat = tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], 0)

        def summed(values: Any) -> Any:
            here = tf.distribute.get_replica_context()
            # The copy lies on the worker's device, which the strategy wants to know.
            return here.all_reduce("sum", tf.identity(values), options=self._options)

        total = self._strategy.run(summed, args=(flat,))
        pieces = tf.split(total, [t.shape.num_elements() for t in tensors])
        return [tf.reshape(p, t.shape) for p, t in zip(pieces, tensors, strict=True)]

    def from_chief(self, arrays: Sequence[np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
        """The chief's arrays on every worker."""
        tf = quiet.tensorflow()
        own = [tf.constant(a if self.team.chief else np.zeros_like(a)) for a in arrays]
        return [np.asarray(total) for total in self.sum(own)]

    def agree(self, what: str, text: str) -> None:
        """Wait for all workers and compare a text.

        Raises:
            WorkersError: a worker has another text.
        """
        tf = quiet.tensorflow()
        own = int(hashlib.sha256(text.encode()).hexdigest()[:12], 16)
        total = int(self.sum([tf.constant([own], tf.int64)])[0][0])
        if total != own * len(self.team):
            raise WorkersError(f"the workers do not have the same {what}; give all of them one")


@contextmanager
def linked(team: Team, timeout_s: float) -> Iterator[Link]:
    """Connect with all workers, before any other use of TensorFlow in this process.

    Args:
        team: all workers.
        timeout_s: for the others to come up, and for each of their answers.

    Raises:
        WorkersError: a worker never came up, died or did not answer in time, or the own port is
            taken.
    """
    tf = quiet.tensorflow()
    _meet(team, timeout_s)
    os.environ[TENSORFLOW] = team.config
    options = tf.distribute.experimental.CommunicationOptions(timeout_seconds=timeout_s)
    term = signal.getsignal(signal.SIGTERM)
    # The strategy waits without end, in C++, for workers that died after they had met.
    faulthandler.dump_traceback_later(timeout_s, exit=True)
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGTERM, term)  # the strategy took it, and then lets it do nothing
        yield Link(team, strategy, timeout_s)
    except tf.errors.OpError as error:
        raise _lost(team, timeout_s, error) from error
    finally:
        faulthandler.cancel_dump_traceback_later()


def _meet(team: Team, timeout_s: float) -> None:
    """Listen where TensorFlow will, until all others do so too."""
    until = time.monotonic() + timeout_s
    host, _, port = team.addresses[team.index].rpartition(":")
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    try:
        own = socket.create_server(("", int(port)), family=family, dualstack_ipv6=both)
    except OSError as error:
        raise WorkersError(
            f"worker {team.index} cannot listen on port {port} of {host}: {error.strerror}"
        ) from error
    with own:
        while absent := _absent(team):
            if time.monotonic() > until:
                who = "; ".join(absent)
                raise WorkersError(f"not up within {timeout_s:g} s: {who}. Nothing was written")
            time.sleep(LOOK_S)


def _lost(team: Team, timeout_s: float, error: Exception) -> Exception:
    tf = quiet.tensorflow()
    text = str(error)
    if isinstance(error, tf.errors.DeadlineExceededError):
        why = f"did not answer within {timeout_s:g} s"
    elif "Collective ops is aborted" in text or isinstance(
        error, tf.errors.UnavailableError | tf.errors.AbortedError | tf.errors.CancelledError
    ):
        why = "ended or fell silent before the training was over; its own output may say why"
    else:
        return error
    absent = _absent(team)
    who = "; ".join(absent) or "another worker"
    return WorkersError(f"{who}: {why}. Nothing was written; start all workers again")


def _absent(team: Team) -> list[str]:
    """The other workers that nothing listens for."""
    found = []
    for number, address in enumerate(team.addresses):
        host, _, port = address.rpartition(":")
        try:
            if number != team.index:
                socket.create_connection((host, int(port)), REACHED_S).close()
        except OSError as error:
            found.append(f"worker {number} at {address} ({error.strerror or error})")
    return found
