"""Where a cluster's networks lie."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest

from tests.cluster import addresses
from tests.cluster.errors import ClusterError


def test_a_name_has_the_same_block_every_time() -> None:
    assert addresses.choose("test", []) == addresses.choose("test", [])


def test_two_names_at_once_get_different_blocks() -> None:
    first = addresses.choose("test", [])
    assert not addresses.choose("test", [first.block]).block.overlaps(first.block)


def test_a_block_that_this_machine_routes_elsewhere_is_left_alone() -> None:
    taken = [IPv4Network("10.128.0.0/10"), IPv4Network("10.192.0.0/11")]
    assert addresses.choose("test", taken).block[0] >= IPv4Network("10.224.0.0/16")[0]


def test_when_all_is_taken_it_says_so() -> None:
    with pytest.raises(ClusterError, match="are taken"):
        addresses.choose("test", [IPv4Network("10.0.0.0/8")])


def test_the_networks_of_a_cluster_lie_apart_in_its_block() -> None:
    where = addresses.Addresses(IPv4Network("10.201.0.0/16"))
    assert (str(where.pods), str(where.services), str(where.link)) == (
        "10.201.0.0/24",
        "10.201.128.0/20",
        "10.201.255.0/30",
    )
    assert (where.host, where.node, where.api_service) == ("10.201.255.1", "10.201.255.2", "10.201.128.1")


def test_routes_are_read_as_networks_and_the_default_route_is_none() -> None:
    lines = """default via 192.0.2.1 dev eth0
10.201.0.0/24 via 10.201.255.2 dev ragops-test
192.0.2.0/24 dev eth0 proto kernel scope link src 192.0.2.2
local 127.0.0.1 dev lo table local proto kernel scope host src 127.0.0.1
broadcast 192.0.2.255 dev eth0 table local proto kernel scope link src 192.0.2.2
"""
    found = [str(network) for network in addresses.parse_routes(lines)]
    assert found == ["10.201.0.0/24", "192.0.2.0/24", "127.0.0.1/32", "192.0.2.255/32"]


@pytest.mark.parametrize("name", ["test", "a-name-that-is-much-longer"])
def test_the_kernel_takes_the_name_of_the_interface(name: str) -> None:
    assert len(addresses.host_interface(name)) <= 15
