"""The files that the servers read. Pure: JSON wherever the reader takes YAML, for JSON is YAML."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path

from tests.cluster.addresses import Addresses

PAUSE_IMAGE = "localhost/ragops-pause:1"
CNI_FOLDERS = ("/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni")


def kubeconfig(url: str, authority: bytes, certificate: bytes, key: bytes) -> str:
    def encoded(data: bytes) -> str:
        return base64.b64encode(data).decode()

    cluster = {"server": url, "certificate-authority-data": encoded(authority)}
    user = {"client-certificate-data": encoded(certificate), "client-key-data": encoded(key)}
    return _json(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "ragops", "cluster": cluster}],
            "users": [{"name": "ragops", "user": user}],
            "contexts": [{"name": "ragops", "context": {"cluster": "ragops", "user": "ragops"}}],
            "current-context": "ragops",
        }
    )


def audit_policy() -> str:
    rule = {"level": "Metadata", "omitStages": ["RequestReceived"]}
    return _json({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [rule]})


def cni(addresses: Addresses, folder: Path) -> str:
    """Point-to-point links rather than a bridge.

    Two pods on one bridge answer each other past the node's connection tracking, so a reply to a Service address would
    keep the pod's own, unless the kernel has br_netfilter.
    """
    ranges = [[{"subnet": str(addresses.pods), "rangeStart": str(addresses.pods[2])}]]
    ipam = {"type": "host-local", "ranges": ranges, "routes": [{"dst": "0.0.0.0/0"}], "dataDir": f"{folder}/cni/leases"}
    plugins = [
        {"type": "ptp", "ipMasq": False, "ipam": ipam},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    return _json({"cniVersion": "1.0.0", "name": "pods", "plugins": plugins})


def containerd(folder: Path) -> str:
    """Root and sockets of its own; `state` lies on the node's private /run.

    restrict_oom_score_adj: root without CAP_SYS_RESOURCE may not lower that score, and runc then dies while it makes a
    sandbox ("can't get final child's PID from pipe: EOF").
    """
    return f"""version = 3
root = "{folder}/containerd"
state = "/run/containerd"

[grpc]
  address = "{folder}/containerd.sock"

[plugins.'io.containerd.internal.v1.opt']
  path = "{folder}/containerd/opt"

[plugins.'io.containerd.nri.v1.nri']
  disable = true

[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "{PAUSE_IMAGE}"

[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true

[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = {json.dumps(list(CNI_FOLDERS))}
  conf_dir = "{folder}/cni"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
"""


def kubelet(folder: Path, addresses: Addresses, cgroup: str) -> str:
    """failCgroupV1: some machines offer nothing newer. Thresholds: a nearly full disk must not evict a test's pods."""
    pki = f"{folder}/pki"
    settings: Mapping[str, object] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": f"unix://{folder}/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDNS": [addresses.node],
        "clusterDomain": "cluster.local",
        "resolvConf": f"{folder}/resolv.conf",
        "volumePluginDir": f"{folder}/volume-plugins",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{pki}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{pki}/node.crt",
        "tlsPrivateKeyFile": f"{pki}/node.key",
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
    }
    return _json(settings)


def corefile(addresses: Addresses, admin_kubeconfig: Path) -> str:
    return f""".:53 {{
    bind {addresses.node}
    errors
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {admin_kubeconfig} ragops
        pods insecure
        ttl 5
    }}
}}
"""


def _json(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"
