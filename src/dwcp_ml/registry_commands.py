"""`dwcp models`: look into the registry."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from dwcp_ml.console import PATH, Commands, registry_option
from dwcp_ml.errors import RegistryError
from dwcp_ml.serving.signer_options import signer_options, trust_option

if TYPE_CHECKING:
    from pathlib import Path

    from dwcp_ml.serving.signature import Signer


@click.group("models", cls=Commands)
def registry_commands() -> None:
    """Look into the registry of immutable versions."""


@registry_commands.command("list")
@registry_option
def list_versions(registry: Path) -> None:
    """List every version of every model."""
    from rich.console import Console

    from dwcp_ml.registry import entries, entry_table

    Console().print(entry_table(entries(registry)))


@registry_commands.command("show")
@registry_option
@click.argument("name")
@click.argument("version", required=False)
def show_version(registry: Path, name: str, version: str | None) -> None:
    """Print the metadata of a version as JSON, by default the latest."""
    import json

    from dwcp_ml.registry import show

    click.echo(json.dumps(show(registry, name, version), indent=2))


@registry_commands.command("verify")
@registry_option
@signer_options
def verify_versions(registry: Path, signer: Signer | None) -> None:
    """Recompute every digest and answer every golden request."""
    from dwcp_ml.registry import verify
    from dwcp_ml.serving.signature import verify_signature

    found = verify(registry)
    if signer is not None:
        for entry in found:
            try:
                verify_signature(registry / entry.name / str(entry.version), signer)
            except RegistryError as error:
                raise RegistryError(f"{entry.name} {entry.version}: {error}") from error
    click.echo(f"{len(found)} versions verified")


@registry_commands.command("sign")
@registry_option
@click.option("--private-key", type=PATH, help="PEM file of an elliptic key.")
@click.option("--sigstore", is_flag=True, help="Sign by identity: the machine's, or a browser's.")
@trust_option
@click.argument("name")
@click.argument("version", default="latest")
def sign_version(
    registry: Path,
    name: str,
    version: str,
    private_key: Path | None,
    sigstore: bool,
    trust_config: Path | None,
) -> None:
    """Sign a version with OpenSSF Model Signing; `dwcp serve` can demand it."""
    from dwcp_ml.serving.signature import sign

    if sigstore == (private_key is not None):
        raise click.UsageError("give either --private-key or --sigstore")
    if trust_config is not None and not sigstore:
        raise click.UsageError("--trust-config goes with --sigstore")
    click.echo(sign((registry / name / version).resolve(), private_key, trust_config))


@registry_commands.command("lineage")
@registry_option
@click.option("--against", help="Version to compare with; by default the one before.")
@click.option("--live", is_flag=True, help="Also what serves it in the cluster of your KUBECONFIG.")
@click.option("--namespace", "-n", help="Of --live; by default that of your kubectl context.")
@click.argument("name")
@click.argument("version", required=False)
def lineage_of(
    registry: Path,
    name: str,
    version: str | None,
    against: str | None,
    live: bool,
    namespace: str | None,
) -> None:
    """Say what a version was made from, and what changed since another one.

    With MLFLOW_TRACKING_URI set also the run that made it.
    """
    from dwcp_ml.registry import lineage, lineage_lines

    found = lineage(registry, name, version, against)
    click.echo("\n".join(lineage_lines(found)))
    if os.environ.get("MLFLOW_TRACKING_URI"):
        from dwcp_ml.tracking.after import run_line

        click.echo(f"MLflow run: {run_line(name, found['chain']['onnx'], os.environ)}")
    if live:
        for line in _live(name, found["chain"]["version"], namespace):
            click.echo(f"live: {line}")


def _live(name: str, version: str, namespace: str | None) -> list[str]:
    from dwcp_ml.rollout.cluster import Cluster, connect, present_namespace
    from dwcp_ml.rollout.live import SERVICE, live

    connect()
    namespace = namespace or present_namespace()
    found = live(Cluster(namespace).pods(SERVICE), name, version)
    return [f"{namespace}/{entry}" for entry in found] or [f"nowhere in {namespace}"]
