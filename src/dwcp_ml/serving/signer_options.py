"""Options of every command that demands a signature."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from dwcp_ml.console import PATH
from dwcp_ml.serving.signature import Identity, KeyOwner

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dwcp_ml.serving.signature import Signer

trust_option = click.option(
    "--trust-config",
    type=PATH,
    help="Sigstore's client trust configuration (JSON), in place of fetching the public one's.",
)


def signer_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that say who must have signed; the command receives them as one ``signer``."""

    @wraps(command)
    def combined(
        *,
        public_key: Path | None,
        identity: str | None,
        issuer: str | None,
        trust_config: Path | None,
        **given: Any,
    ) -> Any:
        return command(signer=_signer(public_key, identity, issuer, trust_config), **given)

    combined = trust_option(combined)
    for name, kind, text in (
        ("--issuer", str, "URL of the OpenID Connect issuer that vouches for --identity."),
        ("--identity", str, "Demand a Sigstore signature of this e-mail address or workload."),
        ("--public-key", PATH, "Demand a signature of this key's owner (PEM file)."),
    ):
        combined = click.option(name, type=kind, help=text)(combined)
    return combined


def _signer(
    public_key: Path | None, identity: str | None, issuer: str | None, trust_config: Path | None
) -> Signer | None:
    if (identity is None) != (issuer is None):
        raise click.UsageError("--identity and --issuer belong together")
    if public_key is not None and identity is not None:
        raise click.UsageError("give either --public-key or --identity, not both")
    if identity is not None and issuer is not None:
        return Identity(identity, issuer, trust_config)
    if trust_config is not None:
        raise click.UsageError("--trust-config goes with --identity and --issuer")
    return None if public_key is None else KeyOwner(public_key)
