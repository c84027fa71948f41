"""columns.yaml: what it says is what is read, and a slip gets the nearest word."""

import math

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from telemetry_table import SCHEMA

from dwcp_ml.errors import ParamsError, UnreadableFileError
from dwcp_ml.telemetry.columns import ColumnMap, absent_columns, read_column_map
from dwcp_ml.telemetry.units import factor, factors, likely_unit

NUMBERS = [c for c in SCHEMA.columns if c.role == "input" and c.type != "string"]
names = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1)


def read(tmp_path, **content) -> ColumnMap:
    path = tmp_path / "columns.yaml"
    path.write_text(yaml.safe_dump({"step_s": 60, **content}, allow_unicode=True), "utf-8")
    return read_column_map(path, SCHEMA)


def entries(column):
    """Ways to say where a column of numbers comes from, each with what must be understood."""
    units = [name for name, size in factors(column.unit, 60).items() if size]
    return st.one_of(
        names.map(lambda name: (name, {"source": name})),
        st.tuples(names, st.sampled_from(units)).map(
            lambda pair: ({"from": pair[0], "unit": pair[1]}, {"source": pair[0], "unit": pair[1]})
        ),
        st.floats(-1e6, 1e6).map(lambda x: ({"scale": x}, {"scale": x})),
        st.integers(math.ceil(column.min), math.floor(min(column.max, 100))).map(
            lambda x: ({"value": x}, {"value": x})
        ),
        st.lists(st.integers(-9, 9), max_size=3).map(
            lambda marks: ({"missing": marks}, {"missing": tuple(marks)})
        ),
    )


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_every_valid_column_map_is_read_as_it_was_written(tmp_path_factory, data):
    chosen = data.draw(st.lists(st.sampled_from(NUMBERS), unique=True, max_size=5))
    drawn = {column.name: data.draw(entries(column)) for column in chosen}
    rest = [name for name in SCHEMA.names("input") if name not in drawn]
    absent = data.draw(st.lists(st.sampled_from(rest), unique=True, max_size=5))
    step_s = data.draw(st.integers(1, 10_000))
    written = {name: entry for name, (entry, _) in drawn.items()}
    found = read(tmp_path_factory.mktemp("map"), step_s=step_s, columns=written, absent=absent)
    assert found.step_s == step_s
    assert absent_columns(found, SCHEMA)[0] == tuple(absent)
    for name, (_, wanted) in drawn.items():
        assert {key: getattr(found.columns[name], key) for key in wanted} == wanted


def test_a_group_under_absent_stands_for_its_columns_that_have_no_entry(tmp_path):
    found = read(tmp_path, columns={"rtt_ms": "ping"}, absent=["latency_metrics"])
    named, grouped = absent_columns(found, SCHEMA)
    members = {c.name for c in SCHEMA.columns if c.group == "latency_metrics"}
    assert named == ()
    assert grouped == members - {"rtt_ms"}


def test_incidents_are_looked_for_beside_the_column_map(tmp_path):
    assert read(tmp_path, incidents="found.json").incidents == tmp_path / "found.json"


def test_codes_and_booleans_in_a_map_are_read_as_the_words_of_a_file(tmp_path):
    found = read(tmp_path, columns={"is_anomaly": {"map": {True: 1, False: 0}}})
    assert found.columns["is_anomaly"].map == {"true": 1, "false": 0}
    found = read(tmp_path, columns={"link_type": {"map": {0: "dc", 1: "wan"}}})
    assert found.columns["link_type"].map == {"0": "dc", "1": "wan"}


BAD = {
    "unknown key 'colums'; did you mean 'columns'": {"colums": {}},
    "unknown column 'rtt_mss' under columns; did you mean 'rtt_ms'": {"columns": {"rtt_mss": "a"}},
    "columns.rtt_ms: unknown key 'form'; did you mean 'from'": {
        "columns": {"rtt_ms": {"form": "a"}}
    },
    "columns.rtt_ms: write a source column or a mapping, not 3": {"columns": {"rtt_ms": 3}},
    "unit 'percnt' cannot be turned into fraction; did you mean 'percent'": {
        "columns": {"packet_loss": {"unit": "percnt"}}
    },
    "unit 'percent' cannot be turned into ms": {"columns": {"rtt_ms": {"unit": "percent"}}},
    "use either 'unit' or 'scale'": {"columns": {"rtt_ms": {"unit": "s", "scale": 2}}},
    "'value' stands alone": {"columns": {"rtt_ms": {"value": 2, "from": "a"}}},
    "'map' goes with neither": {"columns": {"rtt_ms": {"map": {"a": 1}, "scale": 2}}},
    "'fibre' is none of dc, metro, wan, edge": {"columns": {"link_type": {"value": "fibre"}}},
    "'wann' is none of .*; did you mean 'wan'": {"columns": {"link_type": {"map": {"a": "wann"}}}},
    "'much' is not a number": {"columns": {"rtt_ms": {"value": "much"}}},
    "2 is outside 0 to 1": {"columns": {"packet_loss": {"value": 2}}},
    "1.5 is not a whole number": {"columns": {"quorum_size": {"value": 1.5}}},
    "it is computed from timestamp": {"columns": {"day_of_week": "weekday"}},
    "only 'from' can be said of the timestamp": {"columns": {"timestamp": {"value": 3}}},
    "'unit' is for numbers only; use timestamp_unit": {"columns": {"timestamp": {"unit": "s"}}},
    "'scale' is for numbers only": {"columns": {"region": {"scale": 2}}},
    "unknown column or group 'rtt' under absent; did you mean 'rtt_ms'": {"absent": ["rtt"]},
    "'node_id' under absent .only inputs can be absent": {"absent": ["node_id"]},
    "'rtt_ms' stands both under columns and under absent": {
        "columns": {"rtt_ms": "a"},
        "absent": ["rtt_ms"],
    },
    "timezone: unknown time zone": {"timezone": "Europe/Atlantis"},
    "step_s: .*greater than or equal to 1": {"step_s": 0},
    "gaps: .*'refuse' or 'allow'": {"gaps": "perhaps"},
    "columns must hold": {"columns": ["a"]},
}


@pytest.mark.parametrize("sentence", BAD)
def test_a_slip_in_the_column_map_is_told_in_one_sentence(tmp_path, sentence):
    with pytest.raises(ParamsError, match=sentence) as caught:
        read(tmp_path, **BAD[sentence])
    assert "columns.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_column_map_that_is_not_yaml_is_unreadable(tmp_path):
    path = tmp_path / "columns.yaml"
    path.write_text("step_s: [")
    with pytest.raises(UnreadableFileError, match="is not YAML"):
        read_column_map(path, SCHEMA)
    with pytest.raises(UnreadableFileError, match="cannot read"):
        read_column_map(tmp_path / "none.yaml", SCHEMA)


def test_units_are_turned_into_those_of_the_schema():
    assert factor("percent", "fraction", 60, "") == pytest.approx(0.01)
    assert factor("fraction", "percent", 60, "") == pytest.approx(100)
    assert factor("s", "ms", 60, "") == pytest.approx(1000)
    assert factor("us", "ms", 60, "") == pytest.approx(0.001)
    assert factor("Gbit/s", "Mbit/s", 60, "") == pytest.approx(1000)
    assert factor("MB/s", "Mbit/s", 60, "") == pytest.approx(8)
    assert factor("MiB/s", "MB/s", 60, "") == pytest.approx(1.048576)
    assert factor("byte/step", "Mbit/s", 300, "") == pytest.approx(8e-6 / 300)
    assert factor("KiB", "byte", 60, "") == 1024
    assert factor("1/min", "1/s", 60, "") == pytest.approx(1 / 60)
    assert factor("1/day", "1/h", 60, "") == pytest.approx(1 / 24)
    assert factor("1/s", "count", 60, "") == 60
    assert factor("packet", "packet", 60, "") == 1


def test_the_guessed_unit_is_the_one_that_brings_the_values_into_the_range():
    assert likely_unit(0, 40, 0, 1, "fraction", 60) == "percent"
    assert likely_unit(0, 900, 0, 1, "fraction", 60) == "permille"
    assert likely_unit(5, 90_000, 0, 10_000, "ms", 60) == "us"
    assert likely_unit(0, 1e7, 0, 1e5, "Mbit/s", 60) == "kbit/s"
    assert likely_unit(0, 1e9, 0, 1e5, "Mbit/s", 60) == "bit/s"
    assert likely_unit(-1, 40, 0, 1, "fraction", 60) is None
