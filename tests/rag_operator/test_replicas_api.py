"""Killed, doubled or taken away: whatever becomes of the operator's processes, a pipeline is made once."""

from __future__ import annotations

import json
import time

import pytest

from tests.rag_operator.served import Operator, Served, wait_until

pytestmark = pytest.mark.api
CHILDREN = 7


def test_killed_ten_times_it_makes_one_set_of_children_and_one_key(served: Served) -> None:
    """At moments spread over the making, which takes a second or so from the start of the process."""
    keys: set[str] = set()
    uids: dict[str, set[str]] = {}
    with served.operator("same-pod") as operator:
        wait_until(lambda: any(line["event"] == "leading" for line in operator.said()))
        for number in range(10):
            served.pipeline(f"p{number}")
            time.sleep(0.05 * number)
            operator.kill()
            operator.start()
            note(served, keys, uids)
        names = [f"p{number}" for number in range(10)]
        wait_until(lambda: all(len(served.children(name)) == CHILDREN for name in names), seconds=60)
        note(served, keys, uids)
        time.sleep(3)
        note(served, keys, uids)
    assert len(keys) == 10
    assert {child: len(found) for child, found in uids.items() if len(found) != 1} == {}
    assert len(uids) == 10 * CHILDREN


def note(served: Served, keys: set[str], uids: dict[str, set[str]]) -> None:
    """Every key and every object that there ever was."""
    selector = "app.kubernetes.io/managed-by=rag-operator"
    kinds = "configmaps,secrets,services,deployments.apps,statefulsets.apps"
    for body in json.loads(served.kubectl("get", kinds, "-l", selector, "-o", "json"))["items"]:
        meta = body["metadata"]
        uids.setdefault(f"{body['kind']} {meta['name']}", set()).add(meta["uid"])
        if body["kind"] == "Secret" and meta["name"].endswith("-keys"):
            keys.add(meta["name"] + body["data"]["admin"])


def holder(served: Served) -> str:
    lease = served.get("lease", "rag-operator")
    return str(lease["spec"].get("holderIdentity", "")) if lease else ""


def test_of_two_one_leads_and_the_other_takes_over(served: Served) -> None:
    with served.operator("first") as first:
        wait_until(lambda: holder(served) == "first", seconds=40)
        with served.operator("second") as second:
            wait_until(lambda: any(line["event"] == "standing by" for line in second.said()))
            served.pipeline("shared")
            wait_until(lambda: len(served.children("shared")) == CHILDREN)
            assert led(second) is False
            killed_at = time.monotonic()
            first.kill()
            wait_until(lambda: holder(served) == "second", seconds=40)
            assert time.monotonic() - killed_at < 25
            served.pipeline("after")
            wait_until(lambda: len(served.children("after")) == CHILDREN)
            first.start()


def led(operator: Operator) -> bool:
    return any(line["event"] == "leading" for line in operator.said())


def test_a_leader_that_was_frozen_does_not_come_back_as_one(served: Served) -> None:
    """Stopped past the end of its lease, it finds another one leading and ends itself."""
    with served.operator("frozen") as frozen, served.operator("heir") as heir:
        wait_until(lambda: holder(served) in {"frozen", "heir"}, seconds=40)
        leader, other = (frozen, heir) if holder(served) == "frozen" else (heir, frozen)
        leader.freeze()
        wait_until(lambda: holder(served) == other.name, seconds=40)
        leader.thaw()
        assert leader.process
        assert leader.process.wait(timeout=20) == 1
        assert holder(served) == other.name
        leader.start()
