"""A cluster of kind (https://kind.sigs.k8s.io), where Docker runs. Its keeper deletes it when its owner is gone."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tests.cluster import binaries, versions
from tests.cluster.backends import Backend
from tests.cluster.errors import ClusterError
from tests.cluster.handle import Cluster
from tests.cluster.images import Image
from tests.cluster.keeping import Keeper, State
from tests.cluster.progress import step
from tests.cluster.shell import run

Words = list[str]
READY_TIMEOUT = "180s"


def start(state: State, *, audit: bool) -> tuple[Cluster, Keeper]:
    if audit:
        raise ClusterError("an audit log is only kept for a cluster on this machine, not in kind")
    built = binaries.ensure_binaries((*versions.CLIENTS, *versions.KIND))
    state.folder.mkdir(parents=True, mode=0o700)
    state.write({"backend": Backend.KIND.name, "bin": str(built)})
    # The keeper comes first, so that nothing is left even of a cluster whose making was interrupted.
    plan: dict[str, object] = {"node": None, "links": [], "cgroup": "", "finally": [delete(built, state)]}
    keeper = Keeper.start(state, plan)
    try:
        with step(f"starting the cluster {state.name} with kind"):
            run(create(built, state))
    except BaseException:
        keeper.end()
        raise
    return attach(state), keeper


def attach(state: State) -> Cluster:
    built = Path(str(state.read()["bin"]))
    return Cluster(state.name, kubeconfig(state), built, partial(load, built, state))


def load(built: Path, state: State, images: Sequence[Image]) -> None:
    for image in images:
        with step(f"loading {image.reference}"):
            run(load_archive(built, state, image.archive))


def kubeconfig(state: State) -> Path:
    return state.folder / "kubeconfig"


def create(built: Path, state: State) -> Words:
    where = ["--name", cluster_name(state), "--kubeconfig", str(kubeconfig(state))]
    return [f"{built}/kind", "create", "cluster", *where, "--wait", READY_TIMEOUT]


def delete(built: Path, state: State) -> Words:
    where = ["--name", cluster_name(state), "--kubeconfig", str(kubeconfig(state))]
    return [f"{built}/kind", "delete", "cluster", *where]


def load_archive(built: Path, state: State, archive: Path) -> Words:
    return [f"{built}/kind", "load", "image-archive", str(archive), "--name", cluster_name(state)]


def cluster_name(state: State) -> str:
    return f"ragops-{state.name}"
