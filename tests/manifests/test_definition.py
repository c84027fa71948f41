"""The ModelRollout's definition and the models it is made from, field by field."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
import typing
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel
from pydantic.alias_generators import to_camel

from dwcp_ml.rollout.spec import RolloutSpec, read_duration
from dwcp_ml.rollout.state import Phase, RolloutState

CRD = Path(__file__).parents[2] / "manifests" / "operator" / "crd"
SCALARS = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    timedelta: "string",
    datetime: "string",
}


def definition():
    return yaml.safe_load((CRD / "modelrollouts.yaml").read_text())


def schema(part):
    (version,) = definition()["spec"]["versions"]
    return version["schema"]["openAPIV3Schema"]["properties"][part]


def bare(kind):
    """The type without None and annotations."""
    if typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    kinds = [k for k in typing.get_args(kind) if k is not type(None)]
    if type(None) in typing.get_args(kind) and len(kinds) == 1:
        return bare(kinds[0])
    return kind


def fields(kind):
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return {to_camel(name): field.annotation for name, field in kind.model_fields.items()}
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return {to_camel(field.name): hints[field.name] for field in dataclasses.fields(kind)}
    return None


def differences(kind, node, path):
    kind = bare(kind)
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if (named := fields(kind)) is not None:
        beside = set(node["properties"]) - set(named)
        yield from (f"{path}.{name} is in the definition alone" for name in beside)
        for name, of in named.items():
            if name not in node["properties"]:
                yield f"{path}.{name} is missing"
            else:
                yield from differences(of, node["properties"][name], f"{path}.{name}")
    elif origin is tuple:
        assert node["type"] == "array", path
        yield from differences(inner[0], node["items"], f"{path}[]")
    elif origin is typing.Literal:
        if list(inner) != node["enum"]:
            yield f"{path}: {node['enum']}"
    elif origin is dict:
        if node["type"] != "object":
            yield f"{path}: {node['type']}"
    elif isinstance(kind, type) and kind in SCALARS:
        if node["type"] != SCALARS[kind]:
            yield f"{path}: {node['type']}"
    elif [member.value for member in kind] != node["enum"]:
        yield f"{path}: {node['enum']}"


def test_the_file_is_what_the_script_makes_of_the_models():
    done = subprocess.run([sys.executable, CRD / "make.py", "--check"], capture_output=True)
    assert done.returncode == 0, done.stderr


def test_every_field_of_the_spec_is_in_the_definition_with_its_type_and_no_other_is():
    assert list(differences(RolloutSpec, schema("spec"), "spec")) == []


def test_every_field_of_the_state_is_in_the_status_beside_what_people_read():
    found = set(differences(RolloutState, schema("status"), "status"))
    for_people = ("conditions", "observedGeneration", "steps", "target", "traffic")
    assert found == {f"status.{name} is in the definition alone" for name in for_people}


def test_every_phase_is_known():
    assert schema("status")["properties"]["phase"]["enum"] == [phase.value for phase in Phase]


@pytest.mark.parametrize(
    "text", ["90s", "5m", "1h30m", "2h", "1h2m3s", "", "s", "5", "1.5h", "3m1h"]
)
def test_the_pattern_takes_the_durations_that_the_models_take(text):
    node = schema("spec")["properties"]["strategy"]["properties"]["stepDuration"]
    by_pattern = bool(re.search(node["pattern"], text)) and len(text) >= node["minLength"]
    try:
        read_duration(text)
    except ValueError:
        assert not by_pattern
    else:
        assert by_pattern


def test_people_see_the_columns_and_the_short_name():
    spec = definition()["spec"]
    (version,) = spec["versions"]
    columns = {c["name"]: c.get("priority", 0) for c in version["additionalPrinterColumns"]}
    assert columns == {"Phase": 0, "Step": 0, "Traffic": 0, "Target": 0, "Age": 0, "Why": 1}
    assert spec["names"]["shortNames"] == ["mr"]
    assert version["subresources"] == {"status": {}}
