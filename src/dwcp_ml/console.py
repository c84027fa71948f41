"""What all commands share: options, and how failures and slips of the pen are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dwcp_ml.errors import DwcpError, OutOfMemoryError, nearest

FOLDER = click.Path(path_type=Path, file_okay=False)
PATH = click.Path(path_type=Path)
params_option = click.option(
    "--params",
    "params_path",
    type=PATH,
    default="params.yaml",
    show_default=True,
    help="Parameter file.",
)

registry_option = click.option(
    "--registry", type=FOLDER, default="models", show_default=True, help="Root of the registry."
)


class Commands(click.Group):
    """Names the nearest command, and turns expected failures into one sentence and a code."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find a command, or say which is nearest."""
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            ctx.fail(f"no command '{args[0]}'{nearest(args[0], self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a DwcpError ends it with its own exit code."""
        try:
            try:
                return super().invoke(ctx)
            except MemoryError as error:  # also pyarrow's and numpy's
                raise OutOfMemoryError(
                    "there is not enough memory; nothing half-written was left. Free some, or "
                    "work on fewer rows"
                ) from error
        except DwcpError as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(error.exit_code)


def overrides(command: Any) -> Any:
    """Options that change the model sections of the parameter file."""
    for name, kind, text in (
        ("--seed", int, "Seed of every model."),
        ("--window-size", int, "Steps a prediction reads, for models that have a window."),
        ("--batch-size", int, "Rows a batch."),
        ("--epochs", int, "Passes over the data at most."),
        ("--target-accuracy", float, "Bound of the accuracy gate."),
    ):
        command = click.option(name, type=kind, help=text)(command)
    return command
