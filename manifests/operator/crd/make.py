"""Write modelrollouts.yaml from the models in ``dwcp_ml.rollout``, so that the two cannot disagree.

python manifests/operator/crd/make.py            write the file
python manifests/operator/crd/make.py --check    exit 1 where the file is out of date
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, TypeAdapter
from pydantic.alias_generators import to_camel
from pydantic.json_schema import GenerateJsonSchema

from dwcp_ml.rollout.spec import LEAST_LIMIT, Gate, RolloutSpec, Strategy, write_duration
from dwcp_ml.rollout.state import RolloutState

HERE = Path(__file__).parent
FILE = HERE / "modelrollouts.yaml"
HEAD = "# Made by make.py from src/dwcp_ml/rollout/{spec,state}.py; edit those.\n"
Schema = dict[str, Any]

SOURCE = Gate.model_fields["source"].default
CLOCKS = Strategy()

# What the API server refuses besides types and ranges; the same rules as the models' validators.
# Path below spec -> rules.
RULES: dict[str, list[dict[str, str]]] = {
    "": [
        {
            "rule": "!has(self.gates) || self.gates.all(g, g.kind == 'golden' || "
            "has(self.metrics) || "
            f"(g.?source.orValue('{SOURCE}') != 'prometheus' && has(self.prober)))",
            "message": "a gate has no source: give metrics or prober",
        },
        {
            "rule": "!has(self.gates) || self.gates.all(g, g.kind == 'golden' || "
            f"g.?source.orValue('{SOURCE}') != 'prober' || has(self.prober))",
            "message": "a gate asks for the prober; give prober",
        },
    ],
    "inferenceService": [
        {"rule": "self == oldSelf", "message": "inferenceService cannot change; make a new object"}
    ],
    "target.storageUri": [
        {
            "rule": "!self.matches('(^|/)latest/?$')",
            "message": "storageUri must name a version that never changes, not latest",
        }
    ],
    "strategy": [
        {
            "rule": "self.?stepDeadline.orValue("
            f"duration('{write_duration(CLOCKS.step_deadline)}'))"
            f" >= self.?stepDuration.orValue(duration('{write_duration(CLOCKS.step_duration)}'))",
            "message": "stepDeadline is shorter than stepDuration",
        }
    ],
    "strategy.steps": [
        {
            "rule": "self.isSorted() && self.all(a, self.exists_one(b, a == b))",
            "message": "steps must rise",
        }
    ],
    "gates.[]": [
        {
            "rule": "(self.kind == 'metric') == has(self.query)",
            "message": "query belongs to kind metric, and must be there",
        },
        *(
            {
                "rule": f"self.kind != '{kind}' || self.limit > {float(least)}",
                "message": f"limit of kind {kind} must be above {least:g}",
            }
            for kind, least in LEAST_LIMIT.items()
        ),
    ],
}
# On the whole object: the way back or the last hop is being made for this target.
WHOLE = [
    {
        "rule": "!has(oldSelf.status) || !has(oldSelf.status.phase) || "
        "!(oldSelf.status.phase in ['Promoting', 'Aborting']) || "
        "self.spec.target == oldSelf.spec.target",
        "message": "target cannot change while the rollout is Promoting or Aborting",
    }
]
# The cost of a rule is bounded only where the length of what it reads is.
LIMITS: dict[str, Schema] = {
    "inferenceService": {"maxLength": 63},
    "target.storageUri": {"maxLength": 1024},
    "strategy.steps": {"maxItems": 50},
    "gates": {
        "maxItems": 32,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
    },
    "gates.[].name": {"maxLength": 63},
    "gates.[].query": {"maxLength": 4096},
    "metrics.prometheusUrl": {"maxLength": 1024},
}
# Written by the store beside the fields of RolloutState.
BESIDE: Schema = {
    "observedGeneration": {"type": "integer", "format": "int64"},
    "traffic": {"type": "integer"},
    "steps": {"type": "string"},
    "target": {"type": "string"},
    "conditions": {
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "lastTransitionTime"],
            "properties": {
                "type": {"type": "string"},
                "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
                "observedGeneration": {"type": "integer", "format": "int64"},
                "lastTransitionTime": {"type": "string", "format": "date-time"},
                "reason": {"type": "string"},
                "message": {"type": "string"},
            },
        },
    },
}
COLUMNS = [
    {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
    {"name": "Step", "type": "string", "jsonPath": ".status.steps"},
    {"name": "Traffic", "type": "integer", "jsonPath": ".status.traffic"},
    {"name": "Target", "type": "string", "jsonPath": ".status.target"},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    {"name": "Why", "type": "string", "jsonPath": ".status.why", "priority": 1},
]


class Structural(GenerateJsonSchema):
    """JSON Schema with durations as Kubernetes writes them (its patterns know no lookahead)."""

    def timedelta_schema(self, schema: Any) -> Schema:
        """A duration like 1h30m; CEL compares it as one."""
        pattern = "^([0-9]+h)?([0-9]+m)?([0-9]+s)?$"
        return {"type": "string", "format": "duration", "pattern": pattern, "minLength": 2}

    def encode_default(self, dft: Any) -> Any:
        """Durations as ``90s``; a part in full, for rules are tried on its default as it stands."""
        if isinstance(dft, timedelta):
            return write_duration(dft)
        if isinstance(dft, BaseModel):
            return dft.model_dump(mode="json", by_alias=True, exclude_none=True)
        return super().encode_default(dft)


def structural(node: Schema, named: dict[str, Schema], nullable: bool) -> Schema:
    """One node of pydantic's schema as OpenAPI v3 structural schema.

    Args:
        node: to convert.
        named: what ``$ref`` points at, by name.
        nullable: whether null stays a value (status) or is an absent field (spec).
    """
    node = dict(node)
    if "$ref" in node:
        node = {**named[node.pop("$ref").rsplit("/", 1)[1]], **node}
    kinds = node.pop("anyOf", [])
    if kinds:
        (real,) = (kind for kind in kinds if kind.get("type") != "null")
        node = {**structural(real, named, nullable), **node}
        if nullable:
            node["nullable"] = True
    made = {key: value for key, value in node.items() if key != "title"}
    _told(made)
    for bound, least in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if bound in made and not isinstance(made[bound], bool):
            made[least], made[bound] = made[bound], True
    return _nested(made, named, nullable)


def _told(made: Schema) -> None:
    """Name the default instead of setting it.

    The API server would add it to objects that an older operator or plugin still has to read, and
    those refuse a field that they do not know.
    """
    default = made.pop("default", None)
    if default in (None, "", [], {}) or (isinstance(default, dict) and "properties" in made):
        return
    told = default if isinstance(default, str) else json.dumps(default)
    made["description"] = "; ".join([*filter(None, [made.get("description")]), f"default {told}"])


def _nested(made: Schema, named: dict[str, Schema], nullable: bool) -> Schema:
    if made.get("type") == "object" and "properties" not in made:
        values = made.pop("additionalProperties", True)
        if values is True:
            made["x-kubernetes-preserve-unknown-fields"] = True
        else:
            made["additionalProperties"] = structural(values, named, nullable)
    made.pop("additionalProperties", None) if "properties" in made else None
    if "properties" in made:
        made["properties"] = {
            to_camel(key): structural(value, named, nullable)
            for key, value in made["properties"].items()
        }
    if isinstance(made.get("items"), dict):
        made["items"] = structural(made["items"], named, nullable)
    return made


def at(schema: Schema, path: str) -> Schema:
    """The node at a path like ``gates.[].name``."""
    for part in path.split(".") if path else []:
        schema = schema["items"] if part == "[]" else schema["properties"][part]
    return schema


def spec_schema() -> Schema:
    """Schema of ``spec``."""
    whole = RolloutSpec.model_json_schema(schema_generator=Structural)
    made = structural(whole, whole.pop("$defs"), nullable=False)
    for path, limits in LIMITS.items():
        at(made, path).update(limits)
    for path, rules in RULES.items():
        at(made, path)["x-kubernetes-validations"] = rules
    return made


def status_schema() -> Schema:
    """Schema of ``status``."""
    whole = TypeAdapter(RolloutState).json_schema(schema_generator=Structural)
    made = structural(whole, whole.pop("$defs"), nullable=True)
    _plain(made)
    made["properties"].update(BESIDE)
    return made


def _plain(node: Schema) -> None:
    """Without defaults and required fields: the operator writes what it knows."""
    for key in ("default", "required", "description"):
        node.pop(key, None)
    for child in node.get("properties", {}).values():
        _plain(child)
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            _plain(node[key])


def definition() -> Schema:
    """The CustomResourceDefinition."""
    version = {
        "name": "v1alpha1",
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": COLUMNS,
        "schema": {
            "openAPIV3Schema": {
                "description": "A wish to roll a model version out, and where that stands.",
                "type": "object",
                "required": ["spec"],
                "properties": {
                    "apiVersion": {"type": "string"},
                    "kind": {"type": "string"},
                    "metadata": {"type": "object"},
                    "spec": spec_schema(),
                    "status": status_schema(),
                },
                "x-kubernetes-validations": WHOLE,
            }
        },
    }
    names = {"kind": "ModelRollout", "listKind": "ModelRolloutList", "plural": "modelrollouts"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "modelrollouts.dwcp.io"},
        "spec": {
            "group": "dwcp.io",
            "scope": "Namespaced",
            "names": {**names, "singular": "modelrollout", "shortNames": ["mr"]},
            "versions": [version],
        },
    }


class _Plain(yaml.SafeDumper):
    """Repeats what is used twice instead of pointing at it."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def text() -> str:
    """The file's content."""
    return HEAD + yaml.dump(definition(), Dumper=_Plain, sort_keys=False, width=100)


def main() -> int:
    """Write the file, or with --check compare it."""
    if "--check" in sys.argv[1:]:
        if FILE.read_text() == text():
            return 0
        print(f"{FILE} is out of date; run {Path(__file__).name}", file=sys.stderr)
        return 1
    FILE.write_text(text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
