"""JSON lines on standard error; requests are sampled, so that logging never sets the pace."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

log = logging.getLogger("dwcp_ml.serving")


class JsonLines(logging.Formatter):
    """One JSON object a record; what ``event`` attached stands beside time and message."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def start_logging() -> None:
    """Send records of this server, and errors of the libraries, to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(handlers=[handler], level=logging.ERROR, force=True)
    log.setLevel(logging.INFO)


def event(message: str, level: int = logging.INFO, **facts: Any) -> None:
    """Log one line with facts."""
    log.log(level, message, extra={"facts": facts})


class RequestLog:
    """Logs one in ``every`` requests; failures of the server itself are always logged."""

    def __init__(self, every: int) -> None:
        """Count from the first request on, which is logged."""
        self._every = every
        self._left = 0

    def request(self, model: str, version: str, code: int, taken_s: float, why: str = "") -> None:
        """Perhaps log a request; ``why`` it was refused."""
        if self._left > 0:
            self._left -= 1
            return
        self._left = self._every - 1
        facts: dict[str, Any] = {"sampled_one_in": self._every, "model": model}
        facts |= {"version": version, "code": code, "ms": round(taken_s * 1e3, 3)}
        if why:
            facts["why"] = why
        event("request", **facts)
