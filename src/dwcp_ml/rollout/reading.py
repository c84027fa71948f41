"""From a manifest's dictionary to a typed spec, with errors that name the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from dwcp_ml.errors import RolloutError, nearest
from dwcp_ml.rollout.spec import RolloutSpec


def read_spec(body: Mapping[str, Any]) -> RolloutSpec:
    """The spec of a ModelRollout.

    Raises:
        RolloutError: a key is unknown (with the nearest known one), missing or impossible.
    """
    name = (body.get("metadata") or {}).get("name", "without a name")
    try:
        return RolloutSpec.model_validate(body.get("spec") or {})
    except ValidationError as error:
        said = "; ".join(_sentence(entry) for entry in error.errors()[:3])
        raise RolloutError(f"ModelRollout {name}: {said}") from error


def _sentence(entry: Any) -> str:
    place = ".".join(str(part) for part in entry["loc"])
    if entry["type"] == "extra_forbidden":
        key = str(entry["loc"][-1])
        return f"spec.{place} is unknown{nearest(key, _known(entry['loc'][:-1]))}"
    if entry["type"] == "missing":
        return f"spec.{place} is missing"
    return f"spec.{place}: {entry['msg'].removeprefix('Value error, ')}"


def _known(path: tuple[int | str, ...]) -> list[str]:
    """Keys that are allowed at a path, by walking the JSON schema."""
    schema = RolloutSpec.model_json_schema(by_alias=True)
    here: Any = schema
    for part in path:
        here = _resolved(here, schema)
        here = here.get("items", {}) if isinstance(part, int) else here["properties"].get(part, {})
    return list(_resolved(here, schema).get("properties", {}))


def _resolved(node: Any, schema: Any) -> Any:
    for option in node.get("anyOf", []):
        if "$ref" in option:
            node = option
    if "$ref" in node:
        return schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
    return node
