"""A Kubeflow endpoint: connecting, and its refusals told in one sentence each."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwcp_ml.errors import (
    EndpointError,
    EndpointRefusedError,
    EndpointTooOldError,
    UnreadableFileError,
)

if TYPE_CHECKING:
    from kfp import Client

POD_TOKEN = Path("/var/run/secrets/kubeflow/pipelines/token")  # where Kubeflow projects one
TIMEOUT_S = (5, 20)  # to connect, to answer
UNAUTHORIZED, FORBIDDEN, ABSENT = 401, 403, 404


def read_token(token: str | None, file: Path | None) -> str | None:
    """The token that was given, or the one in a file.

    Raises:
        UnreadableFileError: the file cannot be read.
    """
    if token or file is None:
        return token or None
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise UnreadableFileError(f"cannot read the token in {file}: {error.strerror}") from error


def connect(host: str | None, token: str | None = None, namespace: str = "kubeflow") -> Client:
    """A client of an endpoint that answers and speaks version 2.

    Args:
        host: URL of the pipelines API; None for the service in the cluster that the pod or the
            kubeconfig belongs to.
        token: bearer token; None for the pod's own where there is one.
        namespace: where Kubeflow Pipelines runs.

    Raises:
        EndpointError, EndpointTooOldError, EndpointRefusedError: it cannot be used.
    """
    import kfp
    from kfp.client import ServiceAccountTokenVolumeCredentials

    where = host or f"Kubeflow Pipelines in namespace {namespace} of the kubeconfig's cluster"
    if host is None:
        _need_cluster()
    pod = ServiceAccountTokenVolumeCredentials() if not token and POD_TOKEN.exists() else None
    # Its constructor asks for the endpoint's health up to five times; once is enough.
    kind = type("Client", (kfp.Client,), {"get_kfp_healthz": _healthz})
    with warnings.catch_warnings(), speaking_to(where):
        warnings.simplefilter("ignore")
        client: Client = kind(host=host, existing_token=token, namespace=namespace, credentials=pod)
        client.get_kfp_healthz()
    return client


def _need_cluster() -> None:
    from kubernetes import client, config

    try:
        config.load_config(client_configuration=client.Configuration())
    except config.ConfigException as error:
        raise EndpointError("no endpoint: give --endpoint, or a kubeconfig") from error


def _healthz(client: Client, sleep_duration: int = 0) -> Any:  # noqa: ARG001 (of the base class)
    from kfp_server_api import ApiException, V2beta1GetHealthzResponse

    host = client._existing_config.host
    try:
        answer = client._healthz_api.healthz_service_get_healthz(
            _preload_content=False, _request_timeout=TIMEOUT_S
        )
        content = json.loads(answer.data)
    except ApiException as error:
        if error.status != ABSENT:
            raise
        raise EndpointTooOldError(f"{host} has no version 2 of the pipelines API") from error
    except ValueError as error:
        raise EndpointRefusedError(
            f"{host} answers with a page where the API should be; it may want a login: give --token"
        ) from error
    return V2beta1GetHealthzResponse(multi_user=content.get("multi_user"))


@contextmanager
def speaking_to(where: str) -> Iterator[None]:
    """Turn the client's errors into ours.

    Args:
        where: the endpoint, for the sentences.
    """
    from kfp_server_api import ApiException
    from urllib3.exceptions import HTTPError, LocationValueError

    try:
        yield
    except ApiException as error:
        raise _refusal(where, error) from error
    except (HTTPError, LocationValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise EndpointError(
            f"{where} cannot be reached: {' '.join(str(reason).split())}"
        ) from error


def _refusal(where: str, error: Any) -> Exception:
    said = _message(error.body)
    if error.status in (UNAUTHORIZED, FORBIDDEN):
        what = "wants credentials" if error.status == UNAUTHORIZED else "does not allow this"
        return EndpointRefusedError(
            f"{where} {what} (HTTP {error.status}): give --token or --token-file"
        )
    if "unknown field" in said:
        return EndpointTooOldError(f"{where} is older than this pipeline needs: {said}")
    if not error.status:
        return EndpointError(f"{where} cannot be reached: {error.reason}")
    return EndpointError(f"{where} answers HTTP {error.status}: {said or error.reason}")


def _message(body: Any) -> str:
    """The sentence in an answer's body."""
    text = body.decode(errors="replace") if isinstance(body, bytes) else str(body or "")
    try:
        found = json.loads(text)
        text = found.get("message") or found.get("error_message") or text
    except (ValueError, AttributeError):
        pass
    return " ".join(text.split())[:500]
