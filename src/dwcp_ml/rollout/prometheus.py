"""Prometheus over HTTP: raw samples of a window, scalars, and errors as sentences."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import numpy as np

from dwcp_ml.rollout.series import Series, UnusableError

TIMEOUT_S = 10.0
SELECTOR = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?$")


def selector(name: str, suffix: str = "", **matchers: str) -> str:
    """``name`` with its own matchers, a suffix on the name and more matchers.

    Raises:
        UnusableError: ``name`` is no metric.
    """
    match = SELECTOR.match(name.strip())
    if match is None:
        raise UnusableError(f"'{name}' is not the name of a metric")
    own = [match[2].strip().rstrip(",")] if match[2] and match[2].strip() else []
    more = [f'{label}="{_escaped(value)}"' for label, value in matchers.items()]
    return f"{match[1]}{suffix}{{{','.join([*own, *more])}}}"


class Prometheus:
    """Asks one server; every failure is an UnusableError."""

    def __init__(self, url: str) -> None:
        """``url`` without /api."""
        import httpx

        self._client = httpx.Client(base_url=url.rstrip("/"), timeout=TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def raw(self, selected: str, since: datetime, until: datetime) -> list[Series]:
        """Every sample of every matching series in (since, until]."""
        length_ms = max(round((until - since).total_seconds() * 1000), 1)
        data = self._get(
            "query", {"query": f"{selected}[{length_ms}ms]", "time": f"{until.timestamp():.3f}"}
        )
        if data.get("resultType") != "matrix":
            raise UnusableError(f"Prometheus gave a {data.get('resultType')} for raw samples")
        return [_series(entry) for entry in data["result"] if entry.get("values")]

    def scalar(self, query: str, at: datetime, stale_after_s: float) -> float:
        """The one value that a query gives; NaN where it gives NaN.

        Raises:
            UnusableError: none, more than one, or the query is refused.
        """
        given = {
            "query": query,
            "time": f"{at.timestamp():.3f}",
            "lookback_delta": f"{max(round(stale_after_s * 1000), 1)}ms",
        }
        data = self._get("query", given)
        found = data["result"]
        if data.get("resultType") == "scalar":
            return float(found[1])
        if data.get("resultType") != "vector":
            raise UnusableError(f"the query gives a {data.get('resultType')}, not a number")
        if len(found) != 1:
            word = "nothing" if not found else f"{len(found)} series"
            raise UnusableError(f"the query gives {word}, not one number")
        return float(found[0]["value"][1])

    def names(self) -> list[str]:
        """Names of all metrics, to suggest one."""
        return [str(name) for name in self._ask("label/__name__/values", {}).get("data", [])]

    def _get(self, path: str, given: Mapping[str, str]) -> dict[str, Any]:
        said = self._ask(path, given)
        if said.get("warnings"):
            raise UnusableError(f"Prometheus warns: {said['warnings'][0]}")
        data = said.get("data")
        if not isinstance(data, dict) or not isinstance(data.get("result"), list):
            raise UnusableError("Prometheus' answer has no result")
        return data

    def _ask(self, path: str, given: Mapping[str, str]) -> dict[str, Any]:
        import httpx

        try:
            # POST: a window of long selectors need not fit a URL.
            if given:
                answer = self._client.post(f"/api/v1/{path}", data=dict(given))
            else:
                answer = self._client.get(f"/api/v1/{path}")
            said = answer.json()
        except httpx.TimeoutException as error:
            raise UnusableError(
                f"Prometheus did not answer within {TIMEOUT_S:g} s", True
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise UnusableError(f"Prometheus cannot be reached: {error}", True) from error
        except ValueError as error:
            raise UnusableError(
                f"Prometheus answered {answer.status_code}, no JSON", True
            ) from error
        if not isinstance(said, dict):
            raise UnusableError("Prometheus' answer is not an object")
        if answer.status_code != 200 or said.get("status") != "success":
            why = said.get("error", "no reason given")
            raise UnusableError(
                f"Prometheus refuses ({answer.status_code}): {why}", answer.status_code >= 500
            )
        return said


def _series(entry: Mapping[str, Any]) -> Series:
    values = np.array([(float(at), _number(value)) for at, value in entry["values"]])
    return Series(dict(entry.get("metric", {})), values[:, 0], values[:, 1])


def _number(text: str) -> float:
    """Prometheus writes NaN, +Inf and -Inf."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
