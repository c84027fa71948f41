"""Command lines of the documentation: where they stand, and whether a person could type them."""

import argparse
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import click
import yaml

from dwcp_ml.cli import main
from dwcp_ml.rollout_commands import plugin

ROOT = Path(__file__).parents[2]
GENERATED = ROOT / "docs" / "reference"
ENDS = {";", "&&", "||", "|", "&"}
SPAN = re.compile(r"`((?:dwcp|make|kubectl dwcp|dvc|python) [^`]+)`")


@dataclass(frozen=True)
class Line:
    """A command line: words, page, number, and whether it stands in a block."""

    words: tuple[str, ...]
    page: str
    number: int
    block: bool


def pages():
    """Everything that is written for people to type from."""
    named = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "manifests/README.md")
    found = [ROOT / name for name in (*named, "clients/go/README.md")]
    return found + [p for p in sorted((ROOT / "docs").rglob("*.md")) if GENERATED not in p.parents]


def command_lines(page):
    """Command lines of a page's blocks (fenced or indented) and of its `code`."""
    name, fenced, begun = str(page.relative_to(ROOT)), False, ""
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip().startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            begun += line.strip()
            if begun.endswith("\\"):
                begun = begun[:-1]
                continue
            yield from (Line(words, name, number, True) for words in commands(begun))
            begun = ""
        else:
            for span in SPAN.findall(line):
                if not re.search(r"[|…]|\.\.\.", span):
                    yield from (Line(words, name, number, False) for words in commands(span))


def commands(text):
    """The simple commands of a shell line, without redirections and variables before them."""
    try:
        lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words = list(lexer)
    except ValueError:  # prose or data with a single quote
        return
    command = []
    for word in [*words, ";"]:
        if word in ENDS:
            if command:
                yield tuple(command)
            command = []
        elif command or not re.match(r"[A-Z_]+=", word):
            command.append(word)


def fault(line):
    """Why nobody could type this; empty where it could be typed."""
    program, *rest = line.words
    if program == "kubectl" and rest[:1] == ["dwcp"]:
        program, rest = "kubectl-dwcp", rest[1:]
    check = CHECKS.get(program)
    return "" if check is None else check(without_redirection(rest), line.block)


def without_redirection(words):
    """The words before `> file`."""
    return words[: next((i for i, w in enumerate(words) if w in {">", "<", "<<"}), len(words))]


def _click(command, words, block, parent=None):
    try:
        with command.make_context(command.name, list(words), parent=parent) as context:
            if not isinstance(command, click.Group):
                return ""
            rest = [*context._protected_args, *context.args]
            _, below, rest = command.resolve_command(context, rest)
            return _click(below, rest, block, context)
    except click.exceptions.Exit:  # --help, --version
        return ""
    except (
        click.MissingParameter,
        click.BadOptionUsage,
        click.exceptions.NoArgsIsHelpError,
    ) as error:
        return error.format_message() if block else ""  # `dwcp ingest` only names a command
    except click.ClickException as error:
        return error.format_message()


def _make(words, block):
    targets = subprocess.run(["make", "-n", *words], cwd=ROOT, capture_output=True, text=True)
    return "" if targets.returncode == 0 else targets.stderr


def _dvc(words, block):
    from dvc.cli.parser import DvcParserError, get_main_parser

    try:
        given = get_main_parser().parse_args(words)
    except (DvcParserError, SystemExit):
        return "dvc does not take that"
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    unknown = [t for t in getattr(given, "targets", None) or [] if t not in stages]
    keys = [s.partition("=")[0] for s in getattr(given, "set_param", None) or []]
    unknown += [key for key in keys if not _parameter(key)]
    return f"no stage or parameter {unknown}" if unknown else ""


def _parameter(key):
    value = yaml.safe_load((ROOT / "params.yaml").read_text())
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            return key == "SECTION.KEY"
        value = value[part]
    return True


def _python(words, block):
    if words[:1] == ["-m"]:
        return "" if find_spec(words[1]) else f"no module {words[1]}"
    if words[:1] == ["-c"]:
        compile(words[1], "<page>", "exec")
        return ""
    script, *rest = words
    if not (ROOT / script).exists():
        return f"no file {script}"
    options = [word.partition("=")[0] for word in rest if word.startswith("-")]
    return next((f"no option {o}" for o in options if o not in _help(script)), "")


@cache
def _help(script):
    done = subprocess.run([sys.executable, script, "--help"], cwd=ROOT, capture_output=True)
    return done.stdout.decode()


def _kubectl(words, block):
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("-k")
    parser.add_argument("-f")
    given, _ = parser.parse_known_args(words)
    folders = [Path(p) for p in (given.k, given.f) if p and p.startswith("manifests/")]
    return next((f"no {p}" for p in folders if not (ROOT / p).exists()), "")


def _pytest(words, block):
    files = [word for word in words if word.startswith("tests/")]
    return next((f"no {f}" for f in files if not (ROOT / f.partition("::")[0]).exists()), "")


def _go(words, block):
    folder = next((w.removesuffix("...") for w in words if w.startswith("./")), ".")
    return "" if (ROOT / "clients" / "go" / folder).exists() else f"no {folder} in clients/go"


CHECKS = {
    "dwcp": lambda words, block: _click(main, words, block),
    "kubectl-dwcp": lambda words, block: _click(plugin, words, block),
    "make": _make,
    "dvc": _dvc,
    "python": _python,
    "kubectl": _kubectl,
    "pytest": _pytest,
    "go": _go,
}
