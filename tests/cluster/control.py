"""An API server and its etcd alone, on loopback, without root: for tests that need no pods."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network
from pathlib import Path

from tests.cluster import binaries, configs, kwok, needs, pki, servers, versions
from tests.cluster.api import Api
from tests.cluster.handle import Cluster
from tests.cluster.keeper import SUPERVISE
from tests.cluster.ports import free_ports
from tests.cluster.waiting import wait_until

LOOPBACK = "127.0.0.1"
SERVICES = IPv4Network("10.96.0.0/16")


@contextmanager
def control_plane(*, controller_manager: bool = False, audit: bool = False, played_nodes: int = 0) -> Iterator[Cluster]:
    """Start one, as many at once as wanted, and end it with the block or with this process.

    With played nodes its pods are scheduled and become ready, but run nothing.
    """
    needs.require_programs("openssl", "setpriv")
    built = binaries.ensure_binaries(versions.WITH_PLAYED_NODES if played_nodes else versions.CONTROL_PLANE)
    folder = Path(tempfile.mkdtemp(prefix="ragops-control-plane-"))
    port, etcd_port, peer_port, manager_port, kwok_port = free_ports(5)
    api = servers.ApiServer(built, folder, LOOPBACK, port, etcd_port, peer_port, SERVICES, audit)
    try:
        write_api_files(api, pki.leaves(api_addresses=(LOOPBACK, str(SERVICES[1]))))
        commands = {"etcd": servers.etcd(api), "kube-apiserver": servers.kube_apiserver(api)}
        if controller_manager:
            commands["kube-controller-manager"] = servers.kube_controller_manager(api, manager_port)
        if played_nodes:
            commands |= _players(api, kwok_port)
        with _supervised(folder, commands) as process:
            wait_until(Api(LOOPBACK, port, api.pki).is_ready, process, folder, "the API server to answer")
            log = api.audit_log if audit else None
            cluster = Cluster(folder.name, api.admin_kubeconfig, built, direct_addresses=(LOOPBACK,), audit_log=log)
            for number in range(played_nodes):
                cluster.kubectl("create", "-f", "-", input=json.dumps(kwok.node(number)))
            yield cluster
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _players(api: servers.ApiServer, port: int) -> dict[str, list[str]]:
    program = binaries.ensure_binaries([versions.KWOK]) / versions.KWOK.name
    (api.folder / "scheduler.json").write_text(kwok.scheduler_configuration(api))
    (api.folder / "kwok.yaml").write_text(kwok.stages())
    return {"kube-scheduler": kwok.kube_scheduler(api), "kwok": kwok.kwok(program, api, port)}


def write_api_files(api: servers.ApiServer, certificates: tuple[pki.Certificate, ...]) -> None:
    """Everything an API server and its clients read."""
    (api.folder / "log").mkdir(exist_ok=True)
    pki.write_certificates(api.pki, certificates)
    authority, certificate, key = ((api.pki / name).read_bytes() for name in ("ca.crt", "admin.crt", "admin.key"))
    api.admin_kubeconfig.touch(mode=0o600)
    api.admin_kubeconfig.write_text(configs.kubeconfig(api.url, authority, certificate, key))
    (api.folder / "audit-policy.json").write_text(configs.audit_policy())


@contextmanager
def _supervised(folder: Path, commands: dict[str, list[str]]) -> Iterator["subprocess.Popen[bytes]"]:
    # Without a PID namespace, servers whose supervisor was killed would live on: the kernel is asked to end them too.
    until_parent_dies = [shutil.which("setpriv") or "setpriv", "--pdeathsig", "KILL"]
    plan = {
        "setup": [],
        "servers": [
            {"name": name, "command": [*until_parent_dies, *words], "after": None} for name, words in commands.items()
        ],
        "logs": str(folder / "log"),
        "env": {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        "remove": str(folder),
    }
    with (folder / "log" / "supervise.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, str(SUPERVISE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
        )
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps(plan).encode() + b"\n")
        process.stdin.flush()
        yield process
    finally:
        process.stdin.close()
        process.wait()
