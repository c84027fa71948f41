"""Messages to webhooks (Slack's format), sent behind the loop's back with retries."""

from __future__ import annotations

import logging
import queue
import random
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dwcp_ml.rollout.spec import Webhook

LOG = logging.getLogger("dwcp.rollout")
TRIES, TIMEOUT_S, LONGEST_WAIT_S, KEPT = 5, 5.0, 60.0, 100


class Notifier:
    """Sends in a thread of its own: a dead webhook never holds a rollout up."""

    def __init__(
        self, count: Callable[[str], None] = lambda outcome: None, wait_s: float = 1.0
    ) -> None:
        """Nothing runs before the first message.

        Args:
            count: told "sent", "failed" or "dropped" for each message.
            wait_s: before the second try; doubled for each one after.
        """
        self._count, self._wait_s = count, wait_s
        self._queue: queue.Queue[tuple[Webhook, str] | None] = queue.Queue(KEPT)
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def send(self, webhooks: Sequence[Webhook], topic: str, text: str) -> None:
        """Queue a message for every webhook that takes this topic."""
        for webhook in webhooks:
            if topic not in webhook.on:
                continue
            if self._thread is None:
                self._thread = threading.Thread(target=self._main, name="notifier", daemon=True)
                self._thread.start()
            try:
                self._queue.put_nowait((webhook, text))
            except queue.Full:
                self._count("dropped")
                LOG.warning("too many messages wait for a webhook; one was dropped")

    def close(self, within_s: float = 10.0) -> None:
        """Send what waits, for a while; then end."""
        if self._thread is None:
            return
        ends = time.monotonic() + within_s
        while not self._queue.empty() and time.monotonic() < ends:
            time.sleep(0.05)
        threading.Timer(max(ends - time.monotonic(), 0), self._closing.set).start()
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            self._closing.set()
        self._thread.join(within_s)

    def _main(self) -> None:
        while (entry := self._queue.get()) is not None and not self._closing.is_set():
            try:
                sent = self._deliver(*entry)
            except Exception:
                LOG.exception("webhook")
                sent = False
            self._count("sent" if sent else "failed")

    def _deliver(self, webhook: Webhook, text: str) -> bool:
        import httpx

        wait_s = self._wait_s
        why = ""
        for attempt in range(TRIES):
            if attempt and self._closing.wait(wait_s * random.uniform(0.8, 1.2)):  # noqa: S311
                break
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)
            try:
                answer = httpx.post(_url(webhook), json={"text": text}, timeout=TIMEOUT_S)
            except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
                why = type(error).__name__
                continue
            if answer.is_success:
                return True
            why = f"status {answer.status_code}"
            if answer.status_code < 500 and answer.status_code not in (408, 429):
                break
            wait_s = max(wait_s, _asked_to_wait(answer.headers.get("retry-after", "")))
        # The URL is a secret and stays out of the log.
        LOG.warning("a webhook did not take a message: %s", why)
        return False


def _url(webhook: Webhook) -> str:
    if webhook.url_file is not None:
        return Path(webhook.url_file).read_text(encoding="utf-8").strip()
    return webhook.url or ""


def _asked_to_wait(header: str) -> float:
    return min(float(header), LONGEST_WAIT_S) if header.isdigit() else 0.0
