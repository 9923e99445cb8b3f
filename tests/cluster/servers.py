"""The command line of every server of a cluster. Pure: paths and addresses in, words out."""

from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

Words = list[str]


@dataclass(frozen=True)
class ApiServer:
    """Where one API server and its etcd live."""

    bin: Path
    folder: Path
    address: str
    port: int
    etcd_port: int
    etcd_peer_port: int
    services: IPv4Network
    audit: bool = False

    @property
    def pki(self) -> Path:
        return self.folder / "pki"

    @property
    def url(self) -> str:
        return f"https://{self.address}:{self.port}"

    @property
    def admin_kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def audit_log(self) -> Path:
        return self.folder / "log" / "audit.log"


def etcd(api: ApiServer) -> Words:
    client, peer = (f"http://127.0.0.1:{port}" for port in (api.etcd_port, api.etcd_peer_port))
    return [
        f"{api.bin}/etcd",
        f"--data-dir={api.folder}/etcd",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        # Nobody needs a test's data after a power cut, and disks shared by many machines are slow to sync.
        "--unsafe-no-fsync",
    ]


def kube_apiserver(api: ApiServer) -> Words:
    pki = api.pki
    words = [
        f"{api.bin}/kube-apiserver",
        f"--etcd-servers=http://127.0.0.1:{api.etcd_port}",
        f"--bind-address={api.address}",
        f"--advertise-address={api.address}",
        f"--secure-port={api.port}",
        f"--service-cluster-ip-range={api.services}",
        f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key",
        f"--client-ca-file={pki}/ca.crt",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={pki}/sa.pub",
        f"--service-account-signing-key-file={pki}/sa.key",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        "--profiling=false",
        *_aggregation(pki),
        *_towards_kubelets(pki),
    ]
    if api.audit:
        words += [f"--audit-log-path={api.audit_log}", f"--audit-policy-file={api.folder}/audit-policy.json"]
        # Megabytes; rotated, it would have to be read from several files.
        words.append("--audit-log-maxsize=4000")
    return words


def _aggregation(pki: Path) -> Words:
    """For API servers behind this one, such as metrics-server."""
    return [
        f"--requestheader-client-ca-file={pki}/front-proxy-ca.crt",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={pki}/front-proxy.crt",
        f"--proxy-client-key-file={pki}/front-proxy.key",
    ]


def _towards_kubelets(pki: Path) -> Words:
    """For logs, exec and port-forward. By address: the node's name is in nobody's DNS."""
    return [
        f"--kubelet-certificate-authority={pki}/ca.crt",
        f"--kubelet-client-certificate={pki}/admin.crt",
        f"--kubelet-client-key={pki}/admin.key",
        "--kubelet-preferred-address-types=InternalIP",
    ]


def kube_controller_manager(api: ApiServer, port: int, pods: IPv4Network | None = None) -> Words:
    words = [
        f"{api.bin}/kube-controller-manager",
        f"--kubeconfig={api.admin_kubeconfig}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--service-account-private-key-file={api.pki}/sa.key",
        f"--root-ca-file={api.pki}/ca.crt",
        f"--cluster-signing-cert-file={api.pki}/ca.crt",
        f"--cluster-signing-key-file={api.pki}/ca.key",
        "--use-service-account-credentials",
        # Each controller first gets an account and a token; at the default 20 requests a second that takes 5 seconds.
        "--kube-api-qps=500",
        "--kube-api-burst=500",
        "--leader-elect=false",
        f"--service-cluster-ip-range={api.services}",
    ]
    if pods is not None:
        words += ["--allocate-node-cidrs", f"--cluster-cidr={pods}", f"--node-cidr-mask-size={pods.prefixlen}"]
    return words


def kube_scheduler(api: ApiServer) -> Words:
    return [
        f"{api.bin}/kube-scheduler",
        f"--kubeconfig={api.admin_kubeconfig}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
    ]


def containerd(api: ApiServer) -> Words:
    return [f"{api.bin}/containerd", f"--config={api.folder}/containerd.toml"]


def kubelet(api: ApiServer, node: str) -> Words:
    return [
        f"{api.bin}/kubelet",
        f"--config={api.folder}/kubelet.json",
        f"--kubeconfig={api.folder}/node.kubeconfig",
        f"--hostname-override={node}",
        f"--node-ip={api.address}",
    ]


def kube_proxy(api: ApiServer, node: str, pods: IPv4Network) -> Words:
    return [
        f"{api.bin}/kube-proxy",
        f"--kubeconfig={api.admin_kubeconfig}",
        "--proxy-mode=nftables",
        f"--cluster-cidr={pods}",
        f"--hostname-override={node}",
        # The limit on tracked connections is the whole machine's; leave it alone.
        "--conntrack-max-per-core=0",
    ]


def coredns(api: ApiServer) -> Words:
    return [f"{api.bin}/coredns", "-conf", f"{api.folder}/Corefile"]
