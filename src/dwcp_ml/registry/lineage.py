"""From data to version, and what changed between two versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dwcp_ml.registry.chain import chain
from dwcp_ml.registry.store import Version, resolve, show, versions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

UNKNOWN = "unknown"


def lineage(
    root: Path, name: str, version: str | None = None, against: str | None = None
) -> dict[str, Any]:
    """What a version was made of, and how that differs from another one.

    Args:
        root: the registry.
        name: the model.
        version: None for the latest.
        against: the version to compare with; None for the one before, if there is one.

    Returns:
        "chain" with data, params, code, tools, onnx and version, "against", and "changed":
        what -> [before, now]; None for either side stands for unknown.

    Raises:
        RegistryError: a version is not registered.
    """
    wanted = resolve(root, name, version)
    other = resolve(root, name, against) if against else _before(root / name, wanted)
    here = chain(show(root, name, str(wanted)))
    changed = {} if other is None else _changed(chain(show(root, name, str(other))), here)
    return {
        "name": name,
        "chain": here,
        "against": None if other is None else str(other),
        "changed": changed,
    }


def lineage_lines(found: Mapping[str, Any]) -> list[str]:
    """What ``dwcp models lineage`` prints."""
    here = found["chain"]
    lines = [f"{found['name']} {here['version']}, created {here['created'] or UNKNOWN}"]
    for key, label in (("data_revision", "data revision"), ("data", "data sha256"),
                       ("params", "params sha256"), ("code", "git commit"),
                       ("onnx", "onnx sha256")):  # fmt: skip
        lines.append(f"  {label:<14}{here[key] or UNKNOWN}")
    tools = ", ".join(f"{k} {v}" for k, v in here["tools"].items())
    lines.append(f"  {'tools':<14}{tools or UNKNOWN}")
    if found["against"] is None:
        return [*lines, "the first version"]
    changes = [
        f"  {key}: {before or UNKNOWN} -> {now or UNKNOWN}"
        for key, (before, now) in found["changed"].items()
    ]
    return [*lines, f"changed since {found['against']}:", *(changes or ["  nothing known"])]


def _before(folder: Path, version: Version) -> Version | None:
    older = [v for v in versions(folder) if v < version]
    return older[-1] if older else None


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Data, params, code and single tools that differ, or that one side does not know."""
    pairs = {key: [before[key], now[key]] for key in ("data", "params", "code")}
    for tool in sorted({*before["tools"], *now["tools"]}):
        pairs[tool] = [before["tools"].get(tool), now["tools"].get(tool)]
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1] or None in pair}
