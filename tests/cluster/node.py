"""What happens in a node's namespaces, as data: commands to prepare them, and the servers to run. Pure."""

import sys
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import configs, servers
from tests.cluster.addresses import Addresses, host_interface
from tests.cluster.needs import EVERYWHERE
from tests.cluster.servers import ApiServer, Words

INTERFACE = "eth0"
# Folders whose place is compiled into the kubelet or the CNI library, and where each node has its own instead.
IN_MEMORY_FROM_KB = 12 * 1024 * 1024
PRIVATE_FOLDERS = {"/var/lib/kubelet": "kubelet", "/var/lib/cni": "cni-state", "/var/log": "var-log"}


@dataclass(frozen=True)
class Node:
    """One node: what it is called, where it is reached, which API server it runs beside."""

    cluster: str
    addresses: Addresses
    api: ApiServer
    images_in_memory: bool = False

    @property
    def name(self) -> str:
        return f"ragops-{self.cluster}"

    @property
    def cgroup(self) -> str:
        return f"ragops-{self.cluster}"

    @property
    def folder(self) -> Path:
        return self.api.folder


def has_memory_to_spare(meminfo: str) -> bool:
    """Whether unpacked images may live in memory: thousands of small files take seconds on a disk, and none there."""
    available = next((line.split()[1] for line in meminfo.splitlines() if line.startswith("MemAvailable:")), "0")
    return int(available) >= IN_MEMORY_FROM_KB


def folders(node: Node) -> list[Path]:
    names = ("log", "cni", "containerd", "volumes", "volume-plugins", *PRIVATE_FOLDERS.values())
    return [node.folder / name for name in names]


def links(node: Node) -> list[Words]:
    """Run on the host once the namespaces exist; {pid} is a process in them."""
    interface, where = host_interface(node.cluster), node.addresses
    return [
        f"ip link add {interface} type veth peer name {INTERFACE} netns {{pid}}".split(),
        f"ip address add {where.host}/{where.link.prefixlen} dev {interface}".split(),
        f"ip link set {interface} up".split(),
        f"ip route add {where.pods} via {where.node} dev {interface}".split(),
        f"ip route add {where.services} via {where.node} dev {interface}".split(),
    ]


def unlinks(node: Node) -> list[Words]:
    """Run on the host at the end, and before a start. The link goes with its namespace, but a socket that still
    waits for its last packet keeps that for a minute, and the next cluster of this name cannot have the link."""
    return [f"ip link delete {host_interface(node.cluster)}".split()]


def setup(node: Node) -> list[Words]:
    """Run in the namespaces before any server."""
    where = node.addresses
    network = [
        ["ip", "link", "set", "lo", "up"],
        f"ip address add {where.node}/{where.link.prefixlen} dev {INTERFACE}".split(),
        f"ip link set {INTERFACE} up".split(),
        # Only the host is out there; it answers for its own addresses and forwards nothing.
        f"ip route add default via {where.host}".split(),
        ["sysctl", "--quiet", "--write", "net.ipv4.ip_forward=1"],
    ]
    mounts = [["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"]]
    mounts += [["mount", "--bind", str(node.folder / own), place] for place, own in PRIVATE_FOLDERS.items()]
    if node.images_in_memory:
        mounts.append(["mount", "-t", "tmpfs", "-o", "size=40%,mode=711", "tmpfs", str(node.folder / "containerd")])
    return network + mounts


def first_commands(node: Node) -> dict[str, Words]:
    """The servers that need no other, or try again at once."""
    return {
        "etcd": servers.etcd(node.api),
        "kube-apiserver": servers.kube_apiserver(node.api),
        "containerd": servers.containerd(node.api),
    }


def api_clients(node: Node) -> dict[str, Words]:
    """The servers that wait for the API server."""
    api, pods = node.api, node.addresses.pods
    return {
        "kubelet": servers.kubelet(api, node.name),
        "kube-controller-manager": servers.kube_controller_manager(api, 10257, pods),
        "kube-scheduler": servers.kube_scheduler(api),
        "kube-proxy": servers.kube_proxy(api, node.name, pods),
        "coredns": servers.coredns(api),
        "recycler": [sys.executable, "-m", "tests.cluster.recycler", api.address, str(api.port), str(api.pki)],
    }


def files(node: Node) -> dict[str, str]:
    """The configuration files, by name in the cluster's folder."""
    return {
        "containerd.toml": configs.containerd(node.folder),
        "kubelet.json": configs.kubelet(node.folder, node.addresses, node.cgroup),
        "cni/10-pods.conflist": configs.cni(node.addresses, node.folder),
        "Corefile": configs.corefile(node.addresses, node.api.admin_kubeconfig),
        "resolv.conf": "",
    }


def plan(node: Node) -> dict[str, object]:
    """For `supervise`, in the namespaces."""
    api = [node.api.address, node.api.port]
    first = [{"name": name, "command": words, "after": None} for name, words in first_commands(node).items()]
    then = [{"name": name, "command": words, "after": api} for name, words in api_clients(node).items()]
    return {
        "setup": setup(node),
        "servers": first + then,
        "logs": str(node.folder / "log"),
        "env": {"PATH": f"{node.api.bin}:{EVERYWHERE}", "HOME": str(node.folder)},
        "remove": None,
    }
