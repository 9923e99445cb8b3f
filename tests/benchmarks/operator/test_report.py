from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from benchmarks.operator import audit, processes, report


def test_the_servers_share_is_that_of_all_cpu_time() -> None:
    assert report.share({"kube-apiserver": 5, "etcd": 1, "rag-operator": 2}) == pytest.approx(0.75)


def test_an_audit_log_is_read_on_and_only_of_one_user(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text(entry("get", "pods") + entry("patch", "leases") + entry("get", "pods", user="another"))
    reading = audit.AuditLog(log, "me")
    assert reading.since() == {("get", "pods"): 1, ("patch", "leases"): 1}
    with log.open("a") as more:
        more.write(entry("patch", "ragpipelines", subresource="status") + entry("get", "pods").rstrip())
    assert reading.since() == {("patch", "ragpipelines/status"): 1}


def test_the_lease_counts_for_nothing() -> None:
    asked: audit.Asked = audit.Counter({("update", "leases"): 9, ("patch", "pods"): 2, ("get", "pods"): 5})
    assert (audit.count(asked, audit.WRITES), audit.count(asked, audit.READS)) == (2, 5)


def entry(verb: str, resource: str, user: str = "me", **of: str) -> str:
    ref = {"resource": resource, **of}
    whole = {"stage": "ResponseComplete", "user": {"username": user}, "verb": verb, "objectRef": ref}
    return json.dumps(whole | {"requestURI": "/"}) + "\n"


def test_a_process_has_used_some_time_and_memory() -> None:
    pid = os.getpid()
    assert processes.cpu_seconds(pid) > 0
    assert processes.memory_megabytes(pid, "VmHWM") >= processes.memory_megabytes(pid) > 1
