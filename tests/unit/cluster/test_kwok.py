"""Nodes that are played."""

from __future__ import annotations

import json
from ipaddress import IPv4Network
from pathlib import Path

from tests.cluster import kwok, versions
from tests.cluster.servers import ApiServer

API = ApiServer(Path("/bin"), Path("/folder"), "127.0.0.1", 1, 2, 3, IPv4Network("10.96.0.0/16"))


def test_nodes_and_pods_become_ready_and_deleted_pods_go() -> None:
    stages = [json.loads(each) for each in kwok.stages().split("---\n")]
    assert {stage["metadata"]["name"] for stage in stages} == {"node-ready", "pod-ready", "pod-gone"}
    assert all("statusTemplate" in stage["spec"]["next"] for stage in stages[:2])


def test_the_scheduler_waits_for_no_volume() -> None:
    (profile,) = json.loads(kwok.scheduler_configuration(API))["profiles"]
    assert {"name": "VolumeBinding"} in profile["plugins"]["multiPoint"]["disabled"]


def test_kwok_changes_nothing_of_where_the_other_programs_lie() -> None:
    """They take minutes to build, and few who build them want it."""
    assert versions.KWOK not in versions.ALL
    assert versions.version_key((versions.KWOK,)) != versions.version_key()
