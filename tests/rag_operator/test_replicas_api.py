"""Killed, doubled or taken away: whatever becomes of the operator's processes, a pipeline is made once."""

from __future__ import annotations

import itertools
import json
import shutil
import threading
import time
from functools import partial
from typing import Any

import pytest

from tests.faults import Fault, FaultProxy, Request, fault_proxy
from tests.rag_operator.served import KINDS, MADE, Operator, Served, wait_until

pytestmark = pytest.mark.api
CHILDREN = len(MADE)


KILLS, AT_ONCE = 10, 4


def test_killed_ten_times_while_creating_it_makes_one_set_of_children_and_one_key(served: Served) -> None:
    """Each time a little later: with as many writes done as it was killed before, and all others refused."""
    seen: dict[str, set[str]] = {}
    kubeconfig = served.folder / "through-the-proxy"
    shutil.copy(served.folder / "kubeconfig", kubeconfig)
    with (
        fault_proxy(served.cluster, kubeconfig) as proxy,
        served.operator("same-pod", KUBECONFIG=str(kubeconfig)) as it,
    ):
        for kill in range(KILLS):
            wait_until(partial(has_led, it, kill + 1), seconds=60)
            refused = refuse_after(proxy, writes=kill + 1)
            served.apply(*(pipeline(served, f"p{kill}-{number}") for number in range(AT_ONCE)))
            assert refused.wait(60)
            it.kill()
            proxy.rule = lambda _: None
            assert len(note(served, seen, f"p{kill}-")) < AT_ONCE * CHILDREN
            it.start()
        wait_until(lambda: len(note(served, seen)) == KILLS * AT_ONCE * CHILDREN, seconds=60)
    assert {name: values for name, values in seen.items() if len(values) > 1} == {}


def refuse_after(proxy: FaultProxy, *, writes: int) -> threading.Event:
    """Let that many writes through and no more; set at the first that is refused."""
    turn, refused = itertools.count(1), threading.Event()

    def rule(request: Request) -> Fault | None:
        if not request.is_write or request.is_lease or next(turn) <= writes:
            return None
        refused.set()
        return Fault(status=503)

    proxy.rule = rule
    return refused


def pipeline(served: Served, name: str) -> dict[str, Any]:
    meta = {"name": name, "namespace": served.namespace}
    return {"apiVersion": "ragops.dev/v1alpha1", "kind": "RagPipeline", "metadata": meta, "spec": {}}


def has_led(operator: Operator, times: int) -> bool:
    return [line["event"] for line in operator.said()].count("leading") >= times


def note(served: Served, seen: dict[str, set[str]], prefix: str = "") -> list[str]:
    """Add each object's identity, and each key, to those ever seen by its name; what there is now with this prefix."""
    selector = "app.kubernetes.io/managed-by=rag-operator"
    bodies = json.loads(served.kubectl("get", KINDS, "-l", selector, "-o", "json"))["items"]
    for body in bodies:
        meta = body["metadata"]
        name = f"{meta['name']} {body['kind']}"
        seen.setdefault(name, set()).add(meta["uid"])
        for key, value in body["data"].items() if meta["name"].endswith("-keys") else ():
            seen.setdefault(f"{name} {key}", set()).add(value)
    return [name for body in bodies if (name := body["metadata"]["name"]).startswith(prefix)]


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
            assert not has_led(second, 1)
            killed_at = time.monotonic()
            first.kill()
            wait_until(lambda: holder(served) == "second", seconds=40)
            assert time.monotonic() - killed_at < 25
            served.pipeline("after")
            wait_until(lambda: len(served.children("after")) == CHILDREN)
            first.start()


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


def test_a_namespace_that_was_deleted_keeps_the_operator_from_no_other(served: Served) -> None:
    """Its Role went with it. The one that is left is served by a new process too, and watched."""
    with served.operator("bereft", also=["gone"]) as operator:
        wait_until(partial(has_led, operator, 1), seconds=40)
        served.pipeline("left")
        wait_until(lambda: len(served.children("left")) == CHILDREN)
        served.kubectl("delete", "service", "left")
        wait_until(lambda: served.get("service", "left"))
        assert any(line.get("namespace") == "gone" for line in operator.said())
