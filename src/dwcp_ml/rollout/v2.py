"""V2 inference over HTTP: where a request goes, and what an answer's outputs hold."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

PROBE_HEADERS = {"user-agent": "dwcp-rollout-prober", "x-dwcp-probe": "1"}


@dataclass(frozen=True)
class Endpoint:
    """A model behind a gateway.

    Attributes:
        gateway: base URL.
        model: name in the V2 path.
        timeout_s: for one answer.
    """

    gateway: str
    model: str
    timeout_s: float

    @property
    def url(self) -> str:
        """Of the V2 infer call."""
        return f"{self.gateway.rstrip('/')}/v2/models/{self.model}/infer"


class NoAnswerError(Exception):
    """A request got no usable answer; the text says why."""

    def __init__(self, why: str, status: int | None = None) -> None:
        """``status`` where there was one."""
        super().__init__(why)
        self.status = status


def ask(endpoint: Endpoint, host: str, body: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Outputs of one request, flat, by name.

    Raises:
        NoAnswerError: no connection, a status other than 200, or outputs that cannot be read.
    """
    import httpx

    headers = {**PROBE_HEADERS, "host": host}
    try:
        answer = httpx.post(
            endpoint.url, json=body, headers=headers, timeout=endpoint.timeout_s, trust_env=False
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise NoAnswerError(f"no answer from {host}: {error or type(error).__name__}") from error
    if answer.status_code != 200:
        raise NoAnswerError(
            f"{host} answers {answer.status_code}: {answer.text[:200]}", answer.status_code
        )
    try:
        return outputs(answer.json())
    except ValueError as error:
        raise NoAnswerError(f"{host} answers what is no V2 response: {error}", 200) from error


def outputs(answer: Any) -> dict[str, list[Any]]:
    """Outputs by name, nested lists made flat.

    Raises:
        ValueError: no outputs, or an output without name or data.
    """
    try:
        found = {str(one["name"]): list(_flat(one["data"])) for one in answer["outputs"]}
    except (TypeError, KeyError) as error:
        raise ValueError("an output has no name or no data") from error
    if not found:
        raise ValueError("no outputs")
    return found


def first_value(answer: Any) -> float:
    """First value of the first output; NaN where it is no number."""
    try:
        values = next(iter(outputs(answer).values()))
    except ValueError:
        return math.nan
    return number(values[0]) if values else math.nan


def number(value: Any) -> float:
    """A JSON value as a number; NaN (or null, or text) where it is none."""
    return float(value) if isinstance(value, int | float) else math.nan


def relative_error(given: Mapping[str, list[Any]], wanted: Mapping[str, list[float]]) -> float:
    """Worst error over all wanted outputs, relative where the wanted value is above 1.

    Infinite where an output is missing, has another length or holds what is no number.
    """
    worst = 0.0
    for name, values in wanted.items():
        got = given.get(name, [])
        if len(got) != len(values):
            return math.inf
        for one, expected in zip(got, values, strict=True):
            error = abs(number(one) - expected) / max(abs(expected), 1.0)
            if not math.isfinite(error):
                return math.inf
            worst = max(worst, error)
    return worst


def _flat(data: Any) -> Iterator[Any]:
    for one in data:
        if isinstance(one, list):
            yield from _flat(one)
        else:
            yield one
