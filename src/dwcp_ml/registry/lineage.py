"""From data to version, and what changed between two versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dwcp_ml.registry.chain import chain
from dwcp_ml.registry.store import Version, resolve, show, versions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

UNKNOWN, NOT_THERE = "unknown", "-"
DIRTY = "-dirty"  # ends the commit of code that has uncommitted changes
UNEXPLAINED = (
    "  nothing that is recorded, and yet the ONNX files differ: look at the type of processor and "
    "at libraries that are not in the list of tools"
)


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
        "chain" with data, params, code, tools, onnx and version, "against", "changed": what ->
        [before, now], None for either side standing for unknown, and "details": "data" and
        "params", where they changed, as key -> [before, now], None for a key that is not there.

    Raises:
        RegistryError: a version is not registered.
    """
    wanted = resolve(root, name, version)
    other = resolve(root, name, against) if against else _before(root / name, wanted)
    now = show(root, name, str(wanted))
    here = chain(now)
    found: dict[str, Any] = {
        "name": name,
        "chain": here,
        "against": None if other is None else str(other),
        "changed": {},
        "details": {},
    }
    if other is not None:
        before = show(root, name, str(other))
        found["changed"] = _changed(chain(before), here)
        found["details"] = {
            key: _different(_flat(before.get(key) or {}), _flat(now.get(key) or {}))
            for key in ("data", "params")
            if key in found["changed"]
        }
    return found


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
    nothing = UNEXPLAINED if found["against"] != here["version"] else "  nothing"
    return [*lines, f"changed since {found['against']}:", *(_change_lines(found) or [nothing])]


def _change_lines(found: Mapping[str, Any]) -> list[str]:
    lines = []
    for what, (before, now) in found["changed"].items():
        note = " (uncommitted changes)" if _dirty(now) or _dirty(before) else ""
        lines.append(f"  {what}: {before or UNKNOWN} -> {now or UNKNOWN}{note}")
        for key, (old, new) in found["details"].get(what, {}).items():
            lines.append(f"    {key}: {_shown(old)} -> {_shown(new)}")
    return lines


def _shown(value: object) -> str:
    return NOT_THERE if value is None else str(value)


def _before(folder: Path, version: Version) -> Version | None:
    older = [v for v in versions(folder) if v < version]
    return older[-1] if older else None


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Data, params, code and single tools that differ, or that one side does not know.

    Two times the same commit with uncommitted changes need not be the same code.
    """
    pairs = {key: [before[key], now[key]] for key in ("data", "params", "code")}
    for tool in sorted({*before["tools"], *now["tools"]}):
        pairs[tool] = [before["tools"].get(tool), now["tools"].get(tool)]
    return {
        key: pair
        for key, pair in pairs.items()
        if pair[0] != pair[1] or None in pair or (key == "code" and _dirty(pair[0]))
    }


def _dirty(commit: object) -> bool:
    return str(commit).endswith(DIRTY)


def _different(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Keys whose values differ."""
    keys = sorted({*before, *now})
    return {k: [before.get(k), now.get(k)] for k in keys if before.get(k) != now.get(k)}


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """One level of dotted keys."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found
