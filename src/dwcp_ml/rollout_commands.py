"""``dwcp rollout`` and, as a kubectl plugin, ``kubectl dwcp rollout``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dwcp_ml.console import Commands

if TYPE_CHECKING:
    from dwcp_ml.rollout.cluster import Cluster

HELP = {"help_option_names": ["-h", "--help"]}
namespace_option = click.option("--namespace", "-n", help="Default: that of your kubectl context.")


@click.group("rollout", cls=Commands, context_settings=HELP)
def rollout_commands() -> None:
    """Roll a model version out, 1 % to 100 %, gated, with automatic rollback.

    A ModelRollout object holds the wish and the state; the operator drives it. `run` drives one
    without an operator, for a CI pipeline.
    """


@click.group(cls=Commands, context_settings=HELP)
def plugin() -> None:
    """DWCP's commands for kubectl."""


plugin.add_command(rollout_commands)


@rollout_commands.command()
@namespace_option
@click.option("--to", required=True, help="A version like v1.1, or a whole storageUri.")
@click.option("--runtime", help="ServingRuntime of the new version; default: the present one.")
@click.option(
    "--file",
    "-f",
    "manifest",
    type=click.Path(path_type=Path),
    help="ModelRollout whose strategy, gates and sources to take; default: the last one's, "
    "or those of the namespace's ConfigMap rollout-policy.",
)
@click.option("--ungated", is_flag=True, help="Start without any gate: nothing will roll it back.")
@click.argument("service")
def start(
    service: str,
    to: str,
    namespace: str | None,
    runtime: str | None,
    manifest: Path | None,
    ungated: bool,
) -> None:
    """Start rolling SERVICE out to another version."""
    from dwcp_ml.rollout import steer
    from dwcp_ml.rollout.store import read_manifest

    base = None if manifest is None else read_manifest(manifest).get("spec")
    steer.start(_cluster(namespace), service, to, runtime=runtime, base=base, ungated=ungated)
    click.echo(f"modelrollout.dwcp.io/{service} started; 'kubectl dwcp rollout watch {service}'")


@rollout_commands.command()
@namespace_option
@click.argument("name")
def status(name: str, namespace: str | None) -> None:
    """Show where a rollout stands: steps, traffic, verdict per gate, and why."""
    from rich.console import Console

    from dwcp_ml.rollout import steer
    from dwcp_ml.rollout.screen import rollout_screen

    Console().print(rollout_screen(steer.found(_cluster(namespace), name)))


@rollout_commands.command()
@namespace_option
@click.argument("name")
def watch(name: str, namespace: str | None) -> None:
    """Follow a rollout to its end; exits with 27 if it does not promote."""
    from rich.live import Live

    from dwcp_ml.errors import RolledBackError
    from dwcp_ml.rollout import steer
    from dwcp_ml.rollout.screen import rollout_screen
    from dwcp_ml.rollout.state import TERMINAL, Phase
    from dwcp_ml.rollout.status import read_state

    cluster = _cluster(namespace)
    with Live(refresh_per_second=4) as live:
        while True:
            body = steer.found(cluster, name)
            live.update(rollout_screen(body))
            state = read_state(body.get("status") or {})
            seen = (body.get("status") or {}).get("observedGeneration")
            if state.phase in TERMINAL and seen == body["metadata"]["generation"]:
                break
            time.sleep(1)
    if state.phase is not Phase.SUCCEEDED:
        raise RolledBackError(f"{name}: {state.phase}: {state.why}")


@rollout_commands.command()
@namespace_option
@click.argument("name")
def history(name: str, namespace: str | None) -> None:
    """List every transition with when, who and why."""
    from rich.console import Console

    from dwcp_ml.rollout import steer
    from dwcp_ml.rollout.screen import history_table

    Console().print(history_table(steer.found(_cluster(namespace), name)))


@rollout_commands.command()
@namespace_option
@click.argument("name")
def pause(name: str, namespace: str | None) -> None:
    """Hold the split where it is; failing gates still roll back."""
    from dwcp_ml.rollout import steer

    steer.pause(_cluster(namespace), name, paused=True)
    click.echo(f"{name} paused")


@rollout_commands.command()
@namespace_option
@click.argument("name")
def resume(name: str, namespace: str | None) -> None:
    """Go on after a pause, with a new analysis."""
    from dwcp_ml.rollout import steer

    steer.pause(_cluster(namespace), name, paused=False)
    click.echo(f"{name} resumed")


def _order(what: str, teach: str) -> None:
    @rollout_commands.command(what, help=teach)
    @namespace_option
    @click.argument("name")
    def order(name: str, namespace: str | None) -> None:
        from dwcp_ml.rollout import steer

        steer.command(_cluster(namespace), name, what)
        click.echo(f"{name}: {what} ordered")


_order("promote", "Go to 100 % without waiting for the remaining steps; recorded with your name.")
_order("abort", "Take all traffic off the canary and restore what served before.")
_order("undo", "After a promotion, go back to the version before, once it is seen to load.")
_order("retry", "Start a rollout again that rolled back or halted.")


@rollout_commands.command()
@namespace_option
@click.option("--file", "-f", "manifest", required=True, type=click.Path(path_type=Path))
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    help="Keeps the state, so that a killed run can be taken up. Default: beside the manifest.",
)
def run(manifest: Path, state: Path | None, namespace: str | None) -> None:
    """Drive the ModelRollout of a file to its end, without an operator.

    Exits with 0 when it was promoted and with 27 when not. The same file and state again take up
    where a killed run stopped.
    """
    import asyncio

    from dwcp_ml.errors import RolledBackError
    from dwcp_ml.rollout.assembly import run_file
    from dwcp_ml.rollout.state import Phase

    kept = state or manifest.with_suffix(".state.json")
    ended = asyncio.run(run_file(_cluster(namespace), manifest, kept, click.echo))
    if ended.phase is not Phase.SUCCEEDED:
        raise RolledBackError(f"{ended.phase}: {ended.why}")


@rollout_commands.command()
@click.option("--namespace", "-n", help="Watch this one only; default: all.")
@click.option("--lease-namespace", default="dwcp-system", show_default=True)
@click.option("--health", default="http://0.0.0.0:8080/healthz", show_default=True)
@click.option("--metrics-port", default=9090, show_default=True)
def operator(namespace: str | None, lease_namespace: str, health: str, metrics_port: int) -> None:
    """Run the operator: the only active one among its replicas."""
    import asyncio

    from dwcp_ml.rollout.assembly import make_operator

    asyncio.run(make_operator(namespace, lease_namespace, health, metrics_port).run())


def _cluster(namespace: str | None) -> Cluster:
    from dwcp_ml.rollout.cluster import Cluster, connect, present_namespace

    connect()
    return Cluster(namespace or present_namespace())
