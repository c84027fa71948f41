"""What a person sees of a rollout in a terminal."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dwcp_ml.rollout.reading import read_spec
from dwcp_ml.rollout.state import Phase
from dwcp_ml.rollout.status import read_state

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType

    from dwcp_ml.rollout.spec import RolloutSpec
    from dwcp_ml.rollout.state import RolloutState

COLOURS = {
    Phase.SUCCEEDED: "green",
    Phase.ROLLED_BACK: "red",
    Phase.HALTED: "bold red",
    Phase.ABORTING: "red",
}
VERDICTS = {"pass": "green", "fail": "red", "inconclusive": "yellow"}


def rollout_screen(body: Mapping[str, Any], now: datetime | None = None) -> RenderableType:
    """Phase, steps, traffic, one line a gate and the sentence why."""
    from rich.console import Group
    from rich.text import Text

    spec, state = read_spec(body), read_state(body.get("status") or {})
    status = body.get("status") or {}
    head = Text.assemble(
        (str(body["metadata"]["name"]), "bold"),
        "  ",
        (str(state.phase), COLOURS.get(state.phase, "cyan")),
        f"  for {_age(state.phase_since, now)}" if state.phase_since else "",
        "  (paused)" if spec.paused else "",
    )
    lines = [
        head,
        Text(f"target   {spec.target.version or ''} {spec.target.storage_uri}".strip()),
        Text(f"stable   {state.stable or '-'}"),
        Text(f"canary   {state.canary or '-'}  {status.get('traffic', 0)} % of traffic"),
        _steps(spec, state),
        Text(f"why      {state.why or '-'}"),
    ]
    return Group(*lines, *([_gates(state)] if state.gates else []))


def history_table(body: Mapping[str, Any]) -> RenderableType:
    """Every transition: when, from, to, who, why."""
    from rich.table import Table

    table = Table("when", "from", "to", "by", "why", box=None, pad_edge=False)
    for entry in read_state(body.get("status") or {}).history:
        when = entry.at.astimezone(UTC).isoformat(timespec="seconds")
        table.add_row(when, entry.source, entry.to, entry.by, entry.why)
    return table


def _steps(spec: RolloutSpec, state: RolloutState) -> RenderableType:
    from rich.text import Text

    text = Text("steps    ")
    walking = state.phase is Phase.PROGRESSING
    over = state.phase in (Phase.PROMOTING, Phase.WATCHING, Phase.SUCCEEDED)
    for number, percent in enumerate([0, *spec.strategy.steps, 100]):
        here = walking and number == state.step + 1
        done = over or (walking and number <= state.step)
        style = "bold reverse" if here else "green" if done else "dim"
        text.append(f" {percent}% ", style)
    return text


def _gates(state: RolloutState) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    table = Table("gate", "verdict", "canary n", "stable n", "why", box=None, pad_edge=False)
    for gate in state.gates:
        verdict = Text(gate.verdict, VERDICTS[gate.verdict])
        table.add_row(
            gate.gate, verdict, str(gate.canary_samples), str(gate.stable_samples), gate.why
        )
    return table


def _age(since: datetime, now: datetime | None) -> str:
    seconds = int(((now or datetime.now(UTC)) - since).total_seconds())
    return f"{seconds}s" if seconds < 120 else f"{seconds // 60}m{seconds % 60:02}s"
