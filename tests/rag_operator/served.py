"""A namespace of the real API server, and operators that serve it as a user would run them: a process, few rights."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from rag_operator import kube
from tests.cluster import Cluster, ClusterError
from tests.faults import audit

ROOT = Path(__file__).parents[2]
KINDS = (
    "configmaps,secrets,services,serviceaccounts,networkpolicies.networking.k8s.io,deployments.apps,statefulsets.apps,"
    "horizontalpodautoscalers.autoscaling,poddisruptionbudgets.policy,ingresses.networking.k8s.io"
)
# What becomes of an empty spec.
MADE = {
    "ConfigMap {}",
    "Secret {}-keys",
    "Secret {}-client",
    "Service {}",
    "Service {}-qdrant",
    "Service {}-qdrant-headless",
    "ServiceAccount {}",
    "ServiceAccount {}-qdrant",
    "NetworkPolicy {}",
    "NetworkPolicy {}-qdrant",
    "StatefulSet {}-qdrant",
    "Deployment {}",
}
# For an operator that serves all namespaces.
EVERYWHERE = "*"
Body = dict[str, Any]


def wait_until(is_so: Callable[[], Any], *, seconds: float = 120, what: str = "it") -> Any:
    """The first true value."""
    ends_at = time.monotonic() + seconds
    while not (found := is_so()):
        assert time.monotonic() < ends_at, f"{what} did not come about in {seconds} s"
        time.sleep(0.1)
    return found


def rules(table: Any) -> list[Body]:
    return [
        {"apiGroups": [group], "resources": [resource], "verbs": sorted(verbs)}
        for (group, resource), verbs in table.items()
    ]


@dataclass
class Served:
    """A namespace, with helpers that act as its user and as its kubelet."""

    cluster: Cluster
    namespace: str
    folder: Path
    started: list[Operator] = field(default_factory=list)

    def kubectl(self, *words: str, input: str | None = None, check: bool = True) -> str:  # noqa: A002
        return self.cluster.kubectl("-n", self.namespace, *words, input=input, check=check)

    def apply(self, *bodies: Body) -> None:
        self.kubectl("apply", "-f", "-", input=yaml.safe_dump_all(bodies))

    def pipeline(self, name: str, **spec: Any) -> None:
        meta = {"name": name, "namespace": self.namespace}
        self.apply({"apiVersion": "ragops.dev/v1alpha1", "kind": "RagPipeline", "metadata": meta, "spec": spec})

    def get(self, kind: str, name: str) -> Body | None:
        text = self.kubectl("get", kind, name, "-o", "json", "--ignore-not-found")
        return dict(json.loads(text)) if text else None

    def owned(self, kinds: str, pipeline: str) -> list[Body]:
        selector = f"app.kubernetes.io/instance={pipeline},app.kubernetes.io/managed-by=rag-operator"
        return list(json.loads(self.kubectl("get", kinds, "-l", selector, "-o", "json"))["items"])

    def everything(self, kinds: str) -> list[Body]:
        """That operators made, or that is theirs to serve."""
        selector = [] if kinds == "ragpipelines" else ["-l", "app.kubernetes.io/managed-by=rag-operator"]
        return list(json.loads(self.kubectl("get", kinds, *selector, "-o", "json"))["items"])

    def children(self, pipeline: str) -> dict[str, Body]:
        return {f"{child['kind']} {child['metadata']['name']}": child for child in self.owned(KINDS, pipeline)}

    def patch(self, kind: str, name: str, patch: Body, *words: str) -> None:
        self.kubectl("patch", kind, name, "--type=merge", "-p", json.dumps(patch), *words)

    def condition(self, pipeline: str, type_: str = "Ready") -> tuple[str, str]:
        """Status and reason; empty where there is none yet."""
        body = self.get("ragpipeline", pipeline) or {}
        for condition in body.get("status", {}).get("conditions", []):
            if condition["type"] == type_:
                return condition["status"], condition["reason"]
        return "", ""

    def message(self, pipeline: str, type_: str = "Ready") -> str:
        body = self.get("ragpipeline", pipeline) or {}
        conditions = body.get("status", {}).get("conditions", [])
        return next((str(each["message"]) for each in conditions if each["type"] == type_), "")

    def wait_for(self, pipeline: str, type_: str, status: str, reason: str, *, seconds: float = 120) -> None:
        def is_so() -> bool:
            return self.condition(pipeline, type_) == (status, reason)

        try:
            wait_until(is_so, seconds=seconds, what=f"{type_}={status} {reason}")
        except AssertionError as late:
            now = f"{self.condition(pipeline, type_)} {self.message(pipeline, type_)}"
            raise AssertionError(f"{late}: it is {now}") from None

    def key(self, pipeline: str, name: str = "admin") -> str:
        secret = self.get("secret", f"{pipeline}-keys")
        assert secret
        return base64.b64decode(secret["data"][name]).decode()

    def pods(self, pipeline: str, component: str) -> list[Body]:
        """Those that the real controllers made."""
        found = self.owned("pods", pipeline)
        return [pod for pod in found if pod["metadata"]["labels"]["app.kubernetes.io/component"] == component]

    def play_kubelet(self, pod: Body, *, ready: bool, **container: Any) -> None:
        """Report of a pod what the kubelet of its node would."""
        name = pod["spec"]["containers"][0]["name"]
        state = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
        reported = {"name": name, "ready": ready, "restartCount": 0, "image": "i", "imageID": "i", "state": state}
        conditions = [{"type": type_, "status": str(ready)} for type_ in ("Ready", "ContainersReady")]
        status = {
            "phase": "Running" if ready else "Pending",
            "conditions": conditions,
            "containerStatuses": [reported | container],
        }
        self.patch("pod", pod["metadata"]["name"], {"status": status}, "--subresource=status")

    def make_ready(self, pipeline: str) -> None:
        """Until it is Ready, for pods of the spec before may still be about."""

        def is_ready() -> bool:
            for component in ("qdrant", "runtime"):
                for pod in self.pods(pipeline, component):
                    # One of the spec before may go between the look and the report.
                    with suppress(ClusterError):
                        self.play_kubelet(pod, ready=True, started=True)
            return self.condition(pipeline) == ("True", "Reconciled")

        wait_until(is_ready, what=f"{pipeline} to be Ready")

    def quiet(self, operator: Operator, seconds: float) -> list[audit.Write]:
        """What an operator writes in so many seconds."""
        log = self.cluster.audit_log
        assert log
        before = len(audit.read_writes(log))
        time.sleep(seconds)
        return [write for write in audit.read_writes(log)[before:] if write.replica == operator.name]

    @contextmanager
    def operator(self, name: str = "operator", *, also: Sequence[str] = (), **environ: str) -> Iterator[Operator]:
        """An operator for the block; `name` is that of its pod, `also` are more namespaces for it to serve."""
        process = Operator(self, name, environ, also)
        process.start()
        self.started.append(process)
        try:
            yield process
        finally:
            process.end()


@dataclass
class Operator:
    """`rag-operator run` as a process of its own, with a service account that has the promised rights and no more."""

    served: Served
    name: str
    environ: dict[str, str]
    also: Sequence[str] = ()
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self.served.folder / f"{self.name}.log"

    def start(self) -> None:
        environ = {
            **os.environ,
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'operator'}",
            "KUBECONFIG": str(self.served.folder / "kubeconfig"),
            "POD_NAME": self.name,
            "RESYNC_SECONDS": "2",
            **self.environ,
        }
        namespace = self.served.namespace
        flags = [f"--namespace={each}" for each in (*self.also, namespace)]
        flags = ["--all-namespaces"] if EVERYWHERE in self.also else flags
        flags += [f"--lease-namespace={namespace}", f"--health-port={self.environ.get('HEALTH_PORT', 0)}"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "rag_operator", "run", *flags], env=environ, stdout=log, stderr=log
            )

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait(timeout=10)

    def freeze(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGCONT)

    def end(self) -> int:
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=40)

    def said(self) -> list[Body]:
        lines = self.log.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]


def open_namespace(cluster: Cluster, name: str, folder: Path) -> Served:
    """With the `restricted` standard enforced, so that a pod which breaks it is never made."""
    cluster.kubectl("create", "namespace", name)
    cluster.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    served = Served(cluster, name, folder)
    grant(served, kube.PERMISSIONS)
    token = served.kubectl("create", "token", "operator", "--duration=1h").strip()
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": token}}]
    (folder / "kubeconfig").write_text(yaml.safe_dump(config))
    return served


def grant(served: Served, permissions: Any) -> None:
    account = {"kind": "ServiceAccount", "name": "operator", "namespace": served.namespace}
    meta = {"name": "operator", "namespace": served.namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "operator"}
    served.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": meta,
            "rules": [*rules(permissions), *rules(kube.LEASE_PERMISSIONS)],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": meta,
            "roleRef": role,
            "subjects": [account],
        },
    )
