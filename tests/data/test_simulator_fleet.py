"""Where nodes stand: names in their order at any size, peers next door or in another region."""

import pytest

from dwcp_ml.telemetry.schema import load_schema
from dwcp_ml.telemetry.simulator.fleet import REGIONS, build_fleet

SCHEMA = load_schema()


@pytest.mark.parametrize("nodes", [1, 2, 3, 24, 10_001])
def test_names_sort_as_nodes_do_and_every_peer_is_another_node_of_the_fleet(nodes):
    fleet = build_fleet(SCHEMA, nodes, 7)
    names = [node.node_id for node in fleet]
    assert names == sorted(set(names))
    assert {node.peer_id for node in fleet} <= set(names)
    if nodes > 1:
        assert all(node.peer_id != node.node_id for node in fleet)


def test_a_link_within_a_site_ends_in_the_nodes_own_region():
    fleet = build_fleet(SCHEMA, 40 * len(REGIONS), 7)
    region = {node.node_id: node.region for node in fleet}
    for node in fleet:
        assert (region[node.peer_id] == node.region) == (node.link_type != "wan")
