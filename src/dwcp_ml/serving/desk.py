"""Where both protocols hand in their work: counted, logged, and kept off the loop if it is big."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar

from dwcp_ml.serving.logs import RequestLog, log
from dwcp_ml.serving.metrics import NO_MODEL, ServerMetrics
from dwcp_ml.serving.refusals import Refusal
from dwcp_ml.serving.repository import Repository
from dwcp_ml.serving.samples import SampleLog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dwcp_ml.serving.model import ServedModel
    from dwcp_ml.serving.options import ServeOptions

T = TypeVar("T")
INLINE_BYTES = 32 * 1024  # a request of this size takes about 2 ms; a thread costs it 0.1 ms


class FailedError(Refusal):
    """The server's own failure; the log has the trace, the client has not."""

    status, grpc_code, reason = 500, "INTERNAL", "failed"


class Desk:
    """The models, metrics and the one thread for big requests."""

    def __init__(self, options: ServeOptions) -> None:
        """Nothing is loaded yet."""
        self.options = options
        self.samples = SampleLog(options.samples) if options.samples else None
        self.metrics = ServerMetrics(self.samples)
        self.repository = Repository(options, self.metrics, self.samples)
        self.draining = False
        self.gone = False  # nothing is taken on any more
        self._log = RequestLog(options.log_every)
        # One thread: two big requests at once would only share the one core.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="big-requests")

    @property
    def ready(self) -> bool:
        """Whether new requests should be sent here."""
        return self.repository.ready and not self.draining

    def answer(self, model: ServedModel, work: Callable[[], T], started: float) -> T:
        """Do the work of a small request.

        Args:
            model: that it is for.
            work: parses, runs and encodes.
            started: ``perf_counter`` when its head had arrived.

        Raises:
            Refusal: why there is no answer.
        """
        with self._counted(model, started):
            return work()

    async def answer_big(self, model: ServedModel, work: Callable[[], T], started: float) -> T:
        """Do the work of a big request in the thread; as ``answer``."""
        with self._counted(model, started):
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    @contextmanager
    def _counted(self, model: ServedModel, started: float) -> Iterator[None]:
        metrics = model.metrics
        metrics.in_flight += 1
        try:
            yield
        except Refusal as refusal:
            raise self.refused(model, refusal, started) from refusal
        except Exception as error:
            log.error("request failed", exc_info=error, extra={"facts": {"model": model.name}})
            raise self.refused(model, FailedError("the server failed"), started) from error
        finally:
            metrics.in_flight -= 1
        taken_s = perf_counter() - started
        metrics.answered(200, taken_s)
        self._log.request(model.name, model.version, 200, taken_s)

    def refused(self, model: ServedModel | None, refusal: Refusal, started: float) -> Refusal:
        """Count and perhaps log a refusal; returns it."""
        metrics = model.metrics if model else self.metrics.unknown
        taken_s = perf_counter() - started
        metrics.answered(refusal.status, taken_s)
        if refusal.reason in metrics.rejected:
            metrics.rejected[refusal.reason] += 1
        name, version = (model.name, model.version) if model else (NO_MODEL, "")
        self._log.request(name, version, refusal.status, taken_s, str(refusal))
        return refusal
