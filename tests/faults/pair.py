"""Two replicas of the operator, each behind a proxy of its own, on a control plane of their own."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import ClusterError, control_plane
from tests.conftest import prepare
from tests.faults.proxy import Fault, FaultProxy, Request, fault_proxy
from tests.faults.table import is_short
from tests.rag_operator.served import MADE, Body, Operator, Served, open_namespace, wait_until

NAMES = ("one", "two")
# The short form's is as short as a busy machine allows; the long form's is the operator's own.
LEASE_SECONDS = 6 if is_short else 15
DEAF_SECONDS = 10


@dataclass
class Pair:
    served: Served
    operators: dict[str, Operator]
    proxies: dict[str, FaultProxy]

    def leader(self) -> Operator:
        """Waits until there is one, and restarts what ended, as a kubelet would."""
        return self.operators[str(wait_until(self._holder, seconds=120, what="a leader"))]

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

    def unruled(self) -> None:
        self.rule(lambda _: None)

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

    def apply(self, name: str, *, until: float) -> None:
        """As a user does whose server may not answer: again and again."""
        meta = f"{{name: {name}, namespace: {self.served.namespace}}}"
        text = f"apiVersion: ragops.dev/v1alpha1\nkind: RagPipeline\nmetadata: {meta}\nspec: {{}}\n"
        while True:
            try:
                self.served.kubectl("apply", "--request-timeout=3s", "-f", "-", input=text)
            except ClusterError:
                if time.monotonic() > until:
                    return
                time.sleep(0.5)
            else:
                return

    def wait_whole(self, name: str) -> None:
        """As long as it takes, with replicas that are started again whenever they end."""
        wait_until(lambda: self._is_whole(name), seconds=180, what=f"all of {name}")

    def _is_whole(self, name: str) -> bool:
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

    def identities(self, name: str) -> Body:
        """Each child with its uid, and each key."""
        found = {child: body["metadata"]["uid"] for child, body in self.served.children(name).items()}
        keys = ("admin", "client", "operator", "qdrant") if f"Secret {name}-keys" in found else ()
        return found | {f"key {key}": self.served.key(name, key) for key in keys}


@contextmanager
def open_pair(folder: Path) -> Iterator[Pair]:
    with ExitStack() as stack:
        cluster = stack.enter_context(control_plane(controller_manager=True, audit=True))
        prepare(cluster)
        served = open_namespace(cluster, "troubled", folder)
        pair = Pair(served, {}, {})
        environ = {"DEAF_SECONDS": str(DEAF_SECONDS), "LEASE_SECONDS": str(LEASE_SECONDS)}
        for name in NAMES:
            kubeconfig = folder / f"kubeconfig-{name}"
            shutil.copy(folder / "kubeconfig", kubeconfig)
            pair.proxies[name] = stack.enter_context(fault_proxy(cluster, kubeconfig))
            operator = served.operator(name, KUBECONFIG=str(kubeconfig), **environ)
            pair.operators[name] = stack.enter_context(operator)
        yield pair
