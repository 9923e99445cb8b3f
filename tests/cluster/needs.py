"""What the machine must bring, which Debian package brings it, and how to get it there."""

import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.configs import CNI_FOLDERS
from tests.cluster.errors import MissingPrerequisite
from tests.cluster.progress import say, step
from tests.cluster.shell import run, succeeds


@dataclass(frozen=True)
class Package:
    """A Debian package and the programs or files it is wanted for."""

    name: str
    programs: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()


FOR_NODES: tuple[Package, ...] = (
    Package("runc", ("runc",)),
    Package("containernetworking-plugins", any_of=tuple(f"{folder}/ptp" for folder in CNI_FOLDERS)),
    Package("nftables", ("nft",)),
    Package("iptables", ("iptables",)),
    Package("conntrack", ("conntrack",)),
    Package("iproute2", ("ip",)),
    Package("openssl", ("openssl",)),
    Package("util-linux", ("unshare", "setpriv")),
)
FOR_IMAGES: tuple[Package, ...] = (Package("buildah", ("buildah",)),)
FOR_BASE: tuple[Package, ...] = (Package("debootstrap", ("debootstrap",)),)
FOR_PAUSE: tuple[Package, ...] = (
    Package("gcc", ("gcc",)),
    Package("libc6-dev", any_of=("/usr/include/stdlib.h",)),
)
EVERYWHERE = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def has_program(name: str) -> bool:
    path = os.environ.get("PATH", "")
    return shutil.which(name, path=f"{path}:{EVERYWHERE}") is not None


def missing_packages(
    packages: Iterable[Package],
    has: Callable[[str], bool] = has_program,
    exists: Callable[[str], bool] = os.path.exists,
) -> list[str]:
    """The names of the packages of which something is not there."""
    return [
        package.name
        for package in packages
        if not all(has(program) for program in package.programs)
        or (package.any_of and not any(exists(file) for file in package.any_of))
    ]


def ensure_packages(packages: Sequence[Package]) -> None:
    """Install what is missing where that can be done, and otherwise say what to install."""
    missing = missing_packages(packages)
    if not missing:
        return
    names = " ".join(missing)
    if os.geteuid() != 0 or not has_program("apt-get"):
        raise MissingPrerequisite(f"missing on this machine: {names}", f"as root: apt-get install {names}")
    say(f"installing Debian packages: {names}")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with step("apt-get update"):
        run(["apt-get", "update"], env=env)
    with step("apt-get install"):
        run(["apt-get", "install", "--yes", "--no-install-recommends", *missing], env=env)


def require_programs(*names: str) -> None:
    absent = [name for name in names if not has_program(name)]
    if absent:
        raise MissingPrerequisite(f"missing on this machine: {' '.join(absent)}", "install them and try again")


def require_root() -> None:
    if os.geteuid() != 0:
        remedy = "start Docker, name a cluster in RAGOPS_TEST_KUBECONFIG, or run this as root"
        raise MissingPrerequisite("a cluster without Docker needs root, for its namespaces", remedy)


def require_kernel() -> None:
    """What no package brings."""
    filesystems = Path("/proc/filesystems").read_text().split()
    if "overlay" not in filesystems and not succeeds(["modprobe", "overlay"]):
        raise MissingPrerequisite("the kernel has no overlay file system", "load or build its module `overlay`")
    if not succeeds(["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "true"]):
        raise MissingPrerequisite("namespaces cannot be made here", "run with CAP_SYS_ADMIN, outside a plain container")
