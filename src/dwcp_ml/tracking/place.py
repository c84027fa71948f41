"""Where runs are kept: the tracking URI, checked, and never shown with its password."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dwcp_ml.errors import TrackingError, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

URI, PREFIX = "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"
DEFAULT_PREFIX = "dwcp"
HTTP = ("http", "https")
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
OTHERS = ("file", "databricks", "uc")
_LOGIN = re.compile(r"(?<=//)[^/@\s]+@")


@dataclass(frozen=True)
class Place:
    """A tracking server, and how experiments on it are called.

    Attributes:
        uri: as MLflow takes it.
        prefix: of the experiments' names, PREFIX/MODEL.
    """

    uri: str
    prefix: str = DEFAULT_PREFIX

    @property
    def shown(self) -> str:
        """The URI without user and password."""
        return without_login(self.uri)

    def experiment(self, *names: str) -> str:
        """Name of an experiment."""
        return "/".join((self.prefix, *names))

    def page(self, experiment: str, run: str) -> str:
        """Address of a run's page; of other stores only the run's name is known."""
        if not self.uri.startswith(HTTP):
            return f"run {run} in {self.shown}"
        base = f"{_LOGIN.sub('', self.uri).partition('?')[0].rstrip('/')}"
        return f"{base}/#/experiments/{experiment}/runs/{run}"


def tracking_place(environment: Mapping[str, str]) -> Place | None:
    """The place that the environment names; None where tracking was not asked for.

    Raises:
        TrackingError: MLFLOW_TRACKING_URI is no URI of a store.
    """
    uri = environment.get(URI, "").strip()
    if not uri:
        return None
    _check(uri)
    return Place(uri, environment.get(PREFIX, "").strip().rstrip("/") or DEFAULT_PREFIX)


def without_login(text: str) -> str:
    """The text with ``***`` for what stands before the @ of any URI in it."""
    return _LOGIN.sub("***@", text)


def _check(uri: str) -> None:
    shown = without_login(uri)
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise TrackingError(f"{URI}={shown} is no URI: {error}") from None
    if ":" not in uri.partition("/")[0]:
        return  # a folder
    scheme = parts.scheme.partition("+")[0]
    if "//" not in uri and scheme not in OTHERS:
        raise TrackingError(f"{URI}={shown} has no scheme; write http://{shown}")
    if scheme not in (*HTTP, *DATABASES, *OTHERS):
        hint = nearest(scheme, (*HTTP, *DATABASES, *OTHERS))
        raise TrackingError(f"{URI}={shown}: MLflow knows no '{scheme}://'{hint}")
    if scheme in HTTP and not host:
        raise TrackingError(f"{URI}={shown} names no host; write for example http://localhost:5000")
