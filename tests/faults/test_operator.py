"""Two replicas of the operator, and everything that can befall them, their network and their API server.

In each run a pipeline is applied while something is broken. How long after its end is all as declared? And whatever
happened: one writer at a time, nothing twice, nothing left over, no secret told.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster import Cluster, ClusterError, control_plane
from tests.conftest import ROOT, STORAGE_CLASS
from tests.faults import Fault, FaultProxy, Request, audit, fault_proxy
from tests.faults.table import RUNS, Table, is_short, repeated
from tests.rag_operator.served import MADE, Operator, Served, open_namespace, wait_until

pytestmark = [pytest.mark.faults, pytest.mark.api]
TABLE = Table("operator-faults", ("fault", "run", "broken for s", "whole after s"))
SUMMARY = Table("operator-faults-summary", ("fault", "runs", "median s", "most s"))
TAKEN: defaultdict[str, list[float]] = defaultdict(list)
NAMES = ("one", "two")
# A replica that cannot renew gives up after 10 s, and its lease ends after 15.
LONG = 20.0
AWAY = 8.0 if is_short else 120.0


@dataclass
class Pair:
    """Both replicas, each behind a proxy of its own, on a control plane of their own."""

    served: Served
    operators: dict[str, Operator]
    proxies: dict[str, FaultProxy]

    def leader(self) -> str:
        """Waits until there is one, and restarts what ended, as a kubelet would."""
        self.keep_alive()
        return str(wait_until(self._holder, seconds=90, what="a leader"))

    def _holder(self) -> str:
        self.keep_alive()
        try:
            lease = self.served.get("lease", "rag-operator")
        except ClusterError:
            return ""
        holder = str((lease or {"spec": {}})["spec"].get("holderIdentity", ""))
        return holder if holder in NAMES else ""

    def keep_alive(self) -> None:
        for operator in self.operators.values():
            assert operator.process
            if operator.process.poll() is not None:
                operator.start()

    def rule(self, rule: Callable[[Request], Fault | None], *names: str) -> None:
        for name in names or NAMES:
            self.proxies[name].rule = rule

    def pid(self, program: str) -> int:
        """Of a server of this control plane."""
        folder = str(self.served.cluster.kubeconfig.parent)
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_bytes().decode().split("\0")
            except OSError:
                continue
            if words[0].endswith(f"/{program}") and any(folder in word for word in words):
                return int(process.name)
        raise AssertionError(f"{program} does not run")

    def is_whole(self, name: str) -> bool:
        self.keep_alive()
        try:
            body = self.served.get("ragpipeline", name)
            children = self.served.children(name)
        except ClusterError:
            return False
        status = (body or {}).get("status", {})
        judged = {each["type"]: each for each in status.get("conditions", [])}
        return (
            bool(body)
            and children.keys() == {child.format(name) for child in MADE}
            and status.get("observedGeneration") == (body or {})["metadata"]["generation"]
            and judged["Ready"]["reason"] == "Progressing"
        )


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with ExitStack() as stack:
        cluster: Cluster = stack.enter_context(control_plane(controller_manager=True, audit=True))
        cluster.kubectl("apply", "-f", str(ROOT / "crds"))
        cluster.kubectl("wait", "--for=condition=Established", "crd/ragpipelines.ragops.dev", "--timeout=30s")
        cluster.kubectl("apply", "-f", "-", input=STORAGE_CLASS)
        served = open_namespace(cluster, "troubled", tmp_path_factory.mktemp("troubled"))
        pair = Pair(served, {}, {})
        for name in NAMES:
            kubeconfig = served.folder / f"kubeconfig-{name}"
            shutil.copy(served.folder / "kubeconfig", kubeconfig)
            pair.proxies[name] = stack.enter_context(fault_proxy(cluster, kubeconfig))
            operator = served.operator(name, KUBECONFIG=str(kubeconfig), DEAF_SECONDS="15")
            pair.operators[name] = stack.enter_context(operator)
        yield pair


Undo = Callable[[], None]
Break = Callable[[Pair], Undo]


def nothing() -> None:
    pass


def kill_the_leader(pair: Pair) -> Undo:
    pair.operators[pair.leader()].kill()
    return nothing


def freeze_the_leader(pair: Pair) -> Undo:
    frozen = pair.operators[pair.leader()]
    frozen.freeze()
    return frozen.thaw


def cut_the_leader_off(pair: Pair) -> Undo:
    pair.rule(lambda _: Fault(cut=True), pair.leader())
    return lambda: pair.rule(lambda _: None)


def kill_after_a_write(pair: Pair) -> Undo:
    """Another write each time."""
    leader, writes, number = pair.leader(), itertools.count(1), 1 + len(TAKEN["killed after a write"]) % len(MADE)

    def rule(request: Request) -> Fault | None:
        if not request.is_write or request.is_lease or next(writes) != number:
            return None
        return Fault(cut=True, after=pair.operators[leader].kill)

    pair.rule(rule, leader)
    return lambda: pair.rule(lambda _: None)


def restart_the_server(pair: Pair) -> Undo:
    os.kill(pair.pid("kube-apiserver"), signal.SIGKILL)
    return nothing


def take_the_server_away(pair: Pair) -> Undo:
    pair.rule(lambda _: Fault(status=503))
    return lambda: pair.rule(lambda _: None)


def freeze(program: str) -> Break:
    def begin(pair: Pair) -> Undo:
        pid = pair.pid(program)
        os.kill(pid, signal.SIGSTOP)
        return lambda: os.kill(pid, signal.SIGCONT)

    return begin


def every_other(fault: Fault) -> Break:
    def begin(pair: Pair) -> Undo:
        turn = itertools.count()
        pair.rule(lambda _: fault if next(turn) % 2 else None)
        return lambda: pair.rule(lambda _: None)

    return begin


def deafen(pair: Pair) -> Undo:
    """Streams that are open fall silent, as do new ones: they are cut so that new ones must be opened."""
    pair.rule(lambda request: Fault(deaf=True) if request.is_watch else None)
    for operator in pair.operators.values():
        operator.kill()
    pair.keep_alive()
    return lambda: pair.rule(lambda _: None)


FAULTS: dict[str, tuple[Break, float]] = {
    "leader killed": (kill_the_leader, 0),
    "leader frozen": (freeze_the_leader, LONG),
    "leader cut off": (cut_the_leader_off, LONG),
    "killed after a write": (kill_after_a_write, 3),
    "API server killed": (restart_the_server, 0),
    "API server away": (take_the_server_away, AWAY),
    "etcd frozen": (freeze("etcd"), 6),
    "API server frozen": (freeze("kube-apiserver"), 6),
    "slow by 2 s": (every_other(Fault(delay_seconds=2)), 8),
    "500": (every_other(Fault(status=500)), 8),
    "429": (every_other(Fault(status=429, retry_after=1)), 8),
    "410": (every_other(Fault(status=410)), 8),
    "409": (every_other(Fault(status=409)), 8),
    "answers cut off": (every_other(Fault(cut=True)), 8),
    "watches deaf": (deafen, 8),
}


@repeated
@pytest.mark.parametrize("fault", FAULTS)
def test_a_pipeline_applied_in_trouble_is_whole_soon_after(pair: Pair, fault: str, run: int) -> None:
    begin, seconds = FAULTS[fault]
    name = f"r{run}-{fault.lower().replace(' ', '-')}"
    pair.leader()
    undo = begin(pair)
    began = time.monotonic()
    try:
        apply(pair, name, until=began + seconds)
        time.sleep(max(0.0, began + seconds - time.monotonic()))
    finally:
        undo()
    ended = time.monotonic()
    apply(pair, name, until=ended + 30)
    wait_until(lambda: pair.is_whole(name), seconds=120, what=f"all of {name}")
    TAKEN[fault].append(time.monotonic() - ended)
    TABLE.add(fault, run, f"{ended - began:.1f}", f"{TAKEN[fault][-1]:.1f}")


def apply(pair: Pair, name: str, *, until: float) -> None:
    """As a user does whose server may not answer: again and again."""
    while True:
        meta = f"{{name: {name}, namespace: {pair.served.namespace}}}"
        text = f"apiVersion: ragops.dev/v1alpha1\nkind: RagPipeline\nmetadata: {meta}\nspec: {{}}\n"
        try:
            pair.served.kubectl("apply", "--request-timeout=3s", "-f", "-", input=text)
        except ClusterError:
            if time.monotonic() > until:
                return
            time.sleep(0.5)
        else:
            return


def test_a_process_that_hears_nothing_more_ends_itself(pair: Pair) -> None:
    leader = pair.leader()
    pair.rule(lambda request: Fault(deaf=True) if request.is_watch else None, leader)
    # Those streams that are open already come to their end with the connections they are on.
    process = pair.operators[leader].process
    pair.operators[leader].kill()
    pair.keep_alive()
    process = pair.operators[leader].process
    other = next(name for name in NAMES if name != leader)
    pair.rule(lambda request: Fault(deaf=True) if request.is_watch else None, other)
    pair.operators[other].kill()
    try:
        assert process
        assert process.wait(timeout=90) == 1
        assert any("no watch brought" in str(line) for line in pair.operators[leader].said())
    finally:
        pair.rule(lambda _: None)
        pair.keep_alive()


def test_in_all_that_one_wrote_at_a_time_and_nothing_was_made_twice(pair: Pair) -> None:
    log = pair.served.cluster.audit_log
    assert log
    writes = audit.read_writes(log)
    lease = pair.served.get("lease", "rag-operator")
    assert lease
    assert {write.replica for write in writes} == set(NAMES)
    assert len(audit.turns(writes)) <= lease["spec"]["leaseTransitions"] + 1
    assert audit.made_twice(writes) == []


def test_in_all_that_nothing_is_left_over_and_no_secret_was_told(pair: Pair) -> None:
    served = pair.served
    pipelines = {body["metadata"]["name"]: body for body in served.everything("ragpipelines")}
    children = served.everything("configmaps,services,deployments.apps,statefulsets.apps")
    owners = {owner["uid"] for body in children for owner in body["metadata"].get("ownerReferences", [])}
    assert owners == {body["metadata"]["uid"] for body in pipelines.values()}
    secrets = [served.key(name, key) for name in pipelines for key in ("admin", "client", "operator", "qdrant")]
    assert len(secrets) == len(set(secrets))
    told = served.kubectl("get", "events,ragpipelines,configmaps", "-o", "json")
    told += "".join(operator.log.read_text() for operator in pair.operators.values())
    assert not [secret for secret in secrets if secret in told]
    assert [line for operator in pair.operators.values() for line in operator.said() if line["event"] == "failed"] == []


def test_the_table_is_summed_up() -> None:
    for fault, taken in TAKEN.items():
        SUMMARY.add(fault, len(taken), f"{statistics.median(taken):.1f}", f"{max(taken):.1f}")
    assert all(len(taken) <= RUNS for taken in TAKEN.values())
