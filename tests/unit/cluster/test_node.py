"""What a node is told: command lines, files, and what it is given to begin with."""

from __future__ import annotations

import json
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from tests.cluster import cgroups, configs, manifests, node, pki, servers
from tests.cluster.addresses import Addresses
from tests.cluster.node import Node

WHERE = Addresses(IPv4Network("10.201.0.0/16"))
API = servers.ApiServer(Path("/bin"), Path("/state/test"), WHERE.node, 6443, 2379, 2380, WHERE.services)
NODE = Node("test", WHERE, API)


def test_services_and_pods_are_routed_over_the_node() -> None:
    routes = [words for words in node.links(NODE) if words[:3] == ["ip", "route", "add"]]
    assert [words[3] for words in routes] == [str(WHERE.pods), str(WHERE.services)]
    assert all(words[words.index("via") + 1] == WHERE.node for words in routes)


def test_the_api_server_s_certificate_covers_every_address_it_is_called_by() -> None:
    leaves = pki.leaves(api_addresses=("127.0.0.1", WHERE.node, WHERE.api_service))
    config = pki.openssl_config(leaves[0], authority=False)
    assert "IP:10.201.255.2" in config
    assert "IP:10.201.128.1" in config
    assert "DNS:kubernetes.default.svc" in config


def test_a_node_is_known_by_the_name_in_its_certificate() -> None:
    made = pki.leaves(api_addresses=(), node_name=NODE.name, node_address=WHERE.node)[-1]
    assert (made.common_name, made.organization) == ("system:node:ragops-test", "system:nodes")


def test_each_cluster_has_a_control_group_of_its_own() -> None:
    kubelet = json.loads(node.files(NODE)["kubelet.json"])
    assert kubelet["cgroupRoot"] == "/ragops-test"


def test_an_audit_log_is_written_only_when_asked_for() -> None:
    audited = servers.ApiServer(Path("/bin"), Path("/s"), "127.0.0.1", 1, 2, 3, WHERE.services, audit=True)
    assert not any("audit" in word for word in servers.kube_apiserver(API))
    assert "--audit-log-path=/s/log/audit.log" in servers.kube_apiserver(audited)


def test_the_default_storage_class_has_volumes_enough_for_repeated_tests() -> None:
    items = json.loads(manifests.storage(Path("/state/test/volumes"), NODE.name))["items"]
    annotations = items[0]["metadata"]["annotations"]
    assert annotations == {"storageclass.kubernetes.io/is-default-class": "true"}
    assert len({item["spec"]["local"]["path"] for item in items[1:]}) == 64


def test_a_kubeconfig_is_complete_in_one_file() -> None:
    made = json.loads(configs.kubeconfig("https://10.201.255.2:6443", b"ca", b"certificate", b"key"))
    assert made["clusters"][0]["cluster"]["certificate-authority-data"] == "Y2E="
    assert made["current-context"] == made["contexts"][0]["name"]


@pytest.mark.parametrize(
    ("mounts", "found"),
    [
        ("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n", [("/sys/fs/cgroup", True)]),
        (
            "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n",
            [("/sys/fs/cgroup/cpu", False)],
        ),
    ],
)
def test_control_groups_are_found_in_both_versions(mounts: str, found: list[tuple[str, bool]]) -> None:
    assert [(str(where), is_v2) for where, is_v2 in cgroups.parse_mounts(mounts)] == found


def test_images_are_unpacked_in_memory_only_where_there_is_plenty() -> None:
    assert node.has_memory_to_spare("MemTotal: 24000000 kB\nMemAvailable:   20000000 kB\n")
    assert not node.has_memory_to_spare("MemTotal: 24000000 kB\nMemAvailable:   4000000 kB\n")
    assert not node.has_memory_to_spare("")
