"""What the server is told at its start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from dwcp_ml.serving.samples import SampleOptions
    from dwcp_ml.serving.signature import Signer


@dataclass(frozen=True)
class ServeOptions:
    """Where the models are, where to listen, and the limits that keep the server up.

    Attributes:
        models: a registry root, or the bare folder of one version.
        host: address to listen on.
        port: of REST; 0 takes a free one.
        grpc_port: of gRPC; 0 takes a free one, None serves none.
        name: name to serve the one model of a bare folder under; by default its own.
        revision: what ``x-model-revision`` says; by default the start of the file's digest.
        signer: versions that it has not signed are refused; None takes all.
        max_rows: rows of one request.
        max_body_bytes: of one request, JSON or binary.
        read_timeout_s: for a request to arrive, head and body.
        drain_s: how long requests are still taken after SIGTERM, while readiness says no.
        grace_s: how long accepted requests may take after that.
        reload_s: how often the registry is looked at.
        log_every: one in so many requests is logged.
        samples: what is kept of users' requests; None keeps nothing.
    """

    models: Path
    host: str = "127.0.0.1"
    port: int = 8501
    grpc_port: int | None = 8500
    name: str | None = None
    revision: str | None = None
    signer: Signer | None = None
    max_rows: int = 1024
    max_body_bytes: int = 2 * 2**20
    read_timeout_s: float = 10
    drain_s: float = 2
    grace_s: float = 20
    reload_s: float = 1
    log_every: int = 1000
    samples: SampleOptions | None = None
