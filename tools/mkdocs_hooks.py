"""Hooks of MkDocs, for pages that read well on a forge too.

There links may leave docs/, and lists need less room than here.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import Any

from mkdocs.exceptions import PluginError

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"\]\((\.\./[^)\s#]+)(#[^)\s]*)?\)")
ITEM = re.compile(r"(?:[-*]|\d+\.) ")
FENCE = "```"


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """One page, before it is rendered.

    Raises:
        PluginError: a link that leaves docs/ leads to nothing in the repository.
    """
    extra = config["extra"]
    source = f"{extra['repository']}/{{kind}}/{extra['branch']}"
    return listed(outward(markdown, page.file.src_uri, source))


def outward(markdown: str, page: str, source: str) -> str:
    """Links out of docs/ as links into the repository.

    Args:
        markdown: text of the page.
        page: its path within docs/.
        source: URL of the repository's tree, with ``{kind}`` for blob or tree.
    """
    folder = PurePosixPath("docs") / PurePosixPath(page).parent

    def rewritten(match: re.Match[str]) -> str:
        path = normpath(str(folder / match[1]))
        if path.startswith("docs/"):
            return match[0]
        target = ROOT / path
        if path.startswith("..") or not target.exists():
            raise PluginError(f"docs/{page}: there is no {path} in the repository")
        kind = "tree" if target.is_dir() else "blob"
        return f"]({source.format(kind=kind)}/{path}{match[2] or ''})"

    return LINK.sub(rewritten, markdown)


def listed(markdown: str) -> str:
    """Lists as Python-Markdown wants them.

    It demands an empty line before a list, and four spaces before what belongs to an item.
    """
    lines: list[str] = []
    fenced, width = False, 0  # of the marker of the item that a line stands in
    for line in markdown.split("\n"):
        item = None if fenced else ITEM.match(line)
        before = lines[-1] if lines else ""
        if item and before.strip() and not width:
            lines.append("")
        if item:
            width = item.end()
        elif line and not before and not line.startswith(" "):
            width = 0
        fenced ^= line.startswith(FENCE)
        inside = width and not item and line.startswith(" " * width)
        lines.append(" " * (4 - width) + line if inside else line)
    return "\n".join(lines)
