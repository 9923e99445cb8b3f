"""The installed platform as the end-to-end tests see it: kubectl, and a pipeline's own HTTP service."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx

from tests.cluster import Cluster

ROOT = Path(__file__).resolve().parents[2]
T = TypeVar("T")
Object = dict[str, Any]

# A 2-core node cannot hold the default requests; the defaults themselves are asserted on the manifests.
SMALL = {"requests": {"cpu": "50m", "memory": "256Mi"}, "limits": {"memory": "2Gi"}}
FAST_PROBES = {
    name: {"initialDelaySeconds": 1, "periodSeconds": 2, "timeoutSeconds": 5, "failureThreshold": failures}
    for name, failures in (("startup", 90), ("readiness", 3), ("liveness", 5))
}


def pipeline(name: str, **spec: object) -> Object:
    """A RagPipeline that fits the test node; `spec` adds to it, or replaces."""
    small: Object = {
        "replicas": 1,
        "resources": SMALL,
        "probes": FAST_PROBES,
        "vectorStore": {"managed": {"storage": {"size": "1Gi"}, "resources": SMALL}},
    }
    return {
        "apiVersion": "ragops.dev/v1alpha1",
        "kind": "RagPipeline",
        "metadata": {"name": name},
        "spec": small | spec,
    }


def wait_for(what: str, check: Callable[[], T | None], *, seconds: float = 180, every: float = 0.5) -> T:
    """Poll until `check` gives something true; the last thing it gave is in the failure."""
    deadline = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s for {what}; last seen: {found!r}")
        time.sleep(every)


@dataclass(frozen=True)
class Namespace:
    """One namespace of the cluster, by kubectl."""

    cluster: Cluster
    name: str

    def kubectl(self, *args: str, **options: Any) -> str:
        return self.cluster.kubectl("-n", self.name, *args, **options)

    def apply(self, manifest: Object) -> None:
        self.kubectl("apply", "-f", "-", input=json.dumps(manifest))

    def get(self, kind: str, name: str) -> Object | None:
        """The object, or None where there is none."""
        found = self.kubectl("get", kind, name, "-o", "json", "--ignore-not-found")
        return json.loads(found) if found.strip() else None

    def list(self, kinds: str, selector: str = "") -> list[Object]:
        args = ["get", kinds, "-o", "json", *(["-l", selector] if selector else [])]
        items: list[Object] = json.loads(self.kubectl(*args))["items"]
        return items

    def condition(self, name: str, condition: str = "Ready") -> Object:
        """A pipeline's condition; one with an empty status where there is none yet."""
        found = self.get("ragpipeline", name) or {}
        conditions = found.get("status", {}).get("conditions", [])
        missing = {"status": "", "reason": "", "message": ""}
        return next((c for c in conditions if c["type"] == condition), missing)

    def wait_ready(self, name: str, *, seconds: float = 300) -> Object:
        def ready() -> Object | None:
            found = self.get("ragpipeline", name) or {}
            current = found.get("status", {}).get("observedGeneration") == found["metadata"]["generation"]
            return found if current and self.condition(name)["status"] == "True" else None

        try:
            return wait_for(f"{name} to be ready", ready, seconds=seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.describe()}") from None

    def describe(self) -> str:
        """What a person would look at first when something does not come up."""
        pods = self.kubectl("get", "ragpipelines,pods,pvc", "-o", "wide", check=False)
        events = self.kubectl("get", "events", "--sort-by=.lastTimestamp", check=False).splitlines()[-15:]
        logs = self.kubectl(
            "logs", "-l", "app.kubernetes.io/component=runtime", "--tail=20", "--all-containers", check=False
        )
        return "\n".join([pods, *events, logs])

    def secret(self, name: str) -> Mapping[str, str]:
        found = self.get("secret", name)
        assert found is not None, f"no secret {name}"
        return {key: base64.b64decode(value).decode() for key, value in found["data"].items()}

    @contextmanager
    def http(self, name: str, *, key: str | None = None) -> Iterator[httpx.Client]:
        """A client of a pipeline's Service, through kubectl port-forward, with the client key unless told."""
        token = key if key is not None else self.secret(f"{name}-client")["api-key"]
        command = ["kubectl", "-n", self.name, "port-forward", f"service/{name}", ":80"]
        with subprocess.Popen(command, env=self.cluster.env, stdout=subprocess.PIPE, text=True) as forward:
            try:
                assert forward.stdout is not None
                line = forward.stdout.readline()
                assert " from " in line, f"kubectl port-forward said {line!r}"
                address = line.split(" from ")[1].split(" ")[0]
                headers = {"Authorization": f"Bearer {token}"}
                with httpx.Client(base_url=f"http://{address}", headers=headers, timeout=120) as client:
                    yield client
            finally:
                forward.terminate()


def kill_container(namespace: Namespace, pod: Object) -> None:
    """SIGKILL to a container's own process, as a node out of memory would; by its id, nothing else is touched."""
    statuses = pod["status"].get("containerStatuses") or [{}]
    container = statuses[0].get("containerID", "").rpartition("/")[2]
    for entry in Path("/proc").iterdir() if container else ():
        if not entry.name.isdigit():
            continue
        try:
            mine = container in (entry / "cgroup").read_text()
        except OSError:
            continue  # ended meanwhile
        if mine:
            os.kill(int(entry.name), signal.SIGKILL)
            return
    # The node is not this machine's: the hardest thing that the API offers.
    namespace.kubectl("delete", "pod", pod["metadata"]["name"], "--force", "--grace-period=0")
