"""A tracking server through MLflow's client: patient for seconds, not for minutes."""

from __future__ import annotations

import logging
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dwcp_ml.errors import TrackingError
from dwcp_ml.tracking.place import Place, without_login

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow import MlflowClient

# Unless the environment says otherwise. MLflow by itself waits for a dead server for minutes,
# prints addresses to standard output, and tells its makers about every use.
SETTINGS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
KIND = {"mlflow.experimentKind": "custom_model_development"}  # or the pages are those for prompts
LONGEST = 300  # characters of a server's answer that are repeated


class Server:
    """MLflow's client; every request may end in a TrackingError and nothing else.

    Args:
        place: the server.
        budget_s: after which no further request is made; None for no end.
    """

    def __init__(self, place: Place, budget_s: float | None = None) -> None:
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        for name in ("mlflow", "urllib3"):  # they tell of every retry
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self.place = place
        self._end = None if budget_s is None else time.monotonic() + budget_s
        with self._told():
            from mlflow import MlflowClient

            self._client = MlflowClient(tracking_uri=place.uri)

    @contextmanager
    def asked(self) -> Iterator[MlflowClient]:
        """Yield the client for one request.

        Raises:
            TrackingError: the server cannot be reached, refused, or used up its time.
        """
        if self._end is not None and time.monotonic() > self._end:
            raise TrackingError(f"the tracking server {self.place.shown} is too slow")
        with self._told():
            yield self._client

    def experiment(self, name: str) -> str:
        """Identity of an experiment, which is made where it is missing.

        Raises:
            TrackingError: it was deleted, or as of ``asked``.
        """
        found = self._experiment(name)
        if found is None:
            try:
                with self.asked() as client:
                    return str(client.create_experiment(name, tags=KIND))
            except TrackingError:  # another process was faster
                found = self._experiment(name)
                if found is None:
                    raise
        if found.lifecycle_stage != "active":
            raise TrackingError(
                f"experiment '{name}' was deleted on {self.place.shown}; restore it there, or set "
                "MLFLOW_EXPERIMENT_NAME to another name"
            )
        return str(found.experiment_id)

    def _experiment(self, name: str) -> Any:
        with self.asked() as client:
            return client.get_experiment_by_name(name)

    def runs(self, experiment: str, **tags: str) -> list[Any]:
        """Runs whose tags have these values, newest first."""
        wanted = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
        found: list[Any] = []
        token = None
        while True:
            with self.asked() as client:
                page = client.search_runs([experiment], wanted, page_token=token)
            found += page
            token = page.token
            if not token:
                return found

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except ImportError as error:
            raise TrackingError(
                f"tracking on {self.place.shown} needs the package '{error.name}', which is not "
                "installed"
            ) from error
        except OSError as error:  # also of the library requests
            raise self._failed(error) from error
        except Exception as error:
            if type(error).__module__.partition(".")[0] in ("mlflow", "sqlalchemy", "botocore"):
                raise self._failed(error) from error
            raise

    def _failed(self, error: Exception) -> TrackingError:
        text = " ".join(without_login(str(error)).split()) or type(error).__name__
        if "Max retries exceeded" in text or "timed out" in text:
            return TrackingError(
                f"the tracking server {self.place.shown} cannot be reached: {_cause(text)}"
            )
        return TrackingError(f"the tracking server {self.place.shown} refused: {text[:LONGEST]}")


def _cause(text: str) -> str:
    """What stands last in the client's nested exceptions, for example "Connection refused"."""
    for known in ("Connection refused", "timed out", "Name or service not known",
                  "Temporary failure in name resolution", "too many"):  # fmt: skip
        if known in text:
            return known.lower()
    return text.rpartition(": ")[2].strip("')\" ")[:LONGEST]
