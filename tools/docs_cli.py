"""The reference page of the commands, from click's own description of them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from dwcp_ml import errors
from dwcp_ml.cli import main

HEAD = """\
# Commands

Generated from the commands by `python tools/docs.py`; edit those, not this page.

Every command has `--help`. `kubectl dwcp rollout` is the same as `dwcp rollout`.
"""


def cli_page() -> str:
    """The whole page: every command, then the exit codes."""
    parts = [HEAD, *(_command(context) for context in walk(main)), _exit_codes()]
    return "\n".join(parts)


def walk(
    command: click.Command, parent: click.Context | None = None, name: str = "dwcp"
) -> Iterator[click.Context]:
    """Contexts of a command and of all below it, by name."""
    context = click.Context(command, info_name=name, parent=parent)
    yield context
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            if found is not None:
                yield from walk(found, context, below)


def _command(context: click.Context) -> str:
    command = context.command
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    depth = "#" * min(4, 1 + len(context.command_path.split()))
    lines = [f"{depth} {context.command_path}", "", f"    {usage}", "", *_help(command)]
    options = [p for p in command.params if isinstance(p, click.Option) and not p.hidden]
    if options:
        lines += ["| option | default | meaning |", "|---|---|---|"]
        lines += [_option(option, context) for option in options] + [""]
    return "\n".join(lines)


def _help(command: click.Command) -> list[str]:
    """Paragraphs of the help; what click must not wrap stays as it is."""
    lines = []
    for part in inspect.cleandoc(command.help or "").replace(r"\b", "\b").split("\n\n"):
        literal = part.startswith("\b\n")
        text = part.removeprefix("\b\n")
        if literal:
            head, *rest = text.split("\n")
            lines += [head, "", *(f"    {line}" for line in rest), ""]
        else:
            lines += [_escaped(text), ""]
    return lines


def _option(option: click.Option, context: click.Context) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    kind = option.make_metavar(context)
    value = "" if option.is_flag or option.count else f" {_escaped(kind)}"
    meaning = option.help or ""
    if option.multiple:
        meaning += " May be given several times."
    if option.envvar:
        given = [option.envvar] if isinstance(option.envvar, str) else option.envvar
        meaning += f" Also from the environment: {', '.join(f'`{name}`' for name in given)}."
    needed = "required" if option.required else _default(option)
    return f"| {names}{value} | {needed} | {_escaped(meaning.strip())} |"


def _default(option: click.Option) -> str:
    value = option.to_info_dict()["default"]
    if value is None or option.is_flag or option.multiple or value == "":
        return ""
    return f"`{value}`"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _exit_codes() -> str:
    kinds = [
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.DwcpError)
    ]
    lines = [
        "## Exit codes",
        "",
        "Every failure that a person can cause ends with one sentence and a code of its own. 0 is",
        "success, 2 a slip in the command line.",
        "",
        "| code | error | when |",
        "|---|---|---|",
    ]
    for kind in sorted(kinds, key=lambda k: k.exit_code):
        first = inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0]
        lines.append(
            f"| {kind.exit_code} | {kind.__name__} | {_escaped(' '.join(first.split()))} |"
        )
    return "\n".join(lines) + "\n"
