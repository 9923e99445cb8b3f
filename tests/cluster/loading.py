"""Bring image archives into a node's containerd."""

from collections.abc import Sequence
from pathlib import Path

from tests.cluster import standins
from tests.cluster.configs import PAUSE_IMAGE
from tests.cluster.images import Image
from tests.cluster.progress import step
from tests.cluster.shell import run


def pause_archive() -> Path:
    return standins.pause_archive(PAUSE_IMAGE)


def import_archive(built: Path, socket: Path, archive: Path) -> None:
    run([*_ctr(built, socket), "images", "import", archive])


def into_containerd(built: Path, socket: Path, images: Sequence[Image]) -> None:
    """Import those images that the node does not have. Names include a hash of the content, so a name is enough."""
    present = set(run([*_ctr(built, socket), "images", "list", "--quiet"]).split())
    for image in images:
        if image.reference not in present:
            with step(f"loading {image.reference}"):
                import_archive(built, socket, image.archive)


def _ctr(built: Path, socket: Path) -> list[str]:
    return [f"{built}/ctr", "--address", str(socket), "--namespace", "k8s.io"]
