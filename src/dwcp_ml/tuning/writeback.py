"""Values into params.yaml, as an edit of the text: comments and layout stay as they are."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

import yaml

from dwcp_ml.errors import ParamsError, UnreadableFileError
from dwcp_ml.files import whole_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def read_text(path: Path) -> str:
    """The file's text with its own line ends."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return stream.read()
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableFileError(f"cannot read {path}: {error}") from error


def edited(text: str, name: str, values: Mapping[str, Any], where: str = "params.yaml") -> str:
    """The text with other values in the section ``name``; nothing else differs.

    A key that the section lacks is added at its end. Equal values are left as they are written.

    Raises:
        ParamsError: the text is written in a way that cannot be edited safely.
    """
    try:
        before = yaml.safe_load(text)
        events = list(yaml.parse(text))
        root = yaml.compose(text)
    except yaml.YAMLError as error:
        raise UnreadableFileError(f"{where} is not YAML: {str(error).splitlines()[0]}") from error
    section = before.get(name) if isinstance(before, dict) else None
    if not isinstance(section, dict) or not section:
        raise _by_hand(where, f"has no section '{name}' with keys")
    if any(isinstance(e, yaml.AliasEvent) or getattr(e, "anchor", None) for e in events):
        raise _by_hand(where, "has anchors")
    changed = {k: v for k, v in values.items() if k not in section or section[k] != v}
    result = _replaced(text, _child(root, name, where), changed, where)
    after = yaml.safe_load(result)
    if after != {**before, name: section | changed}:
        raise _by_hand(where, f"section '{name}' is written in a way that cannot be edited")
    return result


def _replaced(text: str, section: Any, changed: Mapping[str, Any], where: str) -> str:
    keys = {key.value: node for key, node in section.value}
    edits: list[tuple[int, int, str]] = []
    new: list[str] = []
    for key, value in changed.items():
        if key not in keys:
            new.append(f"{key}: {_yaml(value)}")
            continue
        node = keys[key]
        block = not isinstance(node, yaml.ScalarNode) and not node.flow_style
        if block or getattr(node, "style", None) in ("|", ">"):
            raise _by_hand(where, f"'{key}' is written over several lines")
        first, last = node.start_mark.index, node.end_mark.index
        # "key:" without a value ends where it starts, with no space between
        gap = " " if first == last else ""
        edits.append((first, last, gap + _yaml(value)))
    if new:
        edits.append(_addition(text, section, new, where))
    for first, last, put in sorted(edits, reverse=True):
        text = text[:first] + put + text[last:]
    return text


def _addition(text: str, section: Any, new: list[str], where: str) -> tuple[int, int, str]:
    last_key, last = section.value[-1]
    if section.flow_style:
        end = last.end_mark.index
        return end, end, "".join(f", {line}" for line in new)
    if not isinstance(last, yaml.ScalarNode) and not last.flow_style:
        raise _by_hand(where, f"has nothing after '{last_key.value}' to add {new[0]} to")
    ends = "\r\n" if "\r\n" in text else "\n"
    indent = " " * section.value[0][0].start_mark.column
    line_end = text.find("\n", last.end_mark.index)
    if line_end < 0:
        return len(text), len(text), "".join(f"{ends}{indent}{line}" for line in new)
    return line_end + 1, line_end + 1, "".join(f"{indent}{line}{ends}" for line in new)


def _child(root: Any, name: str, where: str) -> Any:
    nodes = [node for key, node in root.value if key.value == name]
    keys = [key.value for node in nodes for key, _ in node.value]
    if len(nodes) != 1 or len(keys) != len(set(keys)):
        raise _by_hand(where, f"has '{name}' or one of its keys twice")
    return nodes[0]


def _yaml(value: Any) -> str:
    """As YAML in one line."""
    line = yaml.safe_dump(value, default_flow_style=True, width=10_000)
    return line.removesuffix("\n").removesuffix("\n...")


def _by_hand(where: str, why: str) -> ParamsError:
    return ParamsError(f"{where} {why}; nothing was written, set the values by hand")


def diff(path: Path, old: str, new: str) -> str:
    """A unified diff for `git apply` or `patch -p1`; empty where nothing differs."""
    lines = difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), f"a/{path}", f"b/{path}"
    )
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def write(path: Path, text: str) -> None:
    """Replace the file by the text, with its line ends, if the parameters can be read from it."""
    from dwcp_ml.models import read_params

    with whole_file(path) as draft:
        draft.write_text(text, encoding="utf-8", newline="")
        read_params(draft)
