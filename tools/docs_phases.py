"""Phases of a rollout and the ways between them, read from the code of the state machine.

A way is a call ``go(look, state, Phase.X, ...)`` that a phase's handler reaches, through whatever
functions of the package. ``abort`` goes to Aborting, or to Halted where there is no older model.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable, Iterator
from functools import cache
from textwrap import dedent
from typing import Any

from dwcp_ml.rollout.decide import HANDLERS
from dwcp_ml.rollout.state import TERMINAL, Phase

PACKAGE = "dwcp_ml.rollout."
LINE = [p for p in Phase if p not in (Phase.ABORTING, Phase.ROLLED_BACK, Phase.HALTED)]
WIDTH, GAP, TOP, HEIGHT = 104, 28, 110, 40
BUS = {Phase.ABORTING: 200, Phase.HALTED: 226}  # height of the line that ways down join
LOW = 260
PLACE = {Phase.ABORTING: 3, Phase.ROLLED_BACK: 5, Phase.HALTED: 7}  # column in the lower row


def ways() -> dict[Phase, set[Phase]]:
    """Phases that the rollout goes to by itself from each phase."""
    found = {phase: set(_reached(handler)) for phase, handler in HANDLERS.items()}
    return {phase: after - {phase} for phase, after in found.items()} | {p: set() for p in TERMINAL}


def _reached(start: Callable[..., Any]) -> Iterator[Phase]:
    seen, waiting = {start}, [start]
    while waiting:
        function = waiting.pop()
        calls, phases = _body(function)
        yield from phases
        waiting += calls - seen
        seen |= calls


@cache
def _body(function: Callable[..., Any]) -> tuple[set[Callable[..., Any]], set[Phase]]:
    """Functions of the package that are called, and phases that ``go`` is called with."""
    names = vars(sys.modules[function.__module__])
    calls: set[Callable[..., Any]] = set()
    phases: set[Phase] = set()
    for node in ast.walk(ast.parse(dedent(inspect.getsource(function)))):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            continue
        called = names.get(node.func.id)
        if node.func.id == "go":
            phases |= set(_named(node.args[2]))
        elif inspect.isfunction(called) and called.__module__.startswith(PACKAGE):
            calls.add(called)
    return calls, phases


def _named(node: ast.expr) -> Iterator[Phase]:
    """Phase.X, or either branch of a choice; ``state.phase`` is the same phase again."""
    if isinstance(node, ast.IfExp):
        yield from _named(node.body)
        yield from _named(node.orelse)
    elif isinstance(node, ast.Attribute) and node.attr in Phase.__members__:
        yield Phase[node.attr]


def phase_table() -> str:
    """Every phase and where it may go by itself, as Markdown."""
    lines = ["| phase | goes by itself to |", "|---|---|"]
    for phase, after in sorted(ways().items(), key=lambda item: list(Phase).index(item[0])):
        words = ", ".join(p.value for p in Phase if p in after) or "nothing: it is an end"
        lines.append(f"| {phase.value} | {words} |")
    return "\n".join(lines) + "\n"


def diagram() -> str:
    """The same as a drawing (SVG)."""
    width = len(LINE) * (WIDTH + GAP) + GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} 334" '
        'font-family="Helvetica, Arial, sans-serif">',
        "<style>.b{fill:#f4f6f8;stroke:#33576b;stroke-width:1.4}.e{fill:#dfe9ef}"
        ".t{font-size:14px;font-weight:600;fill:#1d3440}.n{font-size:12px;fill:#4b6472}"
        ".l{stroke:#33576b;stroke-width:1.4;fill:none}.h{stroke:#a4493d}"
        ".k{stroke-dasharray:5 4}</style>",
        '<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0 0 8 4 0 8z" fill="#33576b"/></marker></defs>',
        f'<rect width="{width}" height="334" fill="#ffffff"/>',
        *(_box(phase) for phase in Phase),
        *_arrows(ways()),
        _note(
            width / 2, 18, "dashed: back to an earlier phase, because somebody changed the service"
        ),
        _note(width / 2, 327, "Halted also ends a first version that fails: it has no way back"),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _left(phase: Phase) -> int:
    column = PLACE[phase] if phase in PLACE else LINE.index(phase)
    return GAP + column * (WIDTH + GAP)


def _top(phase: Phase) -> int:
    return LOW if phase in PLACE else TOP


def _box(phase: Phase) -> str:
    x, y = _left(phase), _top(phase)
    kind = "b e" if phase in TERMINAL else "b"
    return (
        f'<rect class="{kind}" x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="7"/>'
        f'<text class="t" x="{x + WIDTH / 2}" y="{y + 25}" text-anchor="middle">{phase}</text>'
    )


def _note(x: float, y: float, text: str) -> str:
    return f'<text class="n" x="{x}" y="{y}" text-anchor="middle">{text}</text>'


def _path(shape: str, arrow: bool = True, kind: str = "l") -> str:
    end = ' marker-end="url(#a)"' if arrow else ""
    return f'<path class="{kind}" d="{shape}"{end}/>'


def _arrows(found: dict[Phase, set[Phase]]) -> Iterator[str]:
    """Straight on, arcs above the line, and two buses down to Aborting and Halted."""
    for source, targets in found.items():
        for target in sorted(targets - set(BUS)):
            yield _between(source, target)
    for target, height in BUS.items():
        sources = [s for s in LINE if target in found[s]]
        shift = -16 if target is Phase.ABORTING else 16
        kind = "l" if target is Phase.ABORTING else "l h"
        ends = [_left(s) + WIDTH // 2 + shift for s in sources]
        end = _left(target) + WIDTH // 2
        for x in ends:
            yield _path(f"M{x} {TOP + HEIGHT}V{height}", arrow=False, kind=kind)
        yield _path(f"M{min(ends)} {height}H{max(*ends, end)}", arrow=False, kind=kind)
        yield _path(f"M{end} {height}V{LOW - 1}", kind=kind)
    if Phase.HALTED in found[Phase.ABORTING]:
        x, end = _left(Phase.ABORTING) + WIDTH // 2, _left(Phase.HALTED) + WIDTH // 2
        yield _path(f"M{x} {LOW + HEIGHT}V{LOW + 48}H{end}V{LOW + HEIGHT + 1}", kind="l h")


def _between(source: Phase, target: Phase) -> str:
    x, end = _left(source), _left(target)
    if abs(end - x) == WIDTH + GAP or _top(source) == LOW:
        y = _top(source) + HEIGHT / 2
        return _path(f"M{x + WIDTH} {y}H{end - 1}") if end > x else _over(x, end, -14)
    return _over(x, end, 14 if end > x else -14)


def _over(x: int, end: int, shift: int) -> str:
    """An arc above the line, higher the farther it goes."""
    span = abs(end - x) // (WIDTH + GAP)
    height = TOP - 14 - 12 * span
    begin, stop = x + WIDTH // 2 + shift, end + WIDTH // 2 - shift
    kind = "l k" if end < x else "l"
    return _path(f"M{begin} {TOP}C{begin} {height} {stop} {height} {stop} {TOP - 1}", kind=kind)
