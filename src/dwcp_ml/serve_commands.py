"""`dwcp serve`: the model server."""

from __future__ import annotations

from pathlib import Path

import click

from dwcp_ml.console import FOLDER
from dwcp_ml.serving.signer_options import signer_options


@click.command("serve")
@click.argument("models", type=FOLDER, default="models")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8501, show_default=True, help="Port of REST; 0 takes a free one.")
@click.option("--grpc-port", default=8500, show_default=True, help="Port of gRPC; -1 for none.")
@click.option("--name", help="Serve the one model of a bare version folder under this name.")
@click.option(
    "--revision",
    envvar=["DWCP_REVISION", "K_REVISION"],
    help="Value of x-model-revision; by default the start of the file's digest.",
)
@signer_options
@click.option("--max-rows", default=1024, show_default=True, help="Rows of one request.")
@click.option("--max-body-mib", default=2.0, show_default=True, help="Size of one request.")
@click.option("--read-timeout-s", default=10.0, show_default=True, help="For a request to arrive.")
@click.option("--drain-s", default=2.0, show_default=True, help="Requests taken on after SIGTERM.")
@click.option("--grace-s", default=20.0, show_default=True, help="For accepted requests to end.")
@click.option("--reload-s", default=1.0, show_default=True, help="Between looks at the registry.")
@click.option("--log-every", default=1000, show_default=True, help="Log one in so many requests.")
@click.option(
    "--samples",
    metavar="FOLDER|S3",
    help="Keep some of users' requests here as Parquet: a folder, or s3://BUCKET/PREFIX.",
)
@click.option(
    "--sample-every",
    default=100,
    show_default=True,
    type=click.IntRange(1),
    help="One in so many requests.",
)
@click.option("--sample-mib", default=256.0, show_default=True, help="Of all files in a folder.")
@click.option("--sample-flush-s", default=60.0, show_default=True, help="Between two files.")
def serve_command(
    models: Path,
    grpc_port: int,
    max_body_mib: float,
    samples: str | None,
    sample_every: int,
    sample_mib: float,
    sample_flush_s: float,
    **given: object,
) -> None:
    """Serve a registry, or the bare folder of one version, over KServe's V1, V2 and gRPC."""
    from dwcp_ml.serving.options import ServeOptions
    from dwcp_ml.serving.samples import SampleOptions
    from dwcp_ml.serving.server import serve

    kept = None
    if samples is not None:
        kept = SampleOptions(
            samples, sample_every, flush_s=sample_flush_s, max_bytes=round(sample_mib * 2**20)
        )
    options = ServeOptions(
        models,
        grpc_port=None if grpc_port < 0 else grpc_port,
        max_body_bytes=round(max_body_mib * 2**20),
        samples=kept,
        **given,  # type: ignore[arg-type]
    )
    serve(options)
