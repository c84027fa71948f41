"""`dwcp models`: look into the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dwcp_ml.console import Commands, registry_option

if TYPE_CHECKING:
    from pathlib import Path


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
def verify_versions(registry: Path) -> None:
    """Recompute every digest and answer every golden request."""
    from dwcp_ml.registry import verify

    click.echo(f"{len(verify(registry))} versions verified")


@registry_commands.command("lineage")
@registry_option
@click.option("--against", help="Version to compare with; by default the one before.")
@click.argument("name")
@click.argument("version", required=False)
def lineage_of(registry: Path, name: str, version: str | None, against: str | None) -> None:
    """Say what a version was made from, and what changed since another one."""
    from dwcp_ml.registry import lineage, lineage_lines

    click.echo("\n".join(lineage_lines(lineage(registry, name, version, against))))
