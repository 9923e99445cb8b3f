"""A one-node cluster on this machine, made of processes in namespaces of their own.

The node has its own network (one link to the host, over which pods and Services are reached), mounts and process ids,
so several clusters live side by side, and the end of the first process in there is the end of everything in there.
"""

from functools import partial
from ipaddress import IPv4Network
from pathlib import Path

from tests.cluster import addresses, binaries, cgroups, loading, locks, manifests, needs, node, pki
from tests.cluster.addresses import Addresses
from tests.cluster.api import Api
from tests.cluster.backends import Backend
from tests.cluster.configs import kubeconfig
from tests.cluster.control import write_api_files
from tests.cluster.handle import Cluster
from tests.cluster.keeping import Keeper, State
from tests.cluster.node import Node
from tests.cluster.progress import step
from tests.cluster.servers import ApiServer
from tests.cluster.shell import run
from tests.cluster.waiting import wait_until

API_PORT, ETCD_PORT, ETCD_PEER_PORT = 6443, 2379, 2380


def start(state: State, *, audit: bool) -> tuple[Cluster, Keeper]:
    """Bring up a cluster of which nothing is left from before, to the point where a pod can be created."""
    needs.require_root()
    needs.ensure_packages(needs.FOR_NODES)
    needs.require_kernel()
    built = binaries.ensure_binaries()
    pause = loading.pause_archive()
    with step(f"starting the cluster {state.name}"), locks.held(locks.machine_wide("addresses")):
        try:
            made = _make_node(state, built, audit=audit)
            keeper = Keeper.start(state, _keeper_plan(made))
        except BaseException:
            state.clear()
            raise
        try:
            _wait_for_use(made, keeper, pause)
        except BaseException:
            keeper.end()
            raise
    return cluster_of(made), keeper


def attach(state: State) -> Cluster:
    """The running cluster of that name."""
    return cluster_of(_read_node(state))


def cluster_of(made: Node) -> Cluster:
    where = made.addresses
    return Cluster(
        name=made.cluster,
        kubeconfig=made.api.admin_kubeconfig,
        bin=made.api.bin,
        load_images=partial(loading.into_containerd, made.api.bin, made.folder / "containerd.sock"),
        direct_addresses=(str(where.block),),
        audit_log=made.api.audit_log if made.api.audit else None,
    )


def _node(state: State, built: Path, where: Addresses, *, audit: bool) -> Node:
    ports = (API_PORT, ETCD_PORT, ETCD_PEER_PORT)
    api = ApiServer(built, state.folder, where.node, *ports, where.services, audit)
    return Node(state.name, where, api, node.has_memory_to_spare(Path("/proc/meminfo").read_text()))


def _make_node(state: State, built: Path, *, audit: bool) -> Node:
    """Choose the addresses and write every file, so that a start is nothing but starting processes."""
    where = addresses.choose(state.name, addresses.parse_routes(run(["ip", "-4", "route", "show", "table", "all"])))
    made = _node(state, built, where, audit=audit)
    state.folder.mkdir(mode=0o700)
    for folder in (*node.folders(made), *map(Path, node.PRIVATE_FOLDERS)):
        folder.mkdir(parents=True, exist_ok=True)
    for number in range(manifests.VOLUMES):
        manifests.volume_folder(made.folder / "volumes", number).mkdir()
    for name, text in node.files(made).items():
        (made.folder / name).write_text(text)
    hosts = ("127.0.0.1", where.node, where.api_service)
    write_api_files(made.api, pki.leaves(api_addresses=hosts, node_name=made.name, node_address=where.node))
    authority, certificate, key = ((made.api.pki / name).read_bytes() for name in ("ca.crt", "node.crt", "node.key"))
    (made.folder / "node.kubeconfig").write_text(kubeconfig(made.api.url, authority, certificate, key))
    cgroups.create(made.cgroup)
    state.write({"backend": Backend.LOCAL.name, "block": str(where.block), "bin": str(built), "audit": audit})
    return made


def _read_node(state: State) -> Node:
    known = state.read()
    where = Addresses(IPv4Network(str(known["block"])))
    return _node(state, Path(str(known["bin"])), where, audit=bool(known["audit"]))


def _keeper_plan(made: Node) -> dict[str, object]:
    return {"node": node.plan(made), "links": node.links(made), "cgroup": made.cgroup, "finally": node.unlinks(made)}


def _wait_for_use(made: Node, keeper: Keeper, pause: Path) -> None:
    api = Api(made.addresses.node, API_PORT, made.api.pki)
    wait = partial(wait_until, process=keeper.process, folder=made.folder)
    wait((made.folder / "containerd.sock").exists, what="containerd")
    loading.import_archive(made.api.bin, made.folder / "containerd.sock", pause)
    wait(api.is_ready, what="the API server")
    storage = manifests.storage(made.folder / "volumes", made.name)
    cluster_of(made).kubectl("create", "--validate=false", "-f", "-", input=storage)
    wait(lambda: is_usable(api, made.name), what="the node to be ready")


def is_usable(api: Api, node_name: str) -> bool:
    """The node is ready, and pods can be created: the account they run as is made a moment after its namespace."""
    if api.get("/api/v1/namespaces/default/serviceaccounts/default") is None:
        return False
    found = api.get(f"/api/v1/nodes/{node_name}")
    conditions = found["status"].get("conditions", []) if found else []
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
