"""python -m tests.cluster: the test cluster from a shell."""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence

from tests.cluster import backends, binaries, builders, images, opening, paths, versions
from tests.cluster.backends import Backend
from tests.cluster.errors import ClusterError
from tests.cluster.progress import say


def up(options: argparse.Namespace) -> None:
    cluster = opening.keep_cluster(options.name, audit=options.audit)
    print(cluster.kubeconfig)


def down(options: argparse.Namespace) -> None:
    opening.end_cluster(options.name)


def status(_: argparse.Namespace) -> None:
    for told in sorted(paths.clusters_folder().glob("*/state.json")):
        state = opening.named(told.parent.name)
        if state.is_kept():
            print(f"{state.name}: up, {opening.attach(state).kubeconfig}")
        elif state.is_running():
            print(f"{state.name}: up, for a process that is using it")


def build_binaries(options: argparse.Namespace) -> None:
    print(binaries.ensure_binaries(versions.CONTROL_PLANE + versions.CLIENTS if options.control_plane else wanted()))
    if options.played_nodes:
        binaries.ensure_binaries(versions.WITH_PLAYED_NODES)
        binaries.ensure_binaries([versions.KWOK])


def wanted() -> tuple[versions.Binary, ...]:
    """What the cluster takes that would be chosen now."""
    chosen = backends.choose(os.environ, builders.docker_answers)
    beside = {Backend.EXISTING: versions.CLIENTS, Backend.KIND: versions.CLIENTS + versions.KIND}
    return beside.get(chosen, versions.LOCAL_CLUSTER)


def build_images(options: argparse.Namespace) -> None:
    for image in images.build(options.names or images.NAMES).values():
        print(image.reference)


def load(options: argparse.Namespace) -> None:
    built = images.build(options.names or images.NAMES)
    opening.attach(opening.named(options.name)).load(built.values())


def kubeconfig(options: argparse.Namespace) -> None:
    print(opening.attach(opening.named(options.name)).kubeconfig)


def env(options: argparse.Namespace) -> None:
    for name, value in opening.attach(opening.named(options.name)).exports.items():
        print(f"export {name}={shlex.quote(value)}")


def parser() -> argparse.ArgumentParser:
    whole = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    commands = whole.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, does: object, about: str, *, cluster: bool = False) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=about, description=about)
        made.set_defaults(does=does)
        if cluster:
            made.add_argument("name", metavar="NAME")
        return made

    command("up", up, "start a cluster and keep it running", cluster=True).add_argument("--audit", action="store_true")
    command("down", down, "end a cluster that was kept", cluster=True)
    command("status", status, "list the running clusters")
    only = command("binaries", build_binaries, "build the programs and stop there")
    only.add_argument("--control-plane", action="store_true", help="only those of tests that need no nodes")
    only.add_argument("--played-nodes", action="store_true", help="also what plays nodes, for the operator's benchmark")
    command("images", build_images, "build the images and stop there").add_argument("names", nargs="*")
    command("load", load, "build the images and load them", cluster=True).add_argument("names", nargs="*")
    command("kubeconfig", kubeconfig, "print where the kubeconfig is", cluster=True)
    command("env", env, "print the lines that point a shell at a cluster", cluster=True)
    return whole


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        options.does(options)
    except ClusterError as problem:
        say(f"error: {problem}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
